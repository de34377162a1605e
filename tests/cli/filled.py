"""A ledger file filled through the ledger's own verbs, and the command line run on it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from click.testing import CliRunner, Result

from bursar.cli import main
from bursar.core.admission import Ask, Cover, Line
from bursar.core.budget import Budget
from bursar.core.charge import Amounts, Charge
from bursar.core.hold import Verb
from bursar.core.labels import Labels
from bursar.core.ledger import Granted, Note, Reservation
from bursar.core.run import RunAsk
from bursar.core.window import NS
from bursar.ids import new_id
from bursar.pipeline.budgets import Budgets
from bursar.stores.sqlite import SqliteLedger

HOUR = 3600 * NS
HELD = Cover(10_000_000_000, 20_000_000, 1000), Ask(500, 500)
"""$0.02 for 1,000 tokens in and 500 out."""
NOTE = Note(400, 200, 1000, 400, 200, "complete", 1234, 512)


@dataclass
class Filled:
    """A ledger with budgets; each call is held, then settled, presumed, released or left open."""

    path: Path
    budgets: tuple[Budget, ...] = ()
    now_ns: int = field(default_factory=time.time_ns)

    def __post_init__(self) -> None:
        # Every tenant's budgets, as they are for the one tenant of this ledger.
        self.budgets = tuple(replace(budget, tenant="default") for budget in self.budgets)
        self.ledger = SqliteLedger(self.path)
        self.ledger.define(self.budgets, self.now_ns)

    def call(
        self,
        labels: dict[str, str],
        amounts: Amounts | None = None,
        verb: Verb | None = Verb.SETTLE,
        *,
        flags: Iterable[str] = (),
        at_ns: int = 0,
        closed_ns: int = 0,
        process: str = "somewhere:1:2",
        price: str = "",
        tenant: str = "default",
        note: Note = NOTE,
        held: tuple[Cover, Ask] = HELD,
        is_watched: bool = False,
    ) -> str:
        """Record one call; amounts go with settle. A guard has seen its run where `is_watched`."""
        at_ns = at_ns or self.now_ns
        hold_id = new_id(at_ns)
        all_labels = Labels.of({"provider": "openai", "model": "gpt-4o", "wire": "openai.chat", **labels})
        cover, ask = held
        asked = Reservation(
            hold_id,
            tenant,
            process,
            at_ns,
            all_labels.pairs,
            cover,
            ask,
            self._lines(tenant, all_labels, at_ns),
            RunAsk(labels["run"]) if is_watched else None,
        )
        assert isinstance(self.ledger.reserve(asked), Granted)
        if verb is not None:
            charge = Charge(amounts or Amounts(requests=1), frozenset(flags), price) if verb is Verb.SETTLE else None
            self.ledger.close(hold_id, verb, closed_ns or at_ns + NS, charge, note)
        return hold_id

    def _lines(self, tenant: str, labels: Labels, at_ns: int) -> tuple[Line, ...]:
        budgets = Budgets(self.budgets)
        return budgets.lines(budgets.matching(tenant, labels), labels, at_ns)


def run(*words: object, env: dict[str, str] | None = None) -> Result:
    """Run a command; what it writes to stderr is apart."""
    return CliRunner().invoke(main, [str(word) for word in words], env=env)
