"""Keys over HTTP: list, make, rotate, revoke.

Owns the step between a request and `actions/keys.py`, which decides. A key stands in the answer that makes it and in no
other.
"""

from __future__ import annotations

import asyncio
from functools import partial

from msgspec import UNSET

from bursar.actions.keys import KeyWish, create_key, revoke_key, rotate_key
from bursar.actions.shown import key_shown
from bursar.core.control import KeyRow
from bursar.gateway.admin.bodies import KeyBody, PageQuery, RotateBody, TenantQuery
from bursar.gateway.admin.desk import Answer, Asked, Desk, page
from bursar.gateway.admin.when import to_ns
from bursar.wiring.pepper import open_pepper

__all__ = ["create", "list_keys", "revoke", "rotate"]


async def list_keys(desk: Desk, asked: Asked[PageQuery, None]) -> Answer:
    """List a tenant's keys, by their ids and so by age; expired and revoked ones are among them."""
    rows = (row for row in desk.state.keys if asked.tenants in (None, row.tenant))
    return page(rows, asked.query.limit, asked.query.after, lambda row: row.id, key_shown)


async def create(desk: Desk, asked: Asked[TenantQuery, KeyBody]) -> Answer:
    """Make a key."""
    body, pepper = asked.body, await _pepper(desk)
    expires_ns = 0 if body.expires is UNSET else to_ns(body.expires, "expires")
    wish = KeyWish(asked.tenant, body.name, body.role, body.labels, frozenset(body.may_set), expires_ns)
    return _new(*await desk.change(asked, lambda ledger, by: create_key(ledger, pepper, wish, by)))


async def rotate(desk: Desk, asked: Asked[TenantQuery, RotateBody]) -> Answer:
    """Make a key that takes another's place."""
    key_id, overlap_s, pepper = asked.names["id"], asked.body.overlap_s, await _pepper(desk)
    made = await desk.change(asked, lambda ledger, by: rotate_key(ledger, pepper, asked.tenant, key_id, overlap_s, by))
    return _new(*made)


async def revoke(desk: Desk, asked: Asked[TenantQuery, None]) -> Answer:
    """End a key now."""
    row = await desk.change(asked, lambda ledger, by: revoke_key(ledger, asked.tenant, asked.names["id"], by))
    return key_shown(row)


async def _pepper(desk: Desk) -> bytes:
    """Read the pepper, from its file perhaps; the first key makes it. Raises ConfigError."""
    has_keys = bool(desk.state.keys)
    found = await asyncio.to_thread(partial(open_pepper, desk.settings, create=True, has_keys=has_keys))
    assert found is not None
    return found


def _new(row: KeyRow, key: str) -> Answer:
    return {**key_shown(row), "key": key}
