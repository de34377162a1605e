"""The sections `prices` and `models`: what an operator knows better than the lists.

Owns the keys `glob` and `provider/glob`, and the check that every rate is exact. Rates stay decimal texts; `pricing/`
makes cards of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from bursar.config.problems import Place, Problems, guess, show
from bursar.config.providers import model_glob
from bursar.config.read import Fields, Read, entries, fields, scalar, tried
from bursar.config.settings import ModelRow, PriceRow
from bursar.config.tree import Node
from bursar.config.values import digits, truth, whole
from bursar.core.money import pico_per_token

__all__ = ["MODEL_KEYS", "PRICE_KEYS", "RATE_MAX", "read_models", "read_price", "read_prices"]

RATE_MAX = 1_000 * 10**12
"""The largest rate in pico-USD: 1,000 USD for one token, search or request. Beyond it a price is a mistake."""
MILLION = 1_000_000
ANY = "*"


def _rate(per: int) -> Callable[[str], str]:
    """Make a reader of a price in USD per so many units; it gives the plain decimal text."""

    def read(written: str) -> str:
        number = digits(written.removeprefix("$").lstrip())
        pico = pico_per_token(Decimal(number) * (MILLION // per))
        if pico > RATE_MAX:
            raise ValueError(f"{show(written)} is above $1,000 each: prices are USD per {per:,}")
        return number

    return read


_TOKENS = scalar(_rate(MILLION))
_RATES: Mapping[str, Read] = {
    "input": _TOKENS,
    "output": _TOKENS,
    "cached_input": _TOKENS,
    "cache_write": _TOKENS,
    "cache_write_1h": _TOKENS,
    "reasoning": _TOKENS,
    "input_audio": _TOKENS,
    "output_audio": _TOKENS,
    "web_search": scalar(_rate(1_000)),
    "request": scalar(_rate(1)),
}
PRICE_KEYS: Mapping[str, Read] = {**_RATES, "free": scalar(truth)}
MODEL_KEYS: Mapping[str, Read] = {
    "max_output_tokens": scalar(whole(1, 100_000_000)),
    "top_speed": scalar(whole(1, 1_000_000)),
}


def read_prices(node: Node, providers: tuple[str, ...], problems: Problems) -> tuple[PriceRow, ...]:
    """Read the operator's prices."""
    found = _by_model(node, providers, problems)
    return tuple(read_price(provider, model, value, problems) for provider, model, value in found)


def read_price(provider: str, model: str, node: Node, problems: Problems) -> PriceRow:
    """Read the price of one model (glob) at one provider, or at all (`*`)."""
    before = len(problems)
    found = fields(node, PRICE_KEYS, problems)
    is_free = found.pop("free", False)
    if len(problems) == before:
        _check_price(node.place, is_free, found, problems)
    return PriceRow(model, provider, is_free, tuple(found.items()))


def _check_price(place: Place, is_free: bool, rates: Fields, problems: Problems) -> None:
    if is_free and rates:
        problems.add(place, "is free and has rates: keep one of them")
    elif not is_free and not {"input", "output"} <= rates.keys():
        problems.add(place, "input and output are needed, in USD per million tokens; or free: true")
    elif not is_free and not any(Decimal(rate) for rate in rates.values()):
        problems.add(place, "every rate is 0: write free: true if that is meant")


def read_models(node: Node, providers: tuple[str, ...], problems: Problems) -> tuple[ModelRow, ...]:
    """Read the operator's facts about models."""
    rows = []
    for provider, model, value in _by_model(node, providers, problems):
        before = len(problems)
        found = fields(value, MODEL_KEYS, problems)
        if not found and len(problems) == before:
            problems.add(value.place, f"at least one of {' and '.join(MODEL_KEYS)} is needed")
        rows.append(ModelRow(model, provider, **found))
    return tuple(rows)


def _by_model(node: Node, providers: tuple[str, ...], problems: Problems) -> Iterator[tuple[str, str, Node]]:
    """Give (provider, model, value) for each key; a key that is wrong, or names the same again, is a problem."""
    seen: dict[tuple[str, str], int] = {}
    for key, value in entries(node, problems).items():
        split = tried(value.place, problems, lambda written: _split(written, providers), key)
        if split is None:
            continue
        folded = split[0], split[1].lower()
        if folded in seen:
            problems.add(value.place, f"names the same models as line {seen[folded]}: keep one of them")
        seen[folded] = value.place.line
        yield *split, value


def _split(written: str, providers: tuple[str, ...]) -> tuple[str, str]:
    """Split `provider/glob`. The part before the slash is a provider only where it is one: names hold slashes too."""
    first, slash, rest = written.partition("/")
    if not slash:
        return ANY, model_glob(written)
    if first == ANY or first in providers:
        return first, model_glob(rest)
    meant = guess(first, providers, likeness=0.8)
    if meant is not None:
        advice = f"did you mean '{meant}'? For a model of this name write '*/{written}'"
        raise ValueError(f"there is no provider {show(first)}; {advice}")
    return ANY, model_glob(written)
