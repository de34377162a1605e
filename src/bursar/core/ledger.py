"""The words in which the pipeline and a store speak: what is asked, what is answered, what can be read.

Owns the shapes only. The contract of the verbs stands in `pipeline/ports.py`, its definition is the conformance suite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bursar.core.admission import Ask, Balance, Cover, Line
from bursar.core.budget import Unit
from bursar.core.charge import Amounts
from bursar.core.hold import State
from bursar.core.run import RunAsk, RunDenial, RunRow
from bursar.core.value import value
from bursar.core.window import FOREVER_NS

__all__ = [
    "BEGIN_MAX",
    "CARVE",
    "LAPSE_MAX",
    "LAST_PLACE",
    "BalanceRow",
    "Closed",
    "Extension",
    "Granted",
    "HoldRow",
    "Mismatch",
    "Note",
    "ProcessRow",
    "Refused",
    "Reservation",
    "SpendQuery",
    "SpendRow",
    "calls_in",
    "refuse_run",
    "slice_id",
]

BEGIN_MAX = 1_000
"""How many calls one chunk of a budget's beginning looks at, at the most."""
LAPSE_MAX = 500
"""How many open holds of a lapsed process become presumed at once, so that no one else waits long for the ledger."""

CARVE = "carve"
"""The `wire` of a hold that is no call: a part of a budget that was carved out of it. What is paid out of the part is
recorded call by call, so no report and no other budget counts the part itself."""

_SLICE = "~"
"""Stands in the id of a slice, and in that of no call."""

LAST_PLACE = (2**63 - 1, "")
"""An instant of opening and an id behind those of every call: where the list of calls, the latest first, begins."""


@value
class Reservation:
    """Everything a store needs to admit one call. The same id again must carry the same everything."""

    id: str
    tenant: str
    process: str
    at_ns: int
    labels: Mapping[str, str]
    """All labels, model and provider included, as recorded in the ledger."""
    cover: Cover
    ask: Ask
    lines: tuple[Line, ...]
    run: RunAsk | None = None
    """What is asked of the call's run; None where no guard looks at runs, and then nothing is written of one."""

    def is_same(self, tenant: str, labels: Mapping[str, str], cover: Cover, ask: Ask) -> bool:
        """Tell whether this asks for what an earlier reservation with the same id asked for.

        The instant, and the lines that follow from it and from the configuration, may differ: a retry comes later.
        """
        return self.tenant == tenant and self.cover == cover and self.ask == ask and dict(self.labels) == dict(labels)


class Granted(NamedTuple):
    """The call is held. `balances` go with the reservation's lines and include this hold; none are told where a hold
    went ahead of closes.

    When the same id was asked for again, both figures are what was granted before.
    """

    tokens: int
    room: int
    """The largest cap (per choice) that would have fitted at that moment, this hold's own share included."""
    balances: tuple[Balance, ...]
    run: RunRow | None = None
    """The call's run with this call in it, where something was asked of it."""


@value
class Refused:
    """The call is not held; nothing was changed, but for a run that a guard parked or stopped."""

    line: Line
    balance: Balance
    is_exhausted: bool
    run: RunDenial | None = None
    """Where the run refused, not a budget; `line` then names the place in which its calls wait."""


def refuse_run(asked: Reservation, denial: RunDenial) -> Refused:
    """Say that a run refused: its line is no budget's, it only names the place in which its calls wait."""
    scope = f"run={denial.row.run}"
    line = Line(f"guard {denial.guard or denial.row.state}", "guard", scope, 0, FOREVER_NS, Unit.REQUESTS, denial.most)
    return Refused(line, Balance(held=denial.figure), not denial.is_contended, denial)


@value
class Extension:
    """The answer to an extension: `tokens` are covered in all now; the same as before when it was refused."""

    tokens: int
    is_granted: bool
    line: Line | None = None
    """What has no room for more, where that is why."""


class Note(NamedTuple):
    """What the ledger keeps of a call beside the money: where its input sat, in bytes of text, and how it went."""

    system_bytes: int = 0
    tools_bytes: int = 0
    history_bytes: int = 0
    user_bytes: int = 0
    status: int = 0
    """The provider's HTTP status; 0 when there was none."""
    ended: str = ""
    """complete, capped, cut, hangup, error, lost."""
    duration_ms: int = 0
    cap: int = 0
    """The output cap that was sent; 0 for none."""
    shape_key: str = ""
    """Key of the input estimate's calibration."""
    answer_tokens: int = 0
    """What this answer teaches about the usual one, per choice (doubled where our own cap ended it); 0 for nothing."""
    answered_by: str = ""
    """`provider/model` of the fall-back that was asked in the end; empty for the provider that the labels name."""
    response_id: str = ""
    """The name under which a later request of this tenant can continue or read the answer."""
    earlier_tokens: int = 0
    """How much of the input was an earlier response that the body only named."""
    tool_calls: int = 0
    """How many tool calls the answer asked for."""
    seen: str = ""
    """What a guard saw in the request, in few words; empty for nothing."""


@value
class Closed:
    """A hold as it is after settle, release, presume or correct, with the balances of its lines.

    The balances of budgets that began while it was open come after those.
    """

    state: State
    amounts: Amounts
    """The true amounts; zero unless settled."""
    is_change: bool
    """False when the verb had been done before."""
    balances: tuple[Balance, ...] = ()


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """One balance as it is read: amounts in `unit` (nano-USD for usd)."""

    budget: str
    identity: str
    scope: str
    starts_ns: int
    ends_ns: int
    unit: Unit
    balance: Balance


@dataclass(frozen=True, slots=True)
class HoldRow:
    """One hold (and so one call) as it is read."""

    id: str
    tenant: str
    process: str
    state: State
    opened_ns: int
    closed_ns: int
    labels: Mapping[str, str]
    held: Amounts
    settled: Amounts
    flags: frozenset[str]
    price: str
    note: Note

    @property
    def is_unused(self) -> bool:
        """Tell whether this is no call, but a slice: one that is open, or was withdrawn."""
        is_withdrawn = self.state is State.SETTLED and not self.settled.requests
        return (is_withdrawn or self.state is State.OPEN) and calls_in(self.id) > 1

    @property
    def is_carve(self) -> bool:
        """Tell whether this is no call, but a part that was carved out of a budget."""
        return self.labels.get("wire") == CARVE


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process that may own open holds."""

    id: str
    beat_ns: int


@dataclass(frozen=True, slots=True)
class SpendQuery:
    """Sum the entries of one tenant in `[since, until)`, by labels."""

    tenant: str
    by: tuple[str, ...]
    since_ns: int
    until_ns: int
    match: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpendRow:
    """One group of a spend report: settled amounts, and what is only presumed."""

    values: tuple[str, ...]
    settled: Amounts
    presumed: Amounts
    calls: int


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One balance that does not equal the fold of the entries (P7)."""

    budget: str
    scope: str
    starts_ns: int
    unit: Unit
    book: str
    balance: int
    folded: int


def slice_id(hold_id: str, calls: int) -> str:
    """Name the hold that is made beside a call for so many that may follow it, two or more."""
    return f"{hold_id}{_SLICE}{calls}"


def calls_in(hold_id: str) -> int:
    """Tell for how many calls a hold was made: more than one for a slice."""
    _, _, calls = hold_id.rpartition(_SLICE)
    return int(calls) if calls != hold_id and calls.isdecimal() else 1
