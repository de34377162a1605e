"""The headers in which a client is told of its call: what it came to, and what its tightest budgets have left.

Owns which they are. The words of a refusal, and what makes a client try again, are the refusals' matter.
"""

from __future__ import annotations

from collections.abc import Sequence

from bursar.core.admission import Balance, Line
from bursar.core.charge import Charge
from bursar.pipeline.call import Call
from bursar.pipeline.ratelimit import ratelimit_headers, tightest
from bursar.pipeline.refusals import balance_headers, plain_usd
from bursar.pipeline.watch import RunWatch

__all__ = ["call_headers"]


def call_headers(
    call: Call,
    watch: RunWatch | None,
    answered_by: str,
    charge: Charge | None,
    standing: Sequence[tuple[Line, Balance]],
    at_ns: int,
) -> list[tuple[str, str]]:
    """Write what is known of a call by now; `standing` are its lines, each with its balance."""
    headers = {"x-bursar-call": call.id}
    if watch is not None:
        headers |= watch.headers()
    if answered_by:
        headers["x-bursar-answered-by"] = answered_by
    if charge is not None:
        headers["x-bursar-cost-usd"] = plain_usd(charge.amounts.cost_nano)
    if call.request.dropped:
        headers["x-bursar-dropped"] = ", ".join(call.request.dropped)
    told = tightest(standing)
    if told:
        headers |= balance_headers(*told[0])
        headers |= ratelimit_headers(told, at_ns)
    return list(headers.items())
