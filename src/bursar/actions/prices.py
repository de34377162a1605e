"""Set the price of a model, and take it out.

Owns what may be set while bursar runs: never a price that the file states, and none far below the list's unless
somebody says that it is meant. A price that is too low lets everybody pass their budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from bursar.actions.acting import By, Ledger, decide, encoded, refuse_any, require_right
from bursar.config.objects import plain, tree_of
from bursar.config.prices import read_price
from bursar.config.problems import Place, Problems, near
from bursar.config.providers import model_glob
from bursar.config.settings import PriceRow
from bursar.core.control import EVERY_TENANT, Change, Condition, Document, Kind
from bursar.core.money import pico_per_token
from bursar.core.rates import Card
from bursar.errors import HoldConflict, NotFound, UsageError

__all__ = ["PriceList", "PriceWish", "remove_price", "set_price"]

ANY_PROVIDER = "*"
PRICES_MAX = 10_000
LOWER_MOST = 10
"""A price may be so many times lower than the list's before somebody must say that it is meant."""
_RATES = {
    "input": ("input_tokens", 1),
    "output": ("output_tokens", 1),
    "cached_input": ("cache_read_tokens", 1),
    "cache_write": ("cache_write_tokens", 1),
    "cache_write_1h": ("cache_write_1h_tokens", 1),
    "reasoning": ("reasoning_tokens", 1),
    "input_audio": ("input_audio_tokens", 1),
    "output_audio": ("output_audio_tokens", 1),
    "web_search": ("web_searches", 1_000),
    "request": ("request", 1_000_000),
}
"""The rate of a card that each key states, and how many millionths of its unit are priced."""


class PriceList(Protocol):
    """What the list says, without the operator's own prices."""

    @property
    def providers(self) -> Sequence[str]:
        """The names of the providers that are configured."""
        ...

    def cards(self, provider: str, model: str, at_ns: int) -> Iterable[Card]:
        """Give the list's card of each model that a price for `provider` (or `*`) and `model` (a glob) is about."""
        ...


@dataclass(frozen=True, slots=True)
class PriceWish:
    """A price to be set, with keys and values as under `prices:` in the file: rates, or `free: true`."""

    provider: str
    model: str
    price: Mapping[str, Any]
    force: bool = False
    """It is meant, though the list says much more."""


def set_price(ledger: Ledger, in_file: Sequence[PriceRow], listed: PriceList, wish: PriceWish, by: By) -> PriceRow:
    """Set a model's price, or change the one that was set. Raises UsageError with key and advice, Forbidden."""
    require_right(by, EVERY_TENANT)
    row, price = _read(listed, wish)
    _refuse_file(in_file, row.provider, row.model)
    if not wish.force:
        _refuse_lower(row, listed.cards(row.provider, row.model, by.at_ns))
    shown = encoded({"provider": row.provider, "model": row.model, "price": price})
    name = _name(row.provider, row.model)

    def plan(documents: Sequence[Document]) -> tuple[list[Change], None]:
        if len(documents) >= PRICES_MAX:
            raise HoldConflict(f"{PRICES_MAX:,} prices are set already")
        return [Change(Kind.PRICE, EVERY_TENANT, name, shown, shown, "price set", by.actor, by.at_ns)], None

    decide(ledger, Kind.PRICE, plan)
    return row


def remove_price(ledger: Ledger, in_file: Sequence[PriceRow], provider: str, model: str, by: By) -> None:
    """Take out a price that was set; then what the list says counts again. Raises NotFound, UsageError, Forbidden."""
    require_right(by, EVERY_TENANT)
    name = _name(provider, model)

    def plan(documents: Sequence[Document]) -> tuple[list[Change], None]:
        if all(each.name != name for each in documents):
            _refuse_file(in_file, provider, model)
            known = [each.name for each in documents]
            advice = near(name, known) if known else "none is set"
            raise NotFound(f"no price was set for {name[:128]!r}: {advice}")
        act = ("price remove", by.actor, by.at_ns, Condition.EXISTS)
        return [Change(Kind.PRICE, EVERY_TENANT, name, None, "", *act)], None

    decide(ledger, Kind.PRICE, plan)


def _name(provider: str, model: str) -> str:
    """Name a price. Models are looked up without regard to case."""
    return f"{provider}/{model}".lower()


def _read(listed: PriceList, wish: PriceWish) -> tuple[PriceRow, Any]:
    problems = Problems()
    names = (*listed.providers, ANY_PROVIDER)
    if wish.provider not in names:
        problems.add(
            Place("", 0, "provider"), f"there is no provider {wish.provider[:60]!r}; {near(wish.provider, names)}"
        )
    try:
        model_glob(wish.model)
        if not wish.model.isprintable():
            raise ValueError("a model's name can be printed")
    except ValueError as error:
        problems.add(Place("", 0, "model"), str(error))
    node = tree_of(wish.price, problems)
    refuse_any(problems)
    row = read_price(wish.provider, wish.model, node, problems)
    refuse_any(problems)
    return row, plain(node)


def _refuse_file(in_file: Iterable[PriceRow], provider: str, model: str) -> None:
    name = _name(provider, model)
    if any(_name(row.provider, row.model) == name for row in in_file):
        raise UsageError(f"the price of {name!r} is written in bursar.yaml: change it there", param="model")


def _refuse_lower(row: PriceRow, cards: Iterable[Card]) -> None:
    """Refuse what the list prices more than ten times higher: a slipped point would let everybody pass their budget."""
    said = {"input": "0", "output": "0"} if row.is_free else dict(row.rates)
    for card in cards:
        for name, text in said.items():
            field, per = _RATES[name]
            rate, listed = pico_per_token(Decimal(text) * per), getattr(card.tiers[0].rates, field)
            if rate * LOWER_MOST < listed:
                raise UsageError(
                    f"{name} of {card.model} at {card.provider} would be more than {LOWER_MOST} times lower than the "
                    f"list's ({card.version}), and budgets in USD would let as much more through. Prices are USD per "
                    "million tokens. If it is meant, say so: force",
                    param=name,
                )
