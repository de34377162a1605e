"""Stop calls, and let them go on.

Owns what a pause may name. A key pauses and resumes what is its own tenant's; what the operator stopped for all, it
cannot let go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bursar.actions.acting import (
    By,
    Ledger,
    checked_tenant,
    decide,
    encoded,
    most_for,
    refuse_any,
    refuse_key,
    require_right,
    the_one,
)
from bursar.actions.control import is_operators, read_control
from bursar.config.budgets import read_match
from bursar.config.objects import tree_of
from bursar.config.problems import Problems
from bursar.core.control import EVERY_TENANT, Change, Condition, Document, Kind, Pause
from bursar.errors import Forbidden, HoldConflict, UsageError
from bursar.ids import new_id

__all__ = ["PauseWish", "list_pauses", "pause", "pause_json", "resume", "resume_all"]

PAUSES_MAX = 1_000
"""How many one tenant has in force."""
REASON_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class PauseWish:
    """What is to stop: calls whose labels match, of one tenant or (`*`) of all; without `match` every call."""

    tenant: str
    match: Mapping[str, Any] = field(default_factory=dict)
    """Labels with a value or a list of values, as `match:` of a budget."""
    reason: str = ""
    is_now: bool = False
    """End the streams that run, too."""


def pause(ledger: Ledger, wish: PauseWish, by: By) -> Pause:
    """Stop calls until somebody resumes them. Raises UsageError, Forbidden."""
    require_right(by, checked_tenant(wish.tenant, may_be_every=True))
    if len(wish.reason) > REASON_LENGTH_MAX or not wish.reason.isprintable():
        raise UsageError(f"a reason has at most {REASON_LENGTH_MAX} characters that can be printed", param="reason")
    refuse_key(wish.reason, "reason")
    refuse_key(encoded(wish.match), "match")
    problems = Problems()
    match = read_match(tree_of(wish.match, problems, "match"), problems)
    refuse_any(problems)
    found = Pause(new_id(by.at_ns), wish.tenant, match, wish.reason.strip(), by.actor, by.at_ns, wish.is_now)

    def plan(documents: Sequence[Document]) -> tuple[list[Change], None]:
        _check_room(documents, found, by)
        shown = encoded({**pause_json(found), "is_operators": by.grantor is None})
        act = ("pause", by.actor, by.at_ns, Condition.NEW)
        return [Change(Kind.PAUSE, found.tenant, found.id, shown, shown, *act)], None

    decide(ledger, Kind.PAUSE, plan)
    return found


def list_pauses(ledger: Ledger, tenant: str | None) -> tuple[Pause, ...]:
    """List what is paused for a tenant (what is stopped for all included), or (None) all, the oldest first."""
    found = read_control(ledger.documents(Kind.PAUSE)).pauses
    mine = (each for each in found if tenant is None or each.tenant in (tenant, EVERY_TENANT))
    return tuple(sorted(mine, key=lambda each: each.id))


def resume(ledger: Ledger, tenant: str | None, pause_id: str, by: By) -> None:
    """Let go on what one pause stopped; `tenant` None finds that of any. Raises NotFound, Forbidden."""

    def plan(documents: Sequence[Document]) -> tuple[list[Change], None]:
        document = the_one(documents, Kind.PAUSE, tenant, pause_id)
        _require_own(document, by)
        return [_resume(document, by)], None

    decide(ledger, Kind.PAUSE, plan)


def resume_all(ledger: Ledger, tenant: str | None, by: By) -> int:
    """Let go on what a tenant (None: anybody) has stopped, as far as the one who asks may; returns how many pauses."""

    def plan(documents: Sequence[Document]) -> tuple[list[Change], int]:
        mine = [each for each in documents if tenant in (None, each.tenant)]
        if by.grantor is not None:
            mine = [each for each in mine if not is_operators(each)]
        for document in mine:
            require_right(by, document.tenant)
        return [_resume(document, by) for document in mine], len(mine)

    return decide(ledger, Kind.PAUSE, plan)


def pause_json(row: Pause) -> dict[str, Any]:
    """Give what people may see of a pause: all of it."""
    return {
        "match": {label: list(patterns) for label, patterns in row.match},
        "reason": row.reason,
        "actor": row.actor,
        "at_ns": row.at_ns,
        "now": row.is_now,
    }


def _require_own(document: Document, by: By) -> None:
    require_right(by, document.tenant)
    if by.grantor is not None and is_operators(document):
        raise Forbidden(f"the operator paused this: ask them to resume {document.name}")


def _check_room(documents: Sequence[Document], wanted: Pause, by: By) -> None:
    """Refuse what is too many; whatever there is, the operator can stop everything."""
    most = most_for(by, PAUSES_MAX)
    is_emergency = by.grantor is None and not wanted.match
    if not is_emergency and sum(each.tenant == wanted.tenant for each in documents) >= most:
        raise HoldConflict(f"{most:,} pauses are in force already: resume some, or stop everything")


def _resume(document: Document, by: By) -> Change:
    act = ("resume", by.actor, by.at_ns, Condition.EXISTS)
    return Change(Kind.PAUSE, document.tenant, document.name, None, "", *act)
