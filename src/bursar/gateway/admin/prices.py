"""Prices over HTTP: what a model costs, the operator's own prices, and models that nobody can price.

Owns the step between a request and `actions/prices.py`, which decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from bursar.actions.lookup import cards, places
from bursar.actions.prices import PriceWish, remove_price, set_price
from bursar.actions.shown import price_json
from bursar.config.settings import PriceRow
from bursar.core.control import EVERY_TENANT
from bursar.core.window import to_datetime
from bursar.gateway.admin.bodies import ForceQuery, ListQuery, LookupQuery, PriceBody, TopQuery
from bursar.gateway.admin.desk import Answer, Asked, Desk, page
from bursar.reports.shown import card_json, unpriced_json
from bursar.reports.unpriced import unpriced_models
from bursar.wiring.prices import open_facts, open_list

__all__ = ["list_prices", "look_up", "put_price", "remove", "unknown"]


async def list_prices(desk: Desk, asked: Asked[ListQuery, None]) -> Answer:
    """List the operator's own prices, of the file and set while bursar runs."""
    in_file = desk.settings.prices
    rows = desk.state.all_prices(in_file)
    return page(rows, asked.query.limit, asked.query.after, _name, lambda row: _shown(row, in_file))


async def look_up(desk: Desk, asked: Asked[LookupQuery, None]) -> Answer:
    """Say what a model costs at the providers that would be asked; nothing is an unknown price."""
    return await asyncio.to_thread(_look_up, desk, asked.query, desk.now_ns())


def _look_up(desk: Desk, query: LookupQuery, now_ns: int) -> Answer:
    provider = None if query.provider is UNSET else query.provider
    where = places(desk.settings.providers, query.model, provider)
    facts = open_facts(desk.settings)
    found = cards(desk.engine.control.in_force.prices, where, query.tier, to_datetime(now_ns))
    return {"items": [card_json(card, facts.facts(card.provider, card.model), query.tier) for card in found]}


async def unknown(desk: Desk, asked: Asked[TopQuery, None]) -> Answer:
    """List models that were called without anybody knowing their price."""
    found = await desk.read(lambda ledger: unpriced_models(ledger, asked.tenant))
    return {"items": [unpriced_json(each) for each in found[: asked.query.limit]]}


async def put_price(desk: Desk, asked: Asked[ForceQuery, PriceBody]) -> Answer:
    """Set the price of a model."""
    price = msgspec.to_builtins(asked.body)
    wish = PriceWish(asked.names["provider"], asked.names["model"], price, asked.query.force)
    listed = open_list(desk.settings)
    row = await desk.change(asked, lambda ledger, by: set_price(ledger, desk.settings.prices, listed, wish, by))
    return _shown(row, ())


async def remove(desk: Desk, asked: Asked[None, None]) -> Answer:
    """Take out a price that was set."""
    provider, model = asked.names["provider"], asked.names["model"]
    in_file = desk.settings.prices
    await desk.change(asked, lambda ledger, by: remove_price(ledger, in_file, provider, model, by))
    return {"removed": f"{provider}/{model}", "tenant": EVERY_TENANT}


def _name(row: PriceRow) -> str:
    return f"{row.provider}/{row.model}"


def _shown(row: PriceRow, in_file: Sequence[PriceRow]) -> Answer:
    return {**price_json(row), "source": "file" if row in in_file else "set"}
