"""The attempts before the last one, of a call that was sent again inside its one hold.

Owns what they may have been billed: nobody told, so it is what was covered for each. It is added to what the last one
comes to, and is never given back.
"""

from __future__ import annotations

from dataclasses import replace

from bursar.core.admission import Cover
from bursar.core.charge import ZERO, Amounts, Charge
from bursar.core.hold import Verb
from bursar.core.value import value

__all__ = ["NONE_BEFORE", "Before"]


@value
class Before:
    """What the earlier attempts may have cost. Tokens are output tokens per choice."""

    count: int
    amounts: Amounts
    tokens: int

    def and_one(self, cover: Cover, tokens: int) -> Before:
        """Count one more, of which this much had been covered."""
        return Before(self.count + 1, self.amounts + cover.amounts(tokens), self.tokens + tokens)

    def added(self, verb: Verb, charge: Charge | None) -> tuple[Verb, Charge | None]:
        """Close with these as well: where the last attempt was free, they are what is settled."""
        if verb is Verb.RELEASE:
            verb, charge = Verb.SETTLE, Charge(ZERO, frozenset({"estimated"}))
        if charge is not None:
            flags = charge.flags | {"attempts", "estimated"}
            charge = replace(charge, amounts=charge.amounts + self.amounts, flags=flags)
        return verb, charge


NONE_BEFORE = Before(0, ZERO, 0)
