"""`bursar holds`: money set aside for calls; list it, correct it, lapse what dead processes left.

Owns the words; the acts are `actions/holds.py`.
"""

from __future__ import annotations

import click

from bursar.actions.holds import Correction, correct, lapse_gone
from bursar.cli.call import echo_calls, find_call
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
from bursar.cli.table import echo_json
from bursar.cli.words import money
from bursar.core.hold import State
from bursar.core.money import Nano, parse_usd
from bursar.errors import UsageError
from bursar.reports.anatomy import amounts_of
from bursar.reports.shown import call_json

__all__ = ["holds"]

STATES = {state.name.lower(): (state,) for state in State} | {"all": tuple(State)}
WAITING = (State.OPEN, State.PRESUMED)


@click.group()
def holds() -> None:
    """Money set aside for calls: what is in flight, and what was never answered for."""


@holds.command("list")
@click.option("--state", type=click.Choice(tuple(STATES)), help="Only these (default: open and presumed).")
@click.option("--top", type=click.IntRange(1, 10_000), default=50, show_default=True, metavar="N", help="The latest N.")
@tenant_option("Whose calls.")
@source_options
@tz_option
@json_option
def list_(state: str | None, top: int, tenant: str, source: Source, tz: str | None, as_json: bool) -> None:
    """List holds, the latest first: those that are open or presumed, or those of one state."""
    settings = source.load()
    with ledger_of(settings) as ledger:
        rows = ledger.holds(tenant, STATES[state] if state else WAITING, top)
        if not rows:
            hint_elsewhere(ledger, tenant)
    if as_json:
        echo_json([call_json(row) for row in rows])
    elif rows:
        echo_calls(rows, zone_of(tz, settings))
    else:
        click.echo(f"no hold is {state or 'open or presumed'}")


@holds.command("correct")
@click.argument("call_id", metavar="ID")
@click.option("--cost", required=True, metavar="USD", help="What the provider really billed, such as $0.12, or 0.")
@click.option("--input", "input_tokens", type=click.IntRange(0), metavar="N", help="Tokens of input, cached included.")
@click.option(
    "--output", "output_tokens", type=click.IntRange(0), metavar="N", help="Tokens of output, reasoning included."
)
@tenant_option("Whose call.")
@source_options
@json_option
def correct_(call_id: str, cost: str, tenant: str, source: Source, as_json: bool, **tokens: int | None) -> None:
    """Record what a call really came to: a presumed one once you know better, or a wrong one.

    Budgets follow at once. Tokens that you do not state stay as they are recorded. The correction is an entry of its
    own, flagged `corrected`; nothing is overwritten. A call in flight is refused.
    """
    correction = Correction(call_id.strip(), _cost(cost), tokens["input_tokens"], tokens["output_tokens"])
    settings = source.load()
    with ledger_of(settings) as ledger:
        lapsed = lapse_gone(ledger, now(ledger), settings.limits.lapse_s)
        find_call(ledger, tenant, correction.hold_id)
        done = correct(ledger, tenant, correction, now(ledger))
    if as_json:
        echo_json({"before": call_json(done.before), "after": call_json(done.after), "lapsed": lapsed})
        return
    if lapsed:
        _say_lapsed(lapsed)
    before, after = amounts_of(done.before), amounts_of(done.after)
    was = f"{done.before.state.name.lower()} {money(before.cost_nano)}"
    click.echo(f"{done.after.id}: {was}, now settled at {money(after.cost_nano)}")
    click.echo(f"  input   {before.input_tokens:,} → {after.input_tokens:,} tokens")
    click.echo(f"  output  {before.output_tokens:,} → {after.output_tokens:,} tokens")


@holds.command()
@source_options
@json_option
def lapse(source: Source, as_json: bool) -> None:
    """Presume what processes left open that are gone: they were killed, and no gateway has started since.

    A gateway does this by itself, at its start and every few seconds. Presumed money stays counted; `correct` mends it.
    """
    settings = source.load()
    with ledger_of(settings) as ledger:
        lapsed = lapse_gone(ledger, now(ledger), settings.limits.lapse_s)
    if as_json:
        echo_json({"lapsed": lapsed})
    else:
        _say_lapsed(lapsed)


def _say_lapsed(count: int) -> None:
    click.echo(
        f"{count:,} open holds of processes that are gone are presumed now" if count else "no process left holds open"
    )


def _cost(text: str) -> Nano:
    try:
        return parse_usd(text)
    except ValueError as error:
        raise UsageError(f"--cost: {error}") from error
