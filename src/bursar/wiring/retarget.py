"""Another model for a call that was on its way to one: the provider that answers it, as that provider speaks.

Owns that step, for stages that may choose a cheaper model. A name that nobody answers on this API changes nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from bursar.core.labels import Labels
from bursar.errors import BadRequest
from bursar.pipeline.call import Call, Target
from bursar.upstream.choice import ProviderChoice
from bursar.wiring.wires import Wires

__all__ = ["Retarget"]

log = logging.getLogger("bursar.engine")


@dataclass(frozen=True, slots=True)
class Retarget:
    """Sends calls to another model."""

    choice: ProviderChoice
    wires: Wires
    is_in_place: bool = False
    """The call stays on the connection of the program that makes it, so only the model in its body can change."""

    def __call__(self, call: Call, name: str) -> Call:
        if self.is_in_place:
            return self._in_place(call, name)
        try:
            provider, model = self.choice.choose(call.request.wire, name, "" if "/" in name else call.provider.name)
        except BadRequest as error:
            log.error("a guard's cheaper model cannot be asked: %s", error.message)
            return call
        if call.request.previous_id and provider.name != call.provider.name:
            return call  # What an earlier response holds is at its own provider alone.
        wire = self.wires.spoken_by(call.wire, provider)
        path, query = wire.path(model), call.path.partition("?")[2]
        target = Target(provider, model, wire, path if "?" in path or not query else f"{path}?{query}")
        return self._towards(call, target)

    def _in_place(self, call: Call, name: str) -> Call:
        named, _, model = name.rpartition("/")
        if named not in ("", call.provider.name) or call.wire.path(model) != call.wire.path(call.model):
            log.error("a guard's cheaper model %s cannot be asked on this program's connection", name)
            return call
        return self._towards(call, Target(call.provider, model, call.wire, call.path))

    def _towards(self, call: Call, target: Target) -> Call:
        provider, model = target.provider, target.model
        labels = Labels({**call.labels.pairs, "provider": provider.name, "model": model})
        return replace(call.towards(target), labels=labels)
