"""What counts at this moment: budgets, prices, pauses.

Owns the one place where the stages look them up. It is replaced as a whole between two awaits, so that a call never
sees half of a change. It knows nothing of where they come from.
"""

from __future__ import annotations

from dataclasses import dataclass

from bursar.core.control import Pause
from bursar.core.labels import Labels
from bursar.pipeline.budgets import Budgets
from bursar.pricing.book import PriceBook
from bursar.wire.base import Refusal

__all__ = ["InForce"]


@dataclass(slots=True)
class InForce:
    """Replace the fields to change what counts."""

    budgets: Budgets
    prices: PriceBook
    pauses: tuple[Pause, ...] = ()
    link: str = ""
    """Where people ask for more."""

    def stopped(self, tenant: str, labels: Labels) -> Refusal | None:
        """Refuse a call that somebody paused; None when nobody did."""
        if not self.pauses:
            return None
        pause = next((pause for pause in self.pauses if pause.stops(tenant, labels)), None)
        if pause is None:
            return None
        whom = " and ".join(f"{label} {labels[label]!r}" for label, _ in pause.match) or "everything"
        reason = f": {pause.reason}" if pause.reason else ""
        return Refusal(402, "paused", f"An operator has paused {whom}{reason}. It goes on when somebody resumes it.")
