"""One event per call, as attributes: OpenTelemetry's conventions for generative AI, and bursar's own beside them.

Owns the names; `docs/telemetry.md` lists each. It knows no exporter and no prompt: the conventions' attributes for
messages and instructions are never filled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from bursar.telemetry.bounded import clean
from bursar.telemetry.record import PRESUMED, REFUSED, SETTLED, CallRecord

__all__ = ["EVENT_NAME", "Attributes", "attributes_of"]

EVENT_NAME = "gen_ai.client.inference.operation.details"

Attributes: TypeAlias = dict[str, str | bool | int | float | Sequence[str]]

OPERATIONS: Mapping[str, str] = MappingProxyType(
    {
        "openai.completions": "text_completion",
        "openai.embeddings": "embeddings",
        "gemini.generate": "generate_content",
    }
)
"""What the conventions call a wire's operation; every other wire is `chat`."""


def attributes_of(record: CallRecord, labels: Sequence[str]) -> Attributes:
    """Write a record as attributes, with those of its labels that are listed."""
    found: Attributes = {
        "gen_ai.operation.name": OPERATIONS.get(record.wire, "chat"),
        "gen_ai.provider.name": clean(record.provider),
        "gen_ai.request.model": clean(record.labels.get("model") or record.model),
        "gen_ai.response.model": clean(record.model),
        "gen_ai.request.stream": record.is_stream,
        "bursar.call.id": record.id,
        "bursar.tenant": clean(record.tenant),
        "bursar.wire": record.wire,
        "bursar.state": record.state,
    }
    if record.state in (SETTLED, PRESUMED):
        found |= _amounts(record)
    if record.state == REFUSED:
        found["bursar.refusal.code"] = record.code
        if record.budget:
            found["bursar.refusal.budget"] = clean(record.budget)
    else:
        found["bursar.ended"] = record.ended
        found["bursar.duration_ms"] = record.duration_ms
    if record.status:
        found["http.response.status_code"] = record.status
    if error := _error(record):
        found["error.type"] = error
    if record.flags:
        found["bursar.flags"] = sorted(record.flags)
    return found | _labels(record.labels, labels)


def _amounts(record: CallRecord) -> Attributes:
    amounts = record.amounts
    return {
        "gen_ai.usage.input_tokens": amounts.input_tokens,
        "gen_ai.usage.output_tokens": amounts.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": amounts.cached_tokens,
        # The conventions are renaming the first to the second; whoever reads either finds it.
        "gen_ai.usage.cache_creation.input_tokens": amounts.cache_write_tokens,
        "gen_ai.usage.cache_write.input_tokens": amounts.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": amounts.reasoning_tokens,
        # Exact, and for dashboards in USD: the only place where money becomes a float, on its way out.
        "bursar.cost_nano_usd": amounts.cost_nano,
        "bursar.cost": amounts.cost_nano / 1e9,
    }


def _error(record: CallRecord) -> str:
    if record.state == REFUSED:
        return record.code
    if record.status >= 400:
        return str(record.status)
    return record.ended if record.ended in ("error", "lost") else ""


def _labels(values: Mapping[str, str], listed: Sequence[str]) -> Attributes:
    found: Attributes = {f"bursar.label.{name}": clean(values[name]) for name in listed if values.get(name)}
    for name, convention in (("agent", "gen_ai.agent.name"), ("session", "gen_ai.conversation.id")):
        if name in listed and values.get(name):
            found[convention] = clean(values[name])
    return found
