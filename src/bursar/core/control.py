"""What an operator sets while bursar runs: keys, budgets, top-ups, prices, pauses, and the record of every change.

Owns the shapes. A store keeps them as documents by (kind, tenant, name) beside the ledger; every change adds one audit
row in the same act, and its number is the version that gateways watch. It must never hold a key itself: a key is known
by its digest alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

from bursar.core.budget import LIMIT_MAX, Limit, Unit, fits
from bursar.core.labels import Labels
from bursar.errors import HoldConflict, NotFound

__all__ = [
    "EVERY_TENANT",
    "TENANT_LENGTH_MAX",
    "AuditRow",
    "Change",
    "Condition",
    "ControlStore",
    "Document",
    "KeyRow",
    "Kind",
    "Pause",
    "Place",
    "Role",
    "TopUp",
    "is_tenant",
    "raised",
    "shown_before",
]

EVERY_TENANT = "*"
"""The tenant of what counts for all: prices, and pauses or budgets that each tenant has for itself."""
TENANT_LENGTH_MAX = 64
_TENANT = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{TENANT_LENGTH_MAX - 1}}}")


def is_tenant(name: str) -> bool:
    """Tell whether a text can name a tenant: letters, digits, `.`, `_` and `-`. `*` names none: it is all of them."""
    return _TENANT.fullmatch(name) is not None


class Kind(StrEnum):
    """What a document is."""

    KEY = "key"
    BUDGET = "budget"
    TOP_UP = "top_up"
    PRICE = "price"
    PAUSE = "pause"
    RUN = "run"
    """No document: what was done to a run stands in the audit log alone."""


class Condition(StrEnum):
    """What must be true of a document when a change is made."""

    ANY = "any"
    NEW = "new"
    EXISTS = "exists"


class Role(StrEnum):
    """What a key is for. None includes another: a key that reads reports cannot spend, and one that spends cannot read
    what others spent."""

    CALL = "call"
    """Call models, and see the budgets that these calls count against."""
    READ = "read"
    """Read its tenant's reports, budgets, calls and settings."""
    ADMIN = "admin"
    """Read and change what its tenant has."""


@dataclass(frozen=True, slots=True)
class Document:
    """One thing that was set. `body` and `shown` are JSON texts; `shown` is what people may see of it."""

    kind: Kind
    tenant: str
    name: str
    body: str
    shown: str
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Change:
    """One act of somebody: `body` None removes the document."""

    kind: Kind
    tenant: str
    name: str
    body: str | None
    shown: str
    """What the audit log and lists show of it afterwards; "" for nothing."""
    action: str
    """The act in the words of the command line: `key create`, `budget set`, `pause`."""
    actor: str
    """Who: `operator`, `key:ID` or `local:USER`."""
    at_ns: int
    condition: Condition = Condition.ANY


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One change as it is remembered for ever. `before` and `after` are JSON texts, "" where there was nothing."""

    seq: int
    at_ns: int
    tenant: str
    actor: str
    action: str
    kind: Kind
    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key, without the key."""

    id: str
    tenant: str
    name: str
    """What its owner calls it; the label `key` of its calls."""
    role: Role
    digest: str = field(repr=False)
    """HMAC-SHA256 of the key under the pepper, in hexadecimal, whole: the only way to find it."""
    hint: str
    """The last four characters, to recognise it by."""
    labels: Mapping[str, str]
    """Labels that every call with it has, whatever the client says."""
    may_set: frozenset[str]
    """Labels that the client may set; `tag.*` allows every tag."""
    created_ns: int
    expires_ns: int = 0
    """0 for never."""
    revoked_ns: int = 0
    """0 while it is in force. A rotated key is revoked at the end of the overlap, so this may lie in the future."""

    def is_live(self, at_ns: int) -> bool:
        """Tell whether it opens the door at an instant."""
        return (not self.expires_ns or at_ns < self.expires_ns) and (not self.revoked_ns or at_ns < self.revoked_ns)

    def allows(self, label: str) -> bool:
        """Tell whether the client may set this label itself."""
        return label in self.may_set or (label.startswith("tag.") and "tag.*" in self.may_set)


@dataclass(frozen=True, slots=True)
class TopUp:
    """More for one budget in one window: added to its limit there, and gone with the window."""

    id: str
    tenant: str
    identity: str
    """The budget's identity; its name may be used again for another."""
    budget: str
    scope: str
    """One balance's scope, as `user=ada`; "" for every scope of the budget."""
    starts_ns: int
    limit: Limit
    is_operators: bool = True
    """A tenant's key gave it otherwise: then it counts only for a budget that such a key has set."""

    def counts_for(self, identity: str, scope: str, starts_ns: int, unit: Unit) -> bool:
        """Tell whether a line has this much more."""
        return (
            self.identity == identity
            and self.starts_ns == starts_ns
            and self.limit.unit is unit
            and self.scope in ("", scope)
        )


@dataclass(frozen=True, slots=True)
class Pause:
    """Calls that are refused until somebody resumes them; no `match` stops everything."""

    id: str
    tenant: str
    match: tuple[tuple[str, tuple[str, ...]], ...]
    reason: str
    actor: str
    at_ns: int
    is_now: bool = False
    """What streams when it is set ends as well."""

    def stops(self, tenant: str, labels: Labels) -> bool:
        """Tell whether a call is paused."""
        is_theirs = self.tenant in (EVERY_TENANT, tenant)
        return is_theirs and all(fits(labels[label], patterns) for label, patterns in self.match)


Place: TypeAlias = tuple[Kind, str, str]
"""Where a document is: its kind, its tenant, its name."""


class ControlStore(Protocol):
    """What was set, as a ledger keeps it. Blocking; every act is atomic, and the conformance suite defines it."""

    def change(self, changes: Sequence[Change], seen: int | None = None) -> int:
        """Do all changes or none, in one transaction, in their order; returns the new version.

        Each adds one audit row, whose `before` is what the document showed until then. With `seen`, nothing is done
        and 0 is returned when that is not the version any more: what was decided on has changed, so decide again.
        Raises HoldConflict for a NEW one that is there, NotFound for an EXISTS one that is not.
        """
        ...

    def control_version(self) -> int:
        """Tell the number of the last change, 0 before the first. Cheap: gateways ask every second."""
        ...

    def documents(self, kind: Kind | None = None) -> Sequence[Document]:
        """Give all that is set now, of all tenants, sorted by kind, tenant and name."""
        ...

    def audit(self, tenant: str | None, most: int, before_seq: int | None = None) -> Sequence[AuditRow]:
        """Give the latest changes, the latest first, only those below `before_seq`; None: those of all tenants."""
        ...


def shown_before(changes: Iterable[Change], find: Callable[[Place], str | None]) -> list[str]:
    """Say what each document showed before its change, and check every condition before anything is written.

    `find` gives what a stored document shows, None when it is not there. Raises HoldConflict, NotFound.
    """
    now: dict[Place, str | None] = {}
    before = []
    for change in changes:
        place = (change.kind, change.tenant, change.name)
        was = now[place] if place in now else find(place)
        if change.condition is Condition.NEW and was is not None:
            raise HoldConflict(f"there is a {_word(change.kind)} {change.name!r} already")
        if change.condition is Condition.EXISTS and was is None:
            raise NotFound(f"there is no {_word(change.kind)} {change.name!r}")
        before.append(was or "")
        now[place] = None if change.body is None else change.shown
    return before


def _word(kind: Kind) -> str:
    return kind.replace("_", "-")


def raised(limit: Limit, top_ups: Iterable[TopUp], identity: str, scope: str, starts_ns: int) -> Limit:
    """Add what was given more to the limit of one line; never above the largest limit there is."""
    more = sum(each.limit.amount for each in top_ups if each.counts_for(identity, scope, starts_ns, limit.unit))
    return Limit(limit.unit, min(LIMIT_MAX[limit.unit], limit.amount + more)) if more else limit
