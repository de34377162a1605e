"""`bursar price set`, `remove` and `list-unknown`: prices while bursar runs.

Owns the words and the options; what may be set is decided in `actions/prices.py`.
"""

from __future__ import annotations

from typing import Any

import click

from bursar.actions.prices import PriceWish, remove_price, set_price
from bursar.actions.shown import price_json
from bursar.cli.options import (
    Source,
    acting,
    json_option,
    ledger_of,
    ledger_to_change,
    source_options,
    tenant_option,
    tz_option,
    zone_of,
)
from bursar.cli.table import Column, echo_json, echo_table
from bursar.cli.words import instant
from bursar.errors import UsageError
from bursar.reports.shown import unpriced_json
from bursar.reports.unpriced import CALLS_MOST, unpriced_models
from bursar.wiring.prices import open_list

__all__ = ["list_unknown", "remove", "set_"]

RATES = {
    "--input": "USD per million tokens of input.",
    "--output": "USD per million tokens of output.",
    "--cached-input": "USD per million cached tokens (default: as input).",
    "--cache-write": "USD per million tokens written to a cache (default: as input).",
    "--cache-write-1h": "The same for a cache of one hour (default: as --cache-write).",
    "--reasoning": "USD per million tokens of reasoning (default: as output).",
    "--input-audio": "USD per million tokens of audio (default: as input).",
    "--output-audio": "USD per million tokens of audio written (default: as output).",
    "--web-search": "USD per thousand searches (default: nothing).",
    "--request": "USD per request (default: nothing).",
}
COLUMNS = (
    Column("provider", is_text=True),
    Column("model", is_text=True),
    Column("calls"),
    Column("input"),
    Column("output"),
    Column("last", is_text=True),
)


def _rates(command: Any) -> Any:
    for option, words in reversed(RATES.items()):
        command = click.option(option, metavar="USD", help=words)(command)
    return command


provider_option = click.option(
    "--provider", default="*", show_default=True, metavar="NAME", help="At this provider only."
)


@click.command("set")
@click.argument("model")
@provider_option
@_rates
@click.option("--free", is_flag=True, help="It costs nothing.")
@click.option("--force", is_flag=True, help="It is meant, though the list says more than ten times as much.")
@source_options
@json_option
def set_(
    model: str, provider: str, free: bool, force: bool, source: Source, as_json: bool, **rates: str | None
) -> None:
    """State what MODEL costs (a name, or a glob such as my-model-*), or change what was stated.

    Example: `bursar price set my-model --input 0.15 --output 0.60`. Calls from now on are priced by it; what is
    recorded stays.
    """
    settings = source.load()
    price: dict[str, Any] = {name: text for name, text in rates.items() if text is not None}
    if not price and not free:
        raise UsageError("write --input and --output in USD per million tokens, or --free")
    if free:
        price["free"] = True
    with ledger_to_change(settings) as ledger:
        wish = PriceWish(provider, model, price, force)
        row = set_price(ledger, settings.prices, open_list(settings), wish, acting(ledger))
    if as_json:
        echo_json(price_json(row))
    else:
        said = ", ".join(f"{name.replace('_', ' ')} ${text}" for name, text in row.rates)
        click.echo(f"{row.model} of {_whose(row.provider)}: {'free' if row.is_free else said}")


@click.command()
@click.argument("model")
@provider_option
@source_options
@json_option
def remove(model: str, provider: str, source: Source, as_json: bool) -> None:
    """Take out a price that was set; what the list says counts again."""
    settings = source.load()
    with ledger_of(settings) as ledger:
        remove_price(ledger, settings.prices, provider, model, acting(ledger))
    if as_json:
        echo_json({"removed": model, "provider": provider})
    else:
        click.echo(f"the price of {model} at {_whose(provider)} is taken out")


@click.command("list-unknown")
@tenant_option("Whose calls.")
@source_options
@tz_option
@json_option
def list_unknown(tenant: str, source: Source, tz: str | None, as_json: bool) -> None:
    """Models that calls used though nobody knows their price: what they cost is missing in every sum.

    This covers calls that a setting let through. A call that was refused for its price is in no ledger: its refusal
    names the model.
    """
    settings = source.load()
    with ledger_of(settings) as ledger:
        found = unpriced_models(ledger, tenant)
    if as_json:
        echo_json([unpriced_json(each) for each in found])
        return
    if found:
        zone = zone_of(tz, settings)
        echo_table(
            COLUMNS,
            [
                [each.provider, each.model, *(f"{count:,}" for count in _counts(each)), instant(each.last_ns, zone)]
                for each in found
            ],
        )
        click.echo("\n`bursar price set MODEL --input USD --output USD` states what one costs")
    else:
        click.echo(
            f"none of the latest {CALLS_MOST:,} calls lacks a price; calls that were refused for it are not listed"
        )


def _counts(each: Any) -> tuple[int, int, int]:
    return each.calls, each.input_tokens, each.output_tokens


def _whose(provider: str) -> str:
    return "any provider" if provider == "*" else provider
