"""The price book: which card applies to a model of a provider, in a service tier, at a moment.

Owns the order (an operator's override, a provider declared free, the price list) and the cache of compiled cards. It
must never answer with a card of zeros that nobody asked for: an unknown price is None.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Lock
from types import MappingProxyType
from typing import NamedTuple

from bursar.core.bedrock_names import listed_names
from bursar.core.rates import Card
from bursar.core.window import to_datetime, to_ns
from bursar.pricing.names import MODEL_CHARS_MAX, fold_tier
from bursar.pricing.override import FREE, LongContext, PriceOverride, choose

__all__ = ["CARDS_MAX", "LongContext", "PriceBook", "PriceOverride", "Priced", "listed_models"]

CARDS_MAX = 4_096
"""How many compiled cards (unknown prices included) are remembered."""

GENAI_IDS: Mapping[str, str] = MappingProxyType(
    {
        "amazon": "aws",
        "azure-openai": "azure",
        "azure_openai": "azure",
        "bedrock": "aws",
        "copilot": "github-copilot",
        "fireworks-ai": "fireworks",
        "gemini": "google",
        "grok": "x-ai",
        "mistralai": "mistral",
        "moonshot": "moonshotai",
        "together-ai": "together",
        "togetherai": "together",
        "vertex": "google",
        "vertex-ai": "google",
        "xai": "x-ai",
        "z-ai": "zai",
    }
)
"""Names of providers in a configuration that the price list calls otherwise. Any other name is taken as it is."""

_BEDROCK = "aws"
_FROM_NS, _UNTIL_NS = to_ns(datetime.min.replace(tzinfo=UTC)), to_ns(datetime.max.replace(tzinfo=UTC))


class Priced(NamedTuple):
    """A card, or None for an unknown price, and when it holds: `[from_ns, until_ns)`."""

    card: Card | None
    from_ns: int = _FROM_NS
    until_ns: int = _UNTIL_NS


def _list_card(genai_id: str, names: tuple[str, str, str], at: datetime) -> Priced:
    # Late, because genai-prices takes about 260 ms to import, most of it pydantic: a book of overrides, and a command
    # that prices nothing, need not pay that. Python's import lock makes it safe from several threads.
    from bursar.pricing.listed import NOT_LISTED, SOURCE, edition, look_up  # noqa: PLC0415

    provider, model, tier = names
    listing = NOT_LISTED
    for name in listed_names(model) if genai_id == _BEDROCK else (model,):
        listing = look_up(genai_id, name, tier, at)
        if listing.tiers:
            break
    card = Card(provider, model, SOURCE, edition(), listing.tiers) if listing.tiers else None
    return Priced(card, to_ns(listing.valid_from), to_ns(listing.valid_until))


def listed_models(provider: str) -> tuple[str, ...]:
    """Name the models of a provider (as a configuration names it) that the price list knows."""
    from bursar.pricing.listed import model_names  # noqa: PLC0415 - late, as above

    return model_names(GENAI_IDS.get(provider.lower(), provider.lower()))


class PriceBook:
    """Find the card of a call. Safe from several threads; a repeated look-up takes about a microsecond.

    `free_providers` were declared local: whatever they serve costs nothing. `price_as` says which provider of the
    price list an own name stands for (`{"work-gateway": "openai"}`); a name that neither it nor the list knows has no
    prices but overrides.
    """

    def __init__(
        self,
        overrides: tuple[PriceOverride, ...] = (),
        free_providers: frozenset[str] = frozenset(),
        *,
        price_as: Mapping[str, str] = MappingProxyType({}),
        cards_max: int = CARDS_MAX,
    ) -> None:
        if cards_max < 1:
            raise ValueError("cards_max must be at least 1")
        named = [
            (override.provider.lower(), override.model.lower(), fold_tier(override.tier)) for override in overrides
        ]
        twice = [name for at, name in enumerate(named) if name in named[:at]]
        if twice:
            raise ValueError(f"the price of {' '.join(twice[0])!r} is stated twice")
        self._overrides = overrides
        self._free_providers = frozenset(name.lower() for name in free_providers)
        self._price_as = {name.lower(): genai_id.lower() for name, genai_id in price_as.items()}
        self._cards: OrderedDict[tuple[str, str, str], Priced] = OrderedDict()
        self._cards_max = cards_max
        self._lock = Lock()

    def card(self, provider: str, model: str, *, tier: str = "", at: datetime) -> Card | None:
        """Give the card that applies at `at` (with a time zone), or None: the price is unknown, which is never free.

        `tier` is the service tier in the provider's words (`flex`, `priority`, `batch`, `fast`). One that is not known
        to be sold for this model has no price either.
        """
        if at.tzinfo is None:
            raise ValueError("a price is looked up at a moment with a time zone")
        return self.priced(provider, model, tier, to_ns(at)).card

    def priced(self, provider: str, model: str, tier: str, at_ns: int) -> Priced:
        """Give the card that applies at an instant with the time for which it holds: none where it is to be asked for
        again, as with a name that no model has."""
        names = (provider, model, tier)
        with self._lock:
            found = self._cards.get(names)
            if found is not None and found.from_ns <= at_ns < found.until_ns:
                self._cards.move_to_end(names)
                return found
        if max(map(len, names)) > MODEL_CHARS_MAX:
            return Priced(None, at_ns, at_ns)
        found = self._find(provider.lower(), names, to_datetime(at_ns))
        with self._lock:
            self._cards[names] = found
            self._cards.move_to_end(names)
            if len(self._cards) > self._cards_max:
                self._cards.popitem(last=False)
        return found

    def _find(self, provider: str, names: tuple[str, str, str], at: datetime) -> Priced:
        own_name, model, tier = names[0], names[1], fold_tier(names[2])
        override = choose(self._overrides, provider, model, tier)
        if override is not None:
            source = "free" if override.is_free else "override"
            return Priced(Card(own_name, model, source, override.version, override.tiers()))
        if provider in self._free_providers:
            return Priced(Card(own_name, model, "free", "declared", FREE))
        genai_id = self._price_as.get(provider, provider)
        return _list_card(GENAI_IDS.get(genai_id, genai_id), (own_name, model, tier), at)
