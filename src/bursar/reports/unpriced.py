"""Models that calls used though nobody knows their price.

Owns that list. It covers calls that a setting let through (`on_unknown_price: allow`, or no budget in USD); a call that
was refused for its price never reached a provider and is in no ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bursar.core.hold import State
from bursar.core.labels import Labels
from bursar.core.ledger import HoldRow

__all__ = ["CALLS_MOST", "Ledger", "Unpriced", "unpriced_models"]

CALLS_MOST = 10_000
"""So many of the latest calls are looked at."""
FLAG = "unpriced"


class Ledger(Protocol):
    """What this reads."""

    def holds(self, tenant: str, states: Sequence[State], most: int) -> Sequence[HoldRow]: ...


@dataclass(frozen=True, slots=True)
class Unpriced:
    """One model without a price."""

    provider: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    last_ns: int


def unpriced_models(ledger: Ledger, tenant: str, most: int = CALLS_MOST) -> tuple[Unpriced, ...]:
    """List them, the most used first."""
    found: dict[tuple[str, str], Unpriced] = {}
    for row in ledger.holds(tenant, (State.SETTLED, State.PRESUMED), most):
        if FLAG not in row.flags:
            continue
        labels = Labels(row.labels)
        name = (labels["provider"], labels["model"])
        was = found.get(name, Unpriced(*name, 0, 0, 0, 0))
        found[name] = Unpriced(
            *name,
            was.calls + 1,
            was.input_tokens + row.settled.input_tokens,
            was.output_tokens + row.settled.output_tokens,
            max(was.last_ns, row.opened_ns),
        )
    return tuple(sorted(found.values(), key=lambda each: (-each.calls, each.provider, each.model)))
