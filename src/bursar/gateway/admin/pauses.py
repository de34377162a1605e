"""Pauses over HTTP: stop calls, and let them go on.

Owns the step between a request and `actions/pauses.py`, which decides.
"""

from __future__ import annotations

from bursar.actions.acting import By
from bursar.actions.pauses import PauseWish, pause, resume, resume_all
from bursar.actions.shown import pause_shown
from bursar.core.control import EVERY_TENANT
from bursar.errors import NotFound
from bursar.gateway.admin.bodies import PageQuery, PauseBody, TenantQuery
from bursar.gateway.admin.desk import Answer, Asked, Desk, page
from bursar.wiring.reading import Readable

__all__ = ["create", "list_pauses", "remove", "remove_all"]


async def list_pauses(desk: Desk, asked: Asked[PageQuery, None]) -> Answer:
    """List what is paused for a tenant; what is stopped for all is among it."""
    rows = (row for row in desk.state.pauses if asked.tenants is None or row.tenant in (asked.tenant, EVERY_TENANT))
    return page(rows, asked.query.limit, asked.query.after, lambda row: row.id, pause_shown)


async def create(desk: Desk, asked: Asked[TenantQuery, PauseBody]) -> Answer:
    """Stop calls until somebody resumes them."""
    wish = PauseWish(asked.tenant, asked.body.match, asked.body.reason, asked.body.now)
    return pause_shown(await desk.change(asked, lambda ledger, by: pause(ledger, wish, by)))


async def remove(desk: Desk, asked: Asked[TenantQuery, None]) -> Answer:
    """Let go on what one pause stopped."""
    pause_id = asked.names["id"]
    await desk.change(asked, lambda ledger, by: _resume(ledger, asked.tenant, pause_id, by))
    return {"removed": pause_id, "tenant": asked.tenant}


def _resume(ledger: Readable, tenant: str, pause_id: str, by: By) -> None:
    """Find what the list of this tenant shows: its own pauses, and those of everybody, which only the operator ends."""
    try:
        resume(ledger, tenant, pause_id, by)
    except NotFound:
        resume(ledger, EVERY_TENANT, pause_id, by)


async def remove_all(desk: Desk, asked: Asked[TenantQuery, None]) -> Answer:
    """Let go on everything that a tenant (or anybody) has stopped."""
    return {"resumed": await desk.change(asked, lambda ledger, by: resume_all(ledger, asked.tenants, by))}
