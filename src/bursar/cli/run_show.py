"""`bursar runs show` and `bursar runs compare`: the steps of a run, and of two runs side by side.

Owns the waterfall and the words; the stories are `reports/story.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import click

from bursar.cli.call import FLAG_WORDS
from bursar.cli.options import (
    Source,
    hint_elsewhere,
    json_option,
    ledger_of,
    now,
    source_options,
    tenant_option,
    tz_option,
    zone_of,
)
from bursar.cli.table import Column, clean, echo_json, echo_table
from bursar.cli.when import EXAMPLES, parse_instant
from bursar.cli.words import instant, money, short_money
from bursar.core.hold import State
from bursar.core.labels import NONE
from bursar.core.window import NS
from bursar.errors import NotFound
from bursar.reports.shown_runs import comparison_json, story_json
from bursar.reports.story import STEPS_MAX, Pair, Step, Story, run_story
from bursar.reports.story import compare as compared

__all__ = ["compare", "seconds", "show"]

BAR_WIDTH = 10
STEPS_SHOWN = 200
STEPS = (
    Column("#"),
    Column("after"),
    Column("waterfall", is_text=True, is_id=True),
    Column("model", is_text=True),
    Column("input"),
    Column("cached"),
    Column("output"),
    Column("tools"),
    Column("cost"),
    Column("took"),
    Column("notes", is_text=True, is_id=True),
)
OPTIONAL = ("cached", "tools", "notes")
"""Columns that are left out where nothing stands in them."""
since_option = click.option(
    "--since", default="30d", show_default=True, metavar="TIME", help=f"Calls from then on: {EXAMPLES}."
)


@click.command()
@click.argument("run", metavar="RUN")
@since_option
@click.option(
    "--top", type=click.IntRange(1, STEPS_MAX), default=STEPS_SHOWN, show_default=True, metavar="N", help="N steps."
)
@tenant_option("Whose run.")
@source_options
@tz_option
@json_option
def show(run: str, source: Source, tenant: str, as_json: bool, top: int, **when: Any) -> None:
    """Tell the story of a run, step by step: when, which model, tokens, cost, time, tool calls, what a guard saw.

    Each step is a call; `bursar call ID` explains one, and --json has their ids.
    """
    (story,), zone = _stories(source, (run,), tenant, **when)
    if as_json:
        echo_json(story_json(story))
    else:
        _echo_head(story, zone)
        _echo_steps(story, top)


@click.command()
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="OTHER")
@since_option
@tenant_option("Whose runs.")
@source_options
@tz_option
@json_option
def compare(first: str, second: str, source: Source, tenant: str, as_json: bool, **when: Any) -> None:
    """Two runs side by side, step by step and in all; a difference is the second less the first."""
    stories, _ = _stories(source, (first, second), tenant, **when)
    found = compared(*stories)
    if as_json:
        echo_json(comparison_json(found))
        return
    _echo_totals(found.first, found.second)
    click.echo()
    columns = (
        Column("#"),
        Column("model", is_text=True),
        Column("other's model", is_text=True),
        Column("cost"),
        Column("other's"),
        Column("difference"),
        Column("output"),
        Column("other's"),
    )
    pairs = found.pairs[:STEPS_SHOWN]
    total = ["", "total", "", *_costs(found.first, found.second), *_outputs(found.first, found.second)]
    echo_table(columns, [_pair_cells(pair) for pair in pairs], total)
    if len(found.pairs) > len(pairs):
        click.echo(f"and {len(found.pairs) - len(pairs):,} more steps (--json has all)")


def _stories(
    source: Source, runs: tuple[str, ...], tenant: str, since: str, tz: str | None
) -> tuple[list[Story], ZoneInfo]:
    settings = source.load()
    zone = zone_of(tz, settings)
    with ledger_of(settings) as ledger:
        since_ns = parse_instant(since, zone, now(ledger))
        try:
            return [run_story(ledger, tenant, run.strip(), since_ns) for run in runs], zone
        except NotFound as error:
            hint_elsewhere(ledger, tenant)
            raise NotFound(f"{clean(error.message)} (--since; `bursar runs` lists them)") from error


# --- one run -------------------------------------------------------------------------------------------------------


def _echo_head(story: Story, zone: ZoneInfo) -> None:
    amounts = story.amounts
    presumed = f", of which {money(story.presumed_nano)} presumed or held" if story.presumed_nano else ""
    cached = f" ({amounts.cached_tokens:,} cached)" if amounts.cached_tokens else ""
    tools = f", {story.tool_calls:,} tool calls" if story.tool_calls else ""
    flying = f", {story.in_flight:,} in flight" if story.in_flight else ""
    for name, words in (
        ("run", story.run),
        ("agent", story.agent),
        ("task", story.task),
        ("user", story.user),
        ("began", f"{instant(story.began_ns, zone)} {zone.key}, {seconds(story.took_ns)}"),
        ("state", _state(story)),
        ("steps", f"{len(story.steps):,}{tools}{flying}"),
        ("tokens", f"{amounts.input_tokens:,} in{cached}, {amounts.output_tokens:,} out"),
        ("cost", money(amounts.cost_nano) + presumed),
    ):
        if words and words != NONE:
            click.echo(f"{name:<7} {clean(words)}")
    click.echo()


def _state(story: Story) -> str:
    row = story.row
    if row is None:
        return ""
    why = "".join(
        f", {words}" for words in (row.outcome, row.guard and f"by the guard {row.guard}", row.reason) if words
    )
    return f"{row.state}{why}"


def _echo_steps(story: Story, top: int) -> None:
    shown = story.steps[:top]
    rows = [_step_cells(step, story) for step in shown]
    kept = [
        at
        for at, column in enumerate(STEPS)
        if column.name not in OPTIONAL or any(row[at] not in ("0", "") for row in rows)
    ]
    echo_table([STEPS[at] for at in kept], [[row[at] for at in kept] for row in rows])
    for flag in sorted({flag for step in shown for flag in step.call.flags} & FLAG_WORDS.keys()):
        click.echo(f"{flag}: {FLAG_WORDS[flag]}")
    if len(story.steps) > top:
        click.echo(f"and {len(story.steps) - top:,} more (--top)")
    if story.is_cut:
        click.echo(f"only the first {STEPS_MAX:,} steps are told", err=True)


def _step_cells(step: Step, story: Story) -> list[str]:
    amounts = step.amounts
    took = "-" if step.call.state is State.OPEN else seconds(step.took_ns)
    numbers = [f"{count:,}" for count in (amounts.input_tokens, amounts.cached_tokens, amounts.output_tokens)]
    tools = f"{step.call.note.tool_calls:,}"
    notes = " ".join(_notes(step))
    after = f"+{seconds(step.after_ns)}"
    bar = _bar(step, story)
    return [f"{step.number:,}", after, bar, step.model, *numbers, tools, short_money(amounts.cost_nano), took, notes]


def _notes(step: Step) -> Iterator[str]:
    """Give what is not as usual at a step: state, end, flags."""
    call = step.call
    if call.state is not State.SETTLED:
        yield call.state.name.lower()
    if call.note.ended not in ("", "complete"):
        yield call.note.ended
    yield from sorted(call.flags - {call.note.ended})
    if call.note.seen:
        yield f"loop: {call.note.seen}"


def _bar(step: Step, story: Story) -> str:
    """Draw when a step ran, as a part of the run; every step is at least one mark."""
    whole = max(1, story.took_ns)
    start = min(BAR_WIDTH - 1, step.after_ns * BAR_WIDTH // whole)
    ran = story.took_ns - step.after_ns if step.call.state is State.OPEN else step.took_ns
    end = min(BAR_WIDTH, max(start + 1, -(-(step.after_ns + ran) * BAR_WIDTH // whole)))
    return (" " * start + ("░" if step.call.state is State.OPEN else "█") * (end - start)).ljust(BAR_WIDTH)


def seconds(ns: int) -> str:
    """Write a time as a person reads it: `0.3 s`, `2 m 05 s`, `3 h 07 m`."""
    tenths = ns * 10 // NS
    whole = tenths // 10
    if whole < 60:
        return f"{whole}.{tenths % 10} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} m"


# --- two runs ------------------------------------------------------------------------------------------------------


def _echo_totals(first: Story, second: Story) -> None:
    columns = (Column("", is_text=True), *(Column(name) for name in ("first", "second", "difference")))
    sides = (first, second)
    counts = {
        "steps": [len(side.steps) for side in sides],
        "tool calls": [side.tool_calls for side in sides],
        "input tokens": [side.amounts.input_tokens for side in sides],
        "cached tokens": [side.amounts.cached_tokens for side in sides],
        "output tokens": [side.amounts.output_tokens for side in sides],
    }
    rows = [["run", first.run, second.run, ""], ["outcome", first.outcome, second.outcome, ""]]
    rows += [[name, f"{one:,}", f"{other:,}", f"{other - one:+,}"] for name, (one, other) in counts.items()]
    took = [seconds(side.took_ns) for side in sides]
    longer = second.took_ns - first.took_ns
    rows.append(["time", *took, ("-" if longer < 0 else "+") + seconds(abs(longer))])
    rows.append(["cost", *_costs(first, second)])
    echo_table(columns, [row for row in rows if any(row[1:3])])


def _costs(first: Story, second: Story) -> list[str]:
    one, other = first.amounts.cost_nano, second.amounts.cost_nano
    return [short_money(one), short_money(other), _more(other - one)]


def _outputs(first: Story, second: Story) -> list[str]:
    return [f"{side.amounts.output_tokens:,}" for side in (first, second)]


def _more(nano: int) -> str:
    return short_money(nano) if nano < 0 else f"+{short_money(nano)}"


def _pair_cells(pair: Pair) -> list[str]:
    sides = (pair.first, pair.second)
    costs = [short_money(side.amounts.cost_nano) if side else "-" for side in sides]
    outputs = [f"{side.amounts.output_tokens:,}" if side else "-" for side in sides]
    other = "" if pair.second is None or not (pair.is_other_model or pair.first is None) else pair.second.model
    return [f"{pair.number:,}", pair.first.model if pair.first else "-", other, *costs, _more(pair.more_nano), *outputs]
