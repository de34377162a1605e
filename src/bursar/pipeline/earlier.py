"""An earlier response that a request continues: whose it is, and how much of it is input again.

Owns `previous_response_id`. The provider adds what it keeps to the input, so only the ledger can say how much that is;
what the ledger does not know, or knows as another tenant's, cannot be bounded and is refused.
"""

from __future__ import annotations

from dataclasses import replace

from bursar.core.hold import State
from bursar.pipeline.call import Call
from bursar.pipeline.ports import Store
from bursar.reports.anatomy import amounts_of
from bursar.wire.base import Refusal

__all__ = ["with_earlier"]

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
    if row.labels.get("provider") != call.provider.name:
        message = f"the response {named[:64]!r} is at another provider than {call.provider.name!r}"
        return Refusal(400, "bad_request", message, param=PARAM)
    amounts = amounts_of(row)
    return replace(call, earlier_tokens=amounts.input_tokens + amounts.output_tokens)
