"""`bursar.spend`: what was spent on whom, out of the ledger, as small values. Owns their shape; it adds nothing up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bursar.client.runtime import runtime
from bursar.config.problems import near
from bursar.core.labels import LABEL_NAMES, is_label
from bursar.core.ledger import SpendQuery
from bursar.core.money import NANO_PER_USD
from bursar.core.window import FOREVER_NS
from bursar.errors import UsageError
from bursar.wiring.local import TENANT

__all__ = ["Spent", "spend"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Spent:
    """What calls with the same labels came to; `(none)` stands for a label that they do not have."""

    labels: Mapping[str, str]
    cost: Decimal
    """USD, settled and presumed."""
    presumed: Decimal
    """Of it, what is only presumed."""
    calls: int
    input_tokens: int
    output_tokens: int


def spend(
    by: Sequence[str] = ("agent",),
    *,
    since: datetime | timedelta | None = None,
    until: datetime | None = None,
    where: Mapping[str, str] | None = None,
) -> tuple[Spent, ...]:
    """Say what was spent by labels, the dearest first: `bursar.spend(by=("agent", "model"), since=timedelta(days=7))`.

    `since` is an instant or an age (None: from the beginning), `where` keeps calls with these labels alone. A time
    without a zone is this machine's own. Raises UsageError and StoreUnavailable.
    """
    if isinstance(by, str):
        by = (by,)
    match = dict(where or {})
    for name in (*by, *match):
        if not is_label(name):
            raise UsageError(f"{name!r} is no label; {near(name, LABEL_NAMES)}")
    engine = runtime.engine()
    now_ns = engine.clock()
    if isinstance(since, timedelta):
        since_ns = max(0, now_ns - since // timedelta(microseconds=1) * 1000)
    else:
        since_ns = 0 if since is None else _ns(since)
    rows = engine.spend(SpendQuery(TENANT, tuple(by), since_ns, FOREVER_NS if until is None else _ns(until), match))
    found = []
    for row in rows:
        total = row.settled + row.presumed
        found.append(
            Spent(
                dict(zip(by, row.values, strict=True)),
                Decimal(total.cost_nano) / NANO_PER_USD,
                Decimal(row.presumed.cost_nano) / NANO_PER_USD,
                row.calls,
                total.input_tokens,
                total.output_tokens,
            )
        )
    return tuple(sorted(found, key=lambda each: (-each.cost, -each.calls, tuple(each.labels.values()))))


def _ns(instant: datetime) -> int:
    aware = instant if instant.tzinfo is not None else instant.astimezone()
    return max(0, (aware.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1000)
