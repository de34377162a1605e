"""The words of `bursar top`: one budget, one rank, one call, and what Enter says of them.

Owns what stands in the cells. It lays nothing out.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from bursar.cli.table import clean
from bursar.cli.words import amount_words, instant, money, short_money, until_words
from bursar.core.budget import Unit
from bursar.core.labels import Labels
from bursar.core.window import NS
from bursar.reports.live import Filling, LiveCall, Ranked, Snapshot

__all__ = ["HELP", "age", "amount", "budget_cells", "call_cells", "call_details", "rank_cells", "value_details"]

BAR = 10
LEVELS = {"fine": "", "warned": "warned", "exceeded": "EXCEEDED"}
HELP = (
    "bursar top",
    "",
    "  Money a minute is what calls that ended in that time cost; money in",
    "  flight is held and not yet spent. Ranks count calls that ended in the",
    "  last hour. A bar shows what is used (#) and what is held on top (+).",
    "",
    "  left, right     choose a list: the ranks, or the calls",
    "  up, down, j, k  choose a row; also PgUp, PgDn, Home, End",
    "  Enter           details of the chosen row; Enter or Esc goes back",
    "  1 2 3 4 5       rank by agent, user, model, run, key; Tab: the next",
    "  s               sort by cost, calls, tokens, in flight, name",
    "  p               pause, and go on",
    "  q, Ctrl-C       quit",
)


def age(length_ns: int) -> str:
    """Write a length of time in one or two units."""
    seconds = max(0, length_ns) // NS
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min" if minutes >= 10 else f"{minutes}:{seconds:02} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02} h" if hours < 48 else f"{hours // 24} d"


def amount(unit: str, number: int) -> str:
    """Write an amount of a budget; a unit that is not known here stays a number with its name."""
    return amount_words(Unit(unit), number) if unit in set(Unit) else f"{number:,} {unit}"


def budget_cells(each: Filling, zone: ZoneInfo) -> tuple[str, ...]:
    """Write one budget: whose, its bar, how full, how much of what, its level, until when."""
    used = min(BAR, each.used * BAR // each.limit if each.limit else BAR)
    held = min(BAR - used, -(-each.held * BAR // each.limit) if each.limit else 0)
    bar = f"[{'#' * used}{'+' * held}{'.' * (BAR - used - held)}]"
    of = f"{amount(each.unit, each.used).partition(' ')[0]} of {amount(each.unit, each.limit)}"
    name = clean(f"{each.budget} {each.scope}".rstrip())
    until = f"until {until_words(each.ends_ns, zone)}"
    return (name, bar, f"{each.percent} %", clean(of), clean(LEVELS.get(each.level, each.level)), until)


def rank_cells(row: Ranked) -> tuple[str, ...]:
    """Write what one value came to."""
    in_flight = f"{row.in_flight:,}" if row.in_flight else "-"
    held = short_money(row.held_nano) if row.held_nano else "-"
    return (f"{row.calls:,}", f"{row.tokens:,}", short_money(row.cost_nano), in_flight, held)


def call_cells(call: LiveCall, at_ns: int, zone: ZoneInfo) -> tuple[str, tuple[str, ...]]:
    """Write one call: whose it is, and its figures."""
    labels, is_open = Labels(call.labels), not call.closed_ns
    # What is held for output is no output yet.
    counts = ("-", "-") if is_open else (f"{call.input_tokens:,}", f"{call.output_tokens:,}")
    when = age(at_ns - call.opened_ns) if is_open else instant(call.closed_ns, zone, "%H:%M:%S")
    state = "in flight" if is_open else f"{call.state}{'*' if call.flags else ''}"
    return f"{labels['agent']} {labels['model']}", (when, *counts, short_money(call.cost_nano), state)


def call_details(call: LiveCall, at_ns: int, zone: ZoneInfo) -> list[str]:
    """Say all that a snapshot knows of a call."""
    lines = [
        f"call {call.id}",
        f"  state     {call.state}",
        f"  begun     {instant(call.opened_ns, zone)} {zone.key}, {age(at_ns - call.opened_ns)} ago",
    ]
    if call.closed_ns:
        lasted = f" after {call.duration_ms:,} ms" if call.duration_ms else ""
        lines += [
            f"  ended     {instant(call.closed_ns, zone)} {zone.key}{lasted}",
            f"  cost      {money(call.cost_nano)}",
            f"  tokens    {call.input_tokens:,} in, {call.output_tokens:,} out",
            f"  answer    {call.ended or '-'}{f' (HTTP {call.status})' if call.status else ''}",
        ]
    else:
        lines.append(f"  held      {money(call.held_nano)} for {call.input_tokens:,} in, {call.output_tokens:,} out")
    lines += [f"  flags     {' '.join(call.flags)}"] if call.flags else []
    lines += [f"  {name:<9} {value}" for name, value in sorted(call.labels.items())]
    return [*lines, "", f"  `bursar call {call.id}` explains it part by part"]


def value_details(label: str, row: Ranked, snapshot: Snapshot, zone: ZoneInfo) -> list[str]:
    """Say what one value of a label has done, and which calls of it are listed."""
    lines = [
        f"{label} {row.value}",
        f"  cost      {money(row.cost_nano)} in {row.calls:,} calls, {row.tokens:,} tokens",
        f"  in flight {row.in_flight:,}, {money(row.held_nano)} held",
    ]
    scope = f"{label}={row.value}"
    lines += [
        f"  budget    {'  '.join(cell for cell in budget_cells(each, zone) if cell)}"
        for each in snapshot.budgets
        if scope in each.scope.split(",")
    ]
    found = [call for call in (*snapshot.in_flight, *snapshot.ended) if Labels(call.labels)[label] == row.value]
    lines += ["", "  its calls among those listed:" if found else "  none of the calls that are listed is its own"]
    for call in found:
        name, cells = call_cells(call, snapshot.at_ns, zone)
        when, tokens_in, tokens_out, cost, state = cells
        lines.append(f"  {call.id}  {when:>9}  {cost:>10}  {tokens_in} in, {tokens_out} out  {state}  {name}")
    return lines
