"""From a call that ended to the record that observers get.

Owns which facts of a call are told outside; telemetry knows no call. It never tells a header, a body or a key.
"""

from __future__ import annotations

from bursar.core.charge import Charge
from bursar.core.hold import Verb
from bursar.core.ledger import Note
from bursar.pipeline.call import Call
from bursar.pipeline.offer import Offer
from bursar.telemetry.record import PRESUMED, REFUSED, RELEASED, SETTLED, CallRecord
from bursar.wire.base import Refusal

__all__ = ["closed_record", "refused_record"]

STATES = {Verb.SETTLE: SETTLED, Verb.RELEASE: RELEASED, Verb.PRESUME: PRESUMED, Verb.CORRECT: SETTLED}


def closed_record(call: Call, offer: Offer, verb: Verb, charge: Charge, note: Note, at_ns: int) -> CallRecord:
    """Tell of a call whose hold was closed: who was asked in the end, and what is charged, true or presumed."""
    return CallRecord(
        call.id,
        call.tenant,
        call.labels.pairs,
        offer.provider.name,
        offer.model,
        call.wire.name,
        STATES[verb],
        at_ns,
        charge.amounts,
        charge.flags,
        note.status,
        note.ended,
        note.duration_ms,
        call.request.is_stream,
        response_id=note.response_id,
    )


def refused_record(call: Call, refusal: Refusal, at_ns: int, budget: str = "") -> CallRecord:
    """Tell of a call for which nothing was held."""
    return CallRecord(
        call.id,
        call.tenant,
        call.labels.pairs,
        call.provider.name,
        call.model,
        call.wire.name,
        REFUSED,
        at_ns,
        status=refusal.status,
        is_stream=call.request.is_stream,
        code=refusal.code,
        budget=budget,
    )
