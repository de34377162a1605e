"""`bursar price`: what a model costs, and where that price comes from.

Owns the words; where it looks is decided in `actions/lookup.py`. What changes a price stands in `cli/price_set.py`.
"""

from __future__ import annotations

import time
from dataclasses import replace

import click

from bursar.actions.control import state_of
from bursar.actions.lookup import cards, places
from bursar.cli.options import Source, json_option, ledger_of, source_options
from bursar.cli.price_set import list_unknown, remove, set_
from bursar.cli.table import Column, echo_json, echo_table
from bursar.config.settings import Settings, StoreKind
from bursar.core.money import Pico
from bursar.core.rates import Card, Rates
from bursar.core.window import to_datetime
from bursar.errors import NotFound
from bursar.pricing.facts import FactsBook
from bursar.reports.shown import PER_MILLION, card_json
from bursar.wiring.prices import open_facts, open_prices

__all__ = ["price"]

PARENTS = {
    "reasoning_tokens": "output_tokens",
    "input_audio_tokens": "input_tokens",
    "cache_read_audio_tokens": "cache_read_tokens",
    "output_audio_tokens": "output_tokens",
    "cache_write_1h_tokens": "cache_write_tokens",
}
"""A rate that equals its parent's says nothing of its own and is left out of the table."""


@click.group()
def price() -> None:
    """What a model costs, and where that price comes from; state what the list does not know."""


for command in (set_, list_unknown, remove):
    price.add_command(command)


@price.command()
@click.argument("model")
@click.option(
    "--provider", metavar="NAME", help="A provider of the configuration (default: those that would be asked)."
)
@click.option("--tier", default="", metavar="NAME", help="A service tier, such as flex, priority or batch.")
@source_options
@json_option
def show(model: str, provider: str | None, tier: str, source: Source, as_json: bool) -> None:
    """Show the price card and the facts that bursar uses for MODEL; `provider/model` works, too."""
    settings = _with_set(source.load())
    where, facts = places(settings.providers, model, provider), open_facts(settings)
    found = cards(open_prices(settings), where, tier, to_datetime(time.time_ns()))
    if not found:
        raise NotFound(_unknown(where, tier))
    if as_json:
        echo_json([card_json(card, facts.facts(card.provider, card.model), tier) for card in found])
        return
    for index, card in enumerate(found):
        if index:
            click.echo()
        _echo(card, facts, tier)


def _with_set(settings: Settings) -> Settings:
    """Add the prices that were set while bursar runs, where there is a ledger."""
    if settings.store.kind is StoreKind.MEMORY or not settings.store.path.exists():
        return settings
    with ledger_of(settings) as ledger:
        return replace(settings, prices=state_of(ledger).all_prices(settings.prices))


def _unknown(where: list[tuple[str, str]], tier: str) -> str:
    names = " and ".join(name for name, _ in where) or "any provider"
    bare = where[0][1] if where else "MODEL"
    in_tier = f" in tier {tier}" if tier else ""
    return (
        f"no price is known for {bare!r} of {names}{in_tier}: budgets in USD refuse it. `bursar price set` states it, "
        f"or bursar.yaml:\n"
        f"  prices:\n    {bare}: {{input: 0.15, output: 0.60}}   # USD per million tokens, or {{free: true}}"
    )


def _echo(card: Card, facts: FactsBook, tier: str) -> None:
    click.secho(f"{card.model} of {card.provider}{f', tier {tier}' if tier else ''}", bold=True)
    click.echo(f"source    {card.source} ({card.version})")
    known = facts.facts(card.provider, card.model)
    most = f"{known.max_output_tokens:,} tokens" if known.max_output_tokens else "unknown"
    click.echo(f"output    at most {most}; top speed {known.top_speed_tokens_per_s:,} tokens/s (an upper estimate)")
    click.echo()
    if card.source == "free":
        click.echo("free: declared so")
        return
    columns = [
        Column("USD per million tokens", is_text=True),
        *(Column(_tier_name(tier.input_above)) for tier in card.tiers),
    ]
    rows = []
    for name, words in PER_MILLION.items():
        if any(_says_more(each.rates, name) for each in card.tiers):
            rows.append([words, *(_usd(getattr(each.rates, name), 1_000_000) for each in card.tiers)])
    for name, words in (("web_searches", "per web search"), ("request", "per request")):
        if any(getattr(each.rates, name) for each in card.tiers):
            rows.append([words, *(_usd(getattr(each.rates, name), 1) for each in card.tiers)])
    echo_table(columns, rows)


def _says_more(rates: Rates, name: str) -> bool:
    parent = PARENTS.get(name)
    return parent is None or getattr(rates, name) != getattr(rates, parent)


def _tier_name(input_above: int) -> str:
    return f"above {input_above:,} input" if input_above else "USD"


def _usd(rate: Pico, units: int) -> str:
    """Write a rate (pico-USD each) as the price of so many units, exactly."""
    whole, rest = divmod(rate * units, 10**12)
    digits = f"{rest:012d}".rstrip("0").ljust(2, "0")
    return f"{whole:,}.{digits}"
