"""Clean up holds: presume what dead processes left open, and correct an amount that a person knows better.

Owns both acts. Each is one verb of the ledger; nothing is refunded here, and a call in flight is never touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bursar.core.charge import Amounts, Charge
from bursar.core.hold import State, Verb
from bursar.core.ledger import Closed, HoldRow, Note, ProcessRow
from bursar.core.money import Nano
from bursar.core.window import NS
from bursar.errors import HoldConflict, UsageError
from bursar.processes import is_gone
from bursar.reports.anatomy import amounts_of

__all__ = ["Corrected", "Correction", "Ledger", "correct", "lapse_gone"]


class Ledger(Protocol):
    """What these need."""

    def processes(self) -> Sequence[ProcessRow]: ...
    def lapse(self, process: str, at_ns: int) -> int: ...
    def hold(self, tenant: str, hold_id: str) -> HoldRow: ...
    def close(
        self, hold_id: str, verb: Verb, at_ns: int, charge: Charge | None = None, note: Note | None = None
    ) -> Closed: ...


@dataclass(frozen=True, slots=True)
class Correction:
    """What a call really came to. None keeps what is recorded: settled, else what was presumed."""

    hold_id: str
    cost_nano: Nano
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Corrected:
    """A call before and after its correction."""

    before: HoldRow
    after: HoldRow


def lapse_gone(ledger: Ledger, at_ns: int, lapse_s: float) -> int:
    """Presume, in full, the open holds of processes that are gone; returns how many there were.

    Gone is a process of this machine that no longer runs, or any that has been silent for `lapse_s`.
    """
    count = 0
    for row in ledger.processes():
        if is_gone(row.id) or row.beat_ns < at_ns - int(lapse_s * NS):
            while lapsed := ledger.lapse(row.id, at_ns):
                count += lapsed
    return count


def correct(ledger: Ledger, tenant: str, correction: Correction, at_ns: int) -> Corrected:
    """Replace what a call is recorded as by what it came to; the entry is flagged `corrected`.

    Raises NotFound, and HoldConflict with advice while the call is still open.
    """
    before = ledger.hold(tenant, correction.hold_id)
    if before.state is State.OPEN:
        raise HoldConflict(
            f"call {before.id} is still in flight in process {before.process}: its own truth will come. If that "
            "process is gone, `bursar holds lapse` presumes what it left, and then it can be corrected"
        )
    try:
        charge = Charge(_amounts(before, correction), price=before.price)
    except ValueError as error:
        raise UsageError(f"no ledger can count that: {error}") from error
    ledger.close(before.id, Verb.CORRECT, at_ns, charge)
    return Corrected(before, ledger.hold(tenant, correction.hold_id))


def _amounts(row: HoldRow, correction: Correction) -> Amounts:
    was = amounts_of(row)
    tokens_in = was.input_tokens if correction.input_tokens is None else correction.input_tokens
    tokens_out = was.output_tokens if correction.output_tokens is None else correction.output_tokens
    if min(tokens_in, tokens_out, correction.cost_nano) < 0:
        raise UsageError("a call came to nothing or more, never to less")
    cached = min(was.cached_tokens, tokens_in)
    return Amounts(
        cost_nano=correction.cost_nano,
        input_tokens=tokens_in,
        cached_tokens=cached,
        cache_write_tokens=min(was.cache_write_tokens, tokens_in - cached),
        output_tokens=tokens_out,
        reasoning_tokens=min(was.reasoning_tokens, tokens_out),
        requests=max(1, was.requests),
    )
