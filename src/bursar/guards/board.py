"""Where runs stood when a call of theirs was last held in this process.

Owns that memory and its limit. It comes from the holds' own answers, so that no stage asks the ledger a further time;
of a run whose calls went elsewhere it knows nothing, or less than the ledger.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from bursar.core.admission import Balance, Line
from bursar.core.charge import ZERO, Amounts
from bursar.core.guards import GuardRule
from bursar.core.run import Guard, RunRow
from bursar.core.value import value

__all__ = ["RunBoard", "Standing"]

RUNS_MAX = 10_000


@value
class Standing:
    """One run as its last hold told."""

    row: RunRow
    lines: Sequence[Line]
    balances: Sequence[Balance]
    """What is used of each line."""
    added: Amounts
    """What a call has cost that is not in these balances yet: its close is still to be written."""

    def used(self, rule: GuardRule, at_ns: int) -> tuple[int, int]:
        """Give how much of a rule's limit is used, and the limit; (0, 0) where that is not known."""
        limit = rule.limit()
        if limit is not None:
            return self.row.figure_of(Guard(rule.guard), at_ns), self.row.most_of(limit)
        for line, balance in zip(self.lines, self.balances, strict=False):
            if line.budget == rule.budget and line.ends_ns > at_ns:
                return balance.settled + balance.presumed + self.added.amount(line.unit), line.limit
        return 0, 0


@dataclass(slots=True)
class RunBoard:
    """Of one process."""

    is_read: bool = True
    """Some guard looks at it; where none does nobody need tell it anything."""
    _known: OrderedDict[tuple[str, str], Standing] = field(default_factory=OrderedDict)

    def note(
        self, row: RunRow | None, lines: Sequence[Line], balances: Sequence[Balance], added: Amounts = ZERO
    ) -> None:
        """Take what a hold, or its close, told; None tells nothing of a run."""
        if row is None:
            return
        key = (row.tenant, row.run)
        self._known[key] = Standing(row, lines, balances, added)
        self._known.move_to_end(key)
        if len(self._known) > RUNS_MAX:
            self._known.popitem(last=False)

    def standing(self, tenant: str, run: str) -> Standing | None:
        """Say where a run stood; None when this process has not heard of it."""
        return self._known.get((tenant, run))
