"""What people do to runs, over HTTP.

Owns the step between a request and `actions/runs.py`, which decides.
"""

from __future__ import annotations

from bursar.actions.links import link_of, signed
from bursar.actions.runs import RunWish, approve_run, finish_run, run_row_json, stop_run
from bursar.core.window import NS
from bursar.errors import NotFound
from bursar.gateway.admin.bodies import ApproveBody, FinishBody, LinkBody, StopBody, TenantQuery
from bursar.gateway.admin.desk import Answer, Asked, Desk
from bursar.gateway.links import address_of
from bursar.reports.shown import iso
from bursar.wiring.pepper import open_pepper

__all__ = ["approve", "finish", "get_run", "make_link", "stop"]


async def get_run(desk: Desk, asked: Asked[TenantQuery, None]) -> Answer:
    """Say where a run stands."""
    row = await desk.read(lambda ledger: ledger.run_row(asked.tenant, asked.names["run"]))
    if row is None:
        raise NotFound("no guard has seen this run")
    return run_row_json(row)


async def approve(desk: Desk, asked: Asked[TenantQuery, ApproveBody]) -> Answer:
    """Let a run go on."""
    wish = RunWish(asked.tenant, asked.names["run"], asked.body.reason, tuple(asked.body.add))
    settings = desk.settings
    row = await desk.change(asked, lambda ledger, by: approve_run(ledger, settings.budgets, settings.guards, wish, by))
    return run_row_json(row)


async def stop(desk: Desk, asked: Asked[TenantQuery, StopBody]) -> Answer:
    """Stop a run."""
    wish = RunWish(asked.tenant, asked.names["run"], asked.body.reason)
    return run_row_json(await desk.change(asked, lambda ledger, by: stop_run(ledger, wish, by)))


async def finish(desk: Desk, asked: Asked[TenantQuery, FinishBody]) -> Answer:
    """Record how a run ended."""
    wish, outcome = RunWish(asked.tenant, asked.names["run"]), asked.body.outcome
    return run_row_json(await desk.change(asked, lambda ledger, by: finish_run(ledger, wish, outcome, by)))


async def make_link(desk: Desk, asked: Asked[TenantQuery, LinkBody]) -> Answer:
    """Make a link with which whoever has it approves or stops this run, once."""
    row = await desk.read(lambda ledger: ledger.run_row(asked.tenant, asked.names["run"]))
    if row is None:
        raise NotFound("no guard has seen this run")
    expires_ns = desk.now_ns() + asked.body.seconds * NS
    pepper = await desk.write(lambda _: open_pepper(desk.settings, create=True))
    assert pepper is not None
    token = signed(link_of(row, expires_ns), pepper)
    return {"run": row.run, "path": address_of(token), "expires": iso(expires_ns)}
