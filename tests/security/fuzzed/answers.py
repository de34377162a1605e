"""Whole answers and errors of every API, mutated, through what reads them: understood or not, and nothing raised."""

from __future__ import annotations

import json
from random import Random

from tests.security.fuzzed.mutate import broken_bytes, mutated, written
from tests.security.fuzzed.provided import ANSWERS, ERRORS
from tests.security.fuzzed.samples import BODIES

from bursar.wire.base import Request, Wire
from bursar.wiring.wires import Named, Wires

__all__ = ["check_answer"]

_WIRES = Wires(2**20)
_NAMES = {
    "openai": "openai.chat",
    "completions": "openai.completions",
    "embeddings": "openai.embeddings",
    "anthropic": "anthropic.messages",
    "responses": "openai.responses",
}
STATUSES = (200, 200, 200, 400, 404, 408, 429, 500, 503, 529)


def _known() -> dict[str, tuple[Wire, Request]]:
    wires: dict[str, Wire] = {name: _WIRES.wire(full) for name, full in _NAMES.items()}
    wires["gemini"] = _WIRES.naming(Named("m", "v1beta", is_stream=False, is_sse=False))
    return {name: (wire, wire.parse(json.dumps(BODIES[name][0]).encode())) for name, wire in wires.items()}


KNOWN = _known()


def check_answer(random: Random) -> str:
    """Read one answer that is nearly right."""
    name = random.choice(tuple(ANSWERS))
    wire, request = KNOWN[name]
    value = random.choice(ANSWERS[name] if random.random() < 0.75 else ERRORS)
    body = written(random, mutated(random, value, random.randrange(4)))
    if random.random() < 0.1:
        body = broken_bytes(random, body)
    status = random.choice(STATUSES)
    is_error = wire.is_provider_error(status, body)
    for named in (wire.named_maximum(status, body), wire.named_room(status, body)):
        assert named is None or named > 0
    answer = wire.read_whole(request, body)
    if answer is None:
        return f"answers: {name}: {'error' if is_error else 'not understood'}"
    assert answer.visible_tokens >= 0
    assert answer.usage is None or answer.usage.output_total >= 0
    assert answer.cost_reported is None or answer.cost_reported > 0
    return f"answers: {name}: {'told' if answer.usage else 'counted'}"
