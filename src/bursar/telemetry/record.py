"""What may be told outside about one call that has ended, and who is told.

Owns the one shape that metrics and events are made of. It must never carry a prompt, an answer or a key; what is not a
field here cannot leave.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

from bursar.core.charge import ZERO, Amounts
from bursar.core.value import value
from bursar.wire.base import CallMark

__all__ = ["PRESUMED", "REFUSED", "RELEASED", "SETTLED", "CallRecord", "Observer", "tell"]

log = logging.getLogger("bursar.telemetry")

SETTLED = "settled"
PRESUMED = "presumed"
RELEASED = "released"
REFUSED = "refused"


@value
class CallRecord:
    """One call that was closed, or refused before anything was held."""

    id: str
    tenant: str
    labels: Mapping[str, str]
    """What the call came with; `provider` and `model` among them are what was asked for."""
    provider: str
    """Who was asked in the end, a fall-back included."""
    model: str
    """Its model as that provider knows it; a client may have chosen it, so it can be any text."""
    wire: str
    state: str
    """settled, presumed, released or refused."""
    at_ns: int
    """When it ended."""
    amounts: Amounts = ZERO
    """The true amounts; of a presumed call all that was held; else zero."""
    flags: frozenset[str] = frozenset()
    status: int = 0
    """The provider's HTTP status, of a refused call bursar's own; 0 when there was none."""
    ended: str = ""
    """complete, capped, cut, hangup, error, lost; empty for a refused call."""
    duration_ms: int = 0
    """From the hold to the end; 0 for a refused call."""
    is_stream: bool = False
    code: str = ""
    """Why it was refused, as in the refusal; empty for all others."""
    budget: str = ""
    """The budget that refused it."""
    response_id: str = ""
    """The name under which a later request can continue its answer; it stays in the process."""
    asked: tuple[CallMark, ...] = ()
    """Digests of the tool calls of such an answer; they stay in the process."""


class Observer(Protocol):
    """Somebody who wants to know of calls that ended."""

    def call_ended(self, record: CallRecord) -> None:
        """Take note. It runs on the call's own way: it must neither wait nor raise."""
        ...


def tell(observers: Iterable[Observer], record: CallRecord) -> None:
    """Tell every observer. One that fails is logged: by now the money is settled, and the answer is the client's."""
    for observer in observers:
        try:
            observer.call_ended(record)
        except Exception:
            # The outermost frame of telling: no observer's bug may cost an answer.
            log.exception("an observer failed at call %s", record.id)
