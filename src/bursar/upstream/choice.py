"""Which provider answers a call.

Owns the choice by wire and model name: `provider/model` names one, then the providers that claim the model, then the
first of the wire.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from bursar.core.provider import Provider
from bursar.errors import BadRequest

__all__ = ["ProviderChoice"]


class ProviderChoice:
    """The providers of a configuration, in its order."""

    def __init__(self, providers: tuple[Provider, ...]) -> None:
        self._by_name = {provider.name: provider for provider in providers}
        self._providers = providers

    def choose(self, wire: str, model: str) -> tuple[Provider, str]:
        """Pick the provider for a model and give the model's name as that provider knows it.

        Raises BadRequest when no configured provider answers this API.
        """
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

    def first(self, wire: str) -> Provider:
        """Give the provider that answers this wire's routes without a model. Raises BadRequest when none does."""
        provider = next((provider for provider in self._providers if wire in provider.wires), None)
        if provider is None:
            raise BadRequest("no provider is configured for this API")
        return provider
