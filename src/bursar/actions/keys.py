"""Make, list, rotate and revoke keys.

Owns what a key may be, and the rule that nobody gives more than they have: a key that makes a key makes one of its own
tenant, with no label, freedom or time that it has not itself. A key is returned once, by the act that makes it, and
stands nowhere else: not in the ledger, the audit log, a list or an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bursar.actions.acting import By, Ledger, checked_tenant, decide, encoded, most_for, require_right, the_one
from bursar.actions.control import key_row, parsed, read_control
from bursar.core.control import Change, Condition, Document, KeyRow, Kind, Role
from bursar.core.labels import LABEL_NAMES, NONE, OTHER, TAG_PREFIX, VALUE_LENGTH_MAX, Labels, is_label
from bursar.core.window import NS
from bursar.errors import Forbidden, HoldConflict, UsageError
from bursar.identity.keys import digest, hint, holds_key, mint
from bursar.ids import new_id

__all__ = ["OVERLAP_S_MAX", "SETTABLE", "KeyWish", "create_key", "key_json", "list_keys", "revoke_key", "rotate_key"]

SETTABLE = tuple(name for name in LABEL_NAMES if name not in ("key", "provider", "model", "wire"))
"""Labels that a key may fix or let its clients set, beside `tag.NAME`; bursar itself knows the others."""
ANY_TAG = f"{TAG_PREFIX}*"
NAME_LENGTH_MAX = 64
KEYS_MAX = 100_000
"""How many keys one tenant may have, revoked ones included."""
OVERLAP_S_MAX = 90 * 86_400


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a new key is to be. `expires_ns` 0 is never."""

    tenant: str
    name: str
    role: Role = Role.CALL
    labels: Mapping[str, str] = field(default_factory=dict)
    may_set: frozenset[str] = frozenset()
    expires_ns: int = 0


def create_key(ledger: Ledger, pepper: bytes, wish: KeyWish, by: By) -> tuple[KeyRow, str]:
    """Make a key; returns its row and the key itself, this once.

    Raises UsageError for a wish that makes no sense, Forbidden for one that is more than the grantor has, HoldConflict
    when the tenant has a key of this name in force.
    """
    require_right(by, checked_tenant(wish.tenant))
    _check_wish(wish, by.at_ns)
    token, key_id = mint(), new_id(by.at_ns)
    row = KeyRow(
        id=key_id,
        tenant=wish.tenant,
        name=wish.name,
        role=wish.role,
        digest=digest(pepper, token),
        hint=hint(token),
        labels=dict(sorted(wish.labels.items())),
        may_set=wish.may_set,
        created_ns=by.at_ns,
        expires_ns=wish.expires_ns,
    )
    _check_grant(row, by)

    def plan(documents: Sequence[Document]) -> tuple[list[Change], None]:
        _check_room(documents, row.tenant, by)
        _check_name(documents, row, by.at_ns)
        return [_change(row, "key create", by, Condition.NEW)], None

    decide(ledger, Kind.KEY, plan)
    return row, token


def list_keys(ledger: Ledger, tenant: str | None) -> tuple[KeyRow, ...]:
    """List the keys of a tenant, or (None) of all, the oldest first; expired and revoked ones are among them."""
    rows = read_control(ledger.documents(Kind.KEY)).keys
    return tuple(sorted((row for row in rows if tenant in (None, row.tenant)), key=lambda row: (row.tenant, row.id)))


def rotate_key(
    ledger: Ledger, pepper: bytes, tenant: str | None, key_id: str, overlap_s: int, by: By
) -> tuple[KeyRow, str]:
    """Make a key that is as this one, which ends when the overlap has passed; returns the new row and key, this once.

    `tenant` None finds the key of any. Raises NotFound, HoldConflict for a key that is not in force any more,
    Forbidden for one that has more than the grantor.
    """
    if not 0 <= overlap_s <= OVERLAP_S_MAX:
        raise UsageError(f"an overlap lasts 0 to {OVERLAP_S_MAX // 86_400} days", param="overlap_s")
    token, new = mint(), new_id(by.at_ns)
    ends_ns = by.at_ns + overlap_s * NS

    def plan(documents: Sequence[Document]) -> tuple[list[Change], KeyRow]:
        old = _in_force(documents, tenant, key_id, by)
        row = replace(old, id=new, digest=digest(pepper, token), hint=hint(token), created_ns=by.at_ns, revoked_ns=0)
        _check_grant(row, by)
        if old.revoked_ns:
            raise HoldConflict(f"key {old.id} was rotated already: rotate the key that took its place")
        _check_room(documents, row.tenant, by)
        over = replace(old, revoked_ns=ends_ns)
        return [
            _change(row, "key rotate", by, Condition.NEW),
            _change(over, "key rotate", by, Condition.EXISTS),
        ], row

    return decide(ledger, Kind.KEY, plan), token


def revoke_key(ledger: Ledger, tenant: str | None, key_id: str, by: By) -> KeyRow:
    """End a key now. One that has ended before stays as it is. Raises NotFound, Forbidden."""

    def plan(documents: Sequence[Document]) -> tuple[list[Change], KeyRow]:
        row = parsed(key_row, the_one(documents, Kind.KEY, tenant, key_id))
        require_right(by, row.tenant)
        if row.revoked_ns and row.revoked_ns <= by.at_ns:
            return [], row
        over = replace(row, revoked_ns=by.at_ns)
        return [_change(over, "key revoke", by, Condition.EXISTS)], over

    return decide(ledger, Kind.KEY, plan)


def key_json(row: KeyRow) -> dict[str, Any]:
    """Give what people may see of a key: everything but its digest."""
    return {
        "name": row.name,
        "role": str(row.role),
        "hint": row.hint,
        "labels": dict(row.labels),
        "may_set": sorted(row.may_set),
        "created_ns": row.created_ns,
        "expires_ns": row.expires_ns,
        "revoked_ns": row.revoked_ns,
    }


def _change(row: KeyRow, action: str, by: By, condition: Condition) -> Change:
    shown = key_json(row)
    body = encoded({**shown, "digest": row.digest})
    return Change(Kind.KEY, row.tenant, row.id, body, encoded(shown), action, by.actor, by.at_ns, condition)


def _in_force(documents: Iterable[Document], tenant: str | None, key_id: str, by: By) -> KeyRow:
    row = parsed(key_row, the_one(documents, Kind.KEY, tenant, key_id))
    require_right(by, row.tenant)
    if not row.is_live(by.at_ns):
        raise HoldConflict(f"key {row.id} is not in force any more: make a new one")
    return row


def _check_room(documents: Sequence[Document], tenant: str, by: By) -> None:
    most = most_for(by, KEYS_MAX)
    if sum(each.tenant == tenant for each in documents) >= most:
        raise HoldConflict(f"tenant {tenant} has {most:,} keys already, revoked ones included")


def _check_name(documents: Sequence[Document], wanted: KeyRow, at_ns: int) -> None:
    for row in read_control(documents).keys:
        if (row.tenant, row.name) == (wanted.tenant, wanted.name) and row.is_live(at_ns):
            raise HoldConflict(
                f"key {row.id} is named {row.name!r}, too: reports could not tell them apart. Choose another name"
            )


def _check_wish(wish: KeyWish, at_ns: int) -> None:
    if not _is_value(wish.name) or len(wish.name) > NAME_LENGTH_MAX:
        raise UsageError(f"a key's name has 1 to {NAME_LENGTH_MAX} characters that can be printed", param="name")
    for label, value in wish.labels.items():
        _check_label(label, "labels")
        if not _is_value(value):
            raise UsageError(
                f"the value of label {label} has 1 to {VALUE_LENGTH_MAX} characters that can be printed, and is not "
                f"{NONE} or {OTHER}",
                param=f"labels.{label}",
            )
    for label in wish.may_set:
        if label != ANY_TAG:
            _check_label(label, "may_set")
        if label in wish.labels:
            raise UsageError(f"label {label} is fixed, so that no client may set it: keep one of both", param="may_set")
    if wish.expires_ns and wish.expires_ns <= at_ns:
        raise UsageError("the key would have expired already", param="expires_ns")


def _check_label(label: str, param: str) -> None:
    is_ours = label in SETTABLE or (label.startswith(TAG_PREFIX) and is_label(label) and len(label) <= VALUE_LENGTH_MAX)
    if not is_ours or (label.startswith(TAG_PREFIX) and "*" in label):
        names = ", ".join((*SETTABLE, "tag.NAME"))
        raise UsageError(f"{label[:60]!r} is no label that a key can give: write one of {names}", param=param)


def _is_value(text: str) -> bool:
    """Tell whether a text stays what it is as the value of a label, and is no key."""
    return not holds_key(text) and Labels.of({"agent": text}).pairs.get("agent") == text


def _check_grant(row: KeyRow, by: By) -> None:
    """Refuse what is more than the grantor has. Raises Forbidden."""
    own = by.grantor
    if own is None:
        return
    require_right(by, row.tenant)
    for label, value in own.labels.items():
        if row.labels.get(label) != value:
            raise Forbidden(f"every key that this one makes has the label {label}={value}")
    for label in row.labels:
        if label not in own.labels and not own.allows(label):
            raise Forbidden(f"this key may not set the label {label}, nor give it to another key")
    for label in row.may_set:
        if not own.allows(label):
            raise Forbidden(f"this key may not set the label {label}, nor let another key set it")
    ends_ns = min((at_ns for at_ns in (own.expires_ns, own.revoked_ns) if at_ns), default=0)
    if ends_ns and not 0 < row.expires_ns <= ends_ns:
        raise Forbidden("this key ends, so the keys that it makes end no later: state an earlier expiry")
