"""Which provider answers a call.

Owns the choice by wire and model name: `provider/model` names one, then the providers that claim the model, then the
first of the wire.
"""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase

from bursar.core.provider import Provider
from bursar.errors import BadRequest

__all__ = ["ProviderChoice"]


CHOSEN_MAX = 1_000
"""How many choices are remembered; beyond it the memory starts anew."""


class ProviderChoice:
    """The providers of a configuration, in its order."""

    def __init__(self, providers: tuple[Provider, ...]) -> None:
        self._by_name = {provider.name: provider for provider in providers}
        self._providers = providers
        self._chosen: dict[tuple[str, str], tuple[Provider, str]] = {}

    @property
    def names(self) -> Collection[str]:
        """Every provider's name."""
        return self._by_name.keys()

    def choose(self, wire: str, model: str, forced: str = "") -> tuple[Provider, str]:
        """Pick the provider for a model and give the model's name as that provider knows it.

        `forced` names one beside the model. Raises BadRequest when no configured provider answers this API.
        """
        if forced:
            return self.named(forced, wire), model
        chosen = self._chosen.get((wire, model))
        if chosen is None:
            chosen = self._choose(wire, model)
            if len(self._chosen) >= CHOSEN_MAX:
                self._chosen.clear()
            self._chosen[wire, model] = chosen
        return chosen

    def _choose(self, wire: str, model: str) -> tuple[Provider, str]:
        named, slash, rest = model.partition("/")
        provider = self._by_name.get(named) if slash and rest else None
        if provider is not None and wire in provider.wires:
            return provider, rest
        candidates = [provider for provider in self._providers if wire in provider.wires]
        for provider in candidates:
            if any(fnmatchcase(model, glob) for glob in provider.models):
                return provider, model
        for provider in candidates:
            if not provider.models:
                return provider, model
        raise BadRequest(f"no provider is configured for model {model!r} on this API", param="model")

    def fallbacks(self, provider: Provider, wire: str, model: str) -> tuple[tuple[Provider, str], ...]:
        """Give who may be asked when `provider` fails, with the model's name there: those that answer this wire.

        The list is tried flat: the fall-backs of a fall-back are its own matter.
        """
        found: list[tuple[Provider, str]] = []
        for written in provider.fallback:
            name, _, other_model = written.partition("/")
            other = self._by_name.get(name)
            if other is not None and wire in other.wires:
                found.append((other, other_model or model))
        return tuple(found)

    def named(self, name: str, wire: str) -> Provider:
        """Give a provider by its name. Raises BadRequest when it does not answer this API."""
        provider = self._by_name.get(name)
        if provider is None or wire not in provider.wires:
            raise BadRequest(f"provider {name!r} does not answer this API ({wire})")
        return provider

    def first(self, wire: str, forced: str = "") -> Provider:
        """Give the provider that answers this wire's routes without a model. Raises BadRequest when none does."""
        if forced:
            return self.named(forced, wire)
        provider = next((provider for provider in self._providers if wire in provider.wires), None)
        if provider is None:
            raise BadRequest("no provider is configured for this API")
        return provider
