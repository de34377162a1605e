"""What an operator sets while bursar runs: keys, budgets, top-ups, prices, pauses, and the record of every change.

Owns the shapes. A store keeps them as documents by (kind, tenant, name) beside the ledger; every change adds one audit
row in the same act, and its number is the version that gateways watch. It must never hold a key itself: a key is known
by its digest alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bursar.core.budget import Limit, Unit, fits
from bursar.core.labels import Labels

__all__ = [
    "EVERY_TENANT",
    "AuditRow",
    "Change",
    "Condition",
    "Document",
    "KeyRow",
    "Kind",
    "Pause",
    "Role",
    "TopUp",
]

EVERY_TENANT = "*"
"""The tenant of what counts for all: prices, and pauses or budgets that each tenant has for itself."""


class Kind(StrEnum):
    """What a document is."""

    KEY = "key"
    BUDGET = "budget"
    TOP_UP = "top_up"
    PRICE = "price"
    PAUSE = "pause"


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

    def stops(self, tenant: str, labels: Labels) -> bool:
        """Tell whether a call is paused."""
        is_theirs = self.tenant in (EVERY_TENANT, tenant)
        return is_theirs and all(fits(labels[label], patterns) for label, patterns in self.match)
