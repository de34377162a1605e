"""Records as calls leave them, for tests."""

from __future__ import annotations

from typing import Any

from bursar.core.charge import Amounts
from bursar.telemetry.record import SETTLED, CallRecord

AMOUNTS = Amounts(1_234_567_891, 100, 40, 10, 20, 5, 1)


def record(**more: Any) -> CallRecord:
    """A settled call of an agent, unless told otherwise; `labels` are laid over its own."""
    labels = {"provider": "openai", "model": "gpt-x", "wire": "openai.chat", "agent": "bot", "user": "ada@example.com"}
    labels |= more.pop("labels", {})
    fields: dict[str, Any] = {
        "id": "01call",
        "tenant": "default",
        "labels": labels,
        "provider": labels["provider"],
        "model": labels["model"],
        "wire": "openai.chat",
        "state": SETTLED,
        "at_ns": 1_700_000_000_000_000_000,
        "amounts": AMOUNTS,
        "status": 200,
        "ended": "complete",
        "duration_ms": 1_500,
    }
    return CallRecord(**(fields | more))
