"""What all changes share: who acts, what they may do, and deciding on what is set now.

Owns the rule that a key changes only what its own tenant has, and the loop that decides anew when something has changed
meanwhile. It must never widen what the one who acts may do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from bursar.config.problems import Problems
from bursar.core.control import EVERY_TENANT, Change, Document, KeyRow, Kind, Role, is_tenant
from bursar.errors import ConfigError, Forbidden, HoldConflict, NotFound, UsageError
from bursar.identity.keys import holds_key

__all__ = [
    "By",
    "Ledger",
    "checked_id",
    "checked_tenant",
    "decide",
    "encoded",
    "most_for",
    "refuse_any",
    "refuse_key",
    "require_right",
    "the_one",
]

T = TypeVar("T")

ATTEMPTS_MAX = 20
"""How often a change is decided anew because others changed something meanwhile."""
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")


class Ledger(Protocol):
    """What changes need."""

    def change(self, changes: Sequence[Change], seen: int | None = None) -> int: ...
    def control_version(self) -> int: ...
    def documents(self, kind: Kind | None = None) -> Sequence[Document]: ...


@dataclass(frozen=True, slots=True)
class By:
    """Who acts, and when. `grantor` is the key that acts; without one it is the operator, who may do everything."""

    actor: str
    """`operator`, `key:ID` or `local:USER`, as the audit log shows it."""
    at_ns: int
    grantor: KeyRow | None = None

    @classmethod
    def key(cls, row: KeyRow, at_ns: int) -> By:
        """Let a key act."""
        return cls(f"key:{row.id}", at_ns, row)

    @classmethod
    def local(cls, user: str, at_ns: int) -> By:
        """Let somebody act who can write the ledger's file."""
        return cls(f"local:{user}", at_ns)


def require_right(by: By, tenant: str) -> None:
    """Refuse a key that may not change what this tenant has. Raises Forbidden."""
    key = by.grantor
    if key is None:
        return
    if key.role is not Role.ADMIN or not key.is_live(by.at_ns):
        raise Forbidden(f"this needs a key with the role {Role.ADMIN}")
    if tenant != key.tenant:
        what = "what counts for all" if tenant == EVERY_TENANT else "another tenant's"
        raise Forbidden(f"a key changes what its own tenant has, not {what}")


def most_for(by: By, most: int) -> int:
    """Say how many things a tenant may have for the one who acts to add another: `most`, for the operator twice that.

    So whatever a tenant's keys have set, the operator has room for as much.
    """
    return most if by.grantor is not None else 2 * most


def decide(ledger: Ledger, kind: Kind | None, plan: Callable[[Sequence[Document]], tuple[Sequence[Change], T]]) -> T:
    """Decide on what is set now (documents of `kind`, or all), and do it only if nothing has changed meanwhile.

    `plan` gives the changes, none when there is nothing to do, and the result. It may be asked several times. Raises
    HoldConflict when others change something every time.
    """
    for _ in range(ATTEMPTS_MAX):
        seen = ledger.control_version()
        changes, result = plan(ledger.documents(kind))
        if not changes or ledger.change(changes, seen):
            return result
    raise HoldConflict("others are changing settings at this very moment: try again")


def the_one(documents: Iterable[Document], kind: Kind, tenant: str | None, name: str) -> Document:
    """Find a document by its id, of one tenant or (None) of any. Raises NotFound, the same for what is another's."""
    checked_id(name)
    for document in documents:
        if document.kind is kind and document.name == name and tenant in (None, document.tenant):
            return document
    raise NotFound(f"there is no {kind.replace('_', '-')} {name}")


def checked_tenant(tenant: str, *, may_be_every: bool = False) -> str:
    """Check a tenant's name. Raises UsageError."""
    if is_tenant(tenant) or (may_be_every and tenant == EVERY_TENANT):
        return tenant
    raise UsageError(
        "a tenant's name has letters, digits, '.', '_' and '-', at most 64 of them, and begins with a letter or digit",
        param="tenant",
    )


def checked_id(written: str) -> str:
    """Check an id that somebody wrote, so that nothing odd stands in a row or a message. Raises UsageError."""
    if holds_key(written):
        raise UsageError("that is a key itself, not the id of one: ids stand in the list of keys", param="id")
    if _ID.fullmatch(written) is None:
        raise UsageError("an id has letters, digits, '.', '_' and '-', at most 64 of them", param="id")
    return written


def refuse_key(written: str, param: str) -> None:
    """Refuse a text with a key in it, since what is set is shown and stays in the audit log. Raises UsageError."""
    if holds_key(written):
        raise UsageError("a key stands in it, and everybody may read this: write something else", param=param)


def refuse_any(problems: Problems) -> None:
    """Turn what the readers of the configuration found wrong into a refusal. Raises UsageError."""
    try:
        problems.raise_any()
    except ConfigError as error:
        raise UsageError(error.message, param=error.key or None) from error


def encoded(value: Any) -> str:
    """Write what a document holds."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
