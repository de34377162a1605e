"""Facts of models that no price tells: the most they write, how fast, what tools add, whether writes are unasked.

Owns the dated data file, an operator's corrections, and what a provider's refusal has taught. A fact that nobody knows
is None, or errs towards more. It must never grow without a limit, since names come from clients.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from threading import Lock
from typing import Any

from bursar.core.usage import COUNT_MAX
from bursar.pricing.names import MODEL_CHARS_MAX, closeness, matches

__all__ = ["LEARNED_MAX", "FactOverride", "FactsBook", "ModelFacts"]

LEARNED_MAX = 1_024
"""How many learned maxima, and as many resolved facts, are remembered."""
LEARNED_LEAST = 256
"""No model writes less: a smaller number is a client's text, quoted in a refusal."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of one model of one provider."""

    max_output_tokens: int | None
    """The most output of one choice, reasoning included; None when unknown."""
    top_speed_tokens_per_s: int
    """An upper estimate: what may have been generated unseen is this times the elapsed time."""
    tool_overhead_tokens: int
    """Input that the provider adds unseen when a body has tools, rounded up: part of a strict ceiling."""
    charges_writes_unasked: bool
    """Cache writes are billed although the body does not ask for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactOverride:
    """Facts for a pattern of provider and model (`*` stands for any text); None leaves a fact to the next pattern.

    Raises ValueError for a fact that is not a positive whole number.
    """

    provider: str
    model: str
    max_output_tokens: int | None = None
    top_speed_tokens_per_s: int | None = None
    tool_overhead_tokens: int | None = None
    charges_writes_unasked: bool | None = None

    def __post_init__(self) -> None:
        for name in ("max_output_tokens", "top_speed_tokens_per_s", "tool_overhead_tokens"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not 1 <= value <= COUNT_MAX):
                raise ValueError(f"{name} of {self.model!r} is {value!r}: a positive whole number is needed")


def _fold(name: str) -> str:
    return name.lower().replace(".", "-")


def _records(data: Mapping[str, Any]) -> Iterable[FactOverride]:
    known = set(FactOverride.__dataclass_fields__) - {"provider", "model"}
    for row in data["models"]:
        stated = {name: row[name] for name in known & set(row)}
        for provider in row["providers"]:
            for model in row["models"]:
                yield FactOverride(provider=provider, model=model, **stated)


def _rank(record: FactOverride) -> tuple[tuple[bool, int], tuple[bool, int]]:
    return closeness(_fold(record.model)), closeness(_fold(record.provider))


@cache
def _dated() -> tuple[FactOverride, ...]:
    """Read the data file, the closest patterns first; the last one is the defaults."""
    data = json.loads((files("bursar.pricing") / "data" / "models.json").read_text("utf-8"))
    defaults = FactOverride(provider="*", model="*", charges_writes_unasked=False, **data["defaults"])
    return (*sorted(_records(data), key=_rank, reverse=True), defaults)


def _resolve(records: Iterable[FactOverride], provider: str, model: str) -> ModelFacts:
    found: dict[str, Any] = {}
    for record in records:
        if matches(_fold(record.provider), provider) and matches(_fold(record.model), model):
            for name in ModelFacts.__dataclass_fields__:
                value = getattr(record, name)
                if value is not None:
                    found.setdefault(name, value)
    return ModelFacts(**{"max_output_tokens": None, **found})


class FactsBook:
    """Find the facts of a model. Safe from several threads.

    An operator's `overrides` come before the data; what a provider said (`learn_maximum`) only lowers what is stated,
    and only for the tenant that it was said to: an error may repeat words of the client's own.
    """

    def __init__(self, overrides: tuple[FactOverride, ...] = ()) -> None:
        self._overrides = tuple(sorted(overrides, key=_rank, reverse=True))
        self._resolved: OrderedDict[tuple[str, str], ModelFacts] = OrderedDict()
        self._learned: OrderedDict[tuple[str, ...], int] = OrderedDict()
        self._lock = Lock()
        self.lessons = 0
        """How often something was learned: facts stay as they are as long as this does."""

    def facts(self, provider: str, model: str, tenant: str = "") -> ModelFacts:
        """Give what is known of a model; its maximum is None when nobody has said it (to this tenant)."""
        found = self._stated(provider, model)
        with self._lock:
            learned = self._learned.get((tenant, provider, model))
        if learned is not None and (found.max_output_tokens is None or learned < found.max_output_tokens):
            return replace(found, max_output_tokens=learned)
        return found

    def _stated(self, provider: str, model: str) -> ModelFacts:
        key = (provider, model)
        with self._lock:
            found = self._resolved.get(key)
            if found is not None:
                self._resolved.move_to_end(key)
                return found
        if max(len(provider), len(model)) > MODEL_CHARS_MAX:
            return _resolve(_dated()[-1:], "", "")
        found = _resolve((*self._overrides, *_dated()), _fold(provider), _fold(model))
        with self._lock:
            _remember(self._resolved, key, found)
        return found

    def stated_speed(self, provider: str, model: str) -> int | None:
        """Give the top speed that the operator states for a model, in tokens a second; None when none is stated."""
        if not any(record.top_speed_tokens_per_s for record in self._overrides):
            return None
        provider, model = _fold(provider), _fold(model)
        for record in self._overrides:
            is_meant = matches(_fold(record.provider), provider) and matches(_fold(record.model), model)
            if is_meant and record.top_speed_tokens_per_s:
                return record.top_speed_tokens_per_s
        return None

    def learn_maximum(self, provider: str, model: str, tokens: int, tenant: str = "") -> None:
        """Remember the output maximum that a provider's refusal named. A senseless number is not believed."""
        if not LEARNED_LEAST <= tokens <= COUNT_MAX or max(len(provider), len(model)) > MODEL_CHARS_MAX:
            return
        with self._lock:
            _remember(self._learned, (tenant, provider, model), tokens)
            self.lessons += 1


def _remember(kept: OrderedDict[Any, Any], key: tuple[str, ...], value: object) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > LEARNED_MAX:
        kept.popitem(last=False)
