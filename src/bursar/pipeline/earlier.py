"""An earlier response that a request continues: whose it is, and how much of it is input again.

Owns `previous_response_id`. The provider adds what it keeps to the input, so only the ledger can say how much that is;
what the ledger does not know, or knows as another tenant's, cannot be bounded and is refused. A response of a
fall-back is continued there.
"""

from __future__ import annotations

from dataclasses import replace

from bursar.core.hold import State
from bursar.core.ledger import HoldRow
from bursar.pipeline.call import Call
from bursar.pipeline.ports import Store
from bursar.reports.anatomy import amounts_of
from bursar.wire.base import Refusal

__all__ = ["answerer", "with_earlier"]

PARAM = "previous_response_id"


async def with_earlier(call: Call, store: Store) -> Call | Refusal:
    """Give the call with the tokens of the response that it continues. Raises StoreUnavailable."""
    named = call.request.previous_id
    if not named:
        return call
    row = await store.response(call.tenant, named)
    if row is None or row.state is State.RELEASED:
        message = f"the response {named[:64]!r} is not one that this gateway has seen: its size is not known"
        return Refusal(400, "bad_request", message, param=PARAM)
    owner = _towards(call, row)
    if owner is None:
        message = f"the response {named[:64]!r} is at another provider than {call.provider.name!r}"
        return Refusal(400, "bad_request", message, param=PARAM)
    amounts = amounts_of(row)
    return replace(owner, earlier_tokens=amounts.input_tokens + amounts.output_tokens)


def answerer(row: HoldRow) -> str:
    """Name the provider that answered a call: its fall-back's where one was asked in the end."""
    return row.note.answered_by.partition("/")[0] or row.labels.get("provider", "")


def _towards(call: Call, row: HoldRow) -> Call | None:
    """Send the call to whoever has the response: its own provider, or the fall-back that answered; None for others."""
    name = answerer(row)
    if name == call.provider.name:
        return call
    there = [target for target in call.fallbacks if target.provider.name == name]
    if not there or row.labels.get("provider") != call.provider.name:
        return None
    exactly = (target for target in there if f"{name}/{target.model}" == row.note.answered_by)
    return replace(call.towards(next(exactly, there[0])), fallbacks=())
