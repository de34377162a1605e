"""Calls over HTTP: the list, one explained, holds and their correction, spend, runs.

Owns the step between a request and the reports. Pages of calls are found by instant and id, so that none is shown twice
or left out while new ones come.
"""

from __future__ import annotations

from msgspec import UNSET

from bursar.actions.holds import Correction, correct, lapse_gone
from bursar.core.hold import State
from bursar.core.labels import LABEL_NAMES, Labels, is_label
from bursar.core.ledger import LAST_PLACE
from bursar.core.ledger import SpendQuery as Sums
from bursar.core.money import Nano, parse_usd
from bursar.core.window import to_datetime
from bursar.errors import UsageError
from bursar.gateway.admin.bodies import (
    CallsQuery,
    CorrectBody,
    HoldsQuery,
    PageQuery,
    RunsQuery,
    SpendQuery,
    TenantQuery,
)
from bursar.gateway.admin.desk import Answer, Asked, Desk
from bursar.gateway.admin.when import DAY_NS, period, to_ns, zone_name
from bursar.reports.anatomy import anatomy
from bursar.reports.runs import runs_since
from bursar.reports.shown import call_json, groups_json, iso, parts_json, run_json
from bursar.reports.spend import CALENDAR, SpendReport, is_dimension, spend_report
from bursar.wiring.reading import Readable

__all__ = ["correct_hold", "get_call", "lapse", "list_calls", "list_holds", "runs", "spend"]

DIMENSIONS_MAX = 6
_STATES = {state.name.lower(): (state,) for state in State} | {
    "all": tuple(State),
    "waiting": (State.OPEN, State.PRESUMED),
}


async def list_calls(desk: Desk, asked: Asked[CallsQuery, None]) -> Answer:
    """List a tenant's calls, the latest first."""
    return await _page(desk, asked.tenant, _STATES[asked.query.state], asked.query)


async def list_holds(desk: Desk, asked: Asked[HoldsQuery, None]) -> Answer:
    """List a tenant's holds, the latest first: those that are open or presumed, or those of one state."""
    return await _page(desk, asked.tenant, _STATES[asked.query.state], asked.query)


async def _page(desk: Desk, tenant: str, states: tuple[State, ...], query: PageQuery) -> Answer:
    before = _place(query.after) if query.after else LAST_PLACE
    rows = await desk.read(lambda ledger: ledger.holds(tenant, states, query.limit + 1, before))
    shown = rows[: query.limit]
    last = f"{shown[-1].opened_ns}.{shown[-1].id}" if len(rows) > query.limit else None
    return {"items": [call_json(row) for row in shown], "next": last}


def _place(after: str) -> tuple[int, str]:
    opened, dot, call_id = after.partition(".")
    if not dot or not opened.isascii() or not opened.isdecimal() or len(opened) > 19 or int(opened) > LAST_PLACE[0]:
        raise UsageError("that is not the `next` of a page of calls", param="after")
    return int(opened), call_id


async def get_call(desk: Desk, asked: Asked[TenantQuery, None]) -> Answer:
    """Explain one call: what each part of it cost."""
    row = await desk.read(lambda ledger: ledger.hold(asked.tenant, asked.names["id"]))
    labels, prices = Labels(row.labels), desk.engine.control.in_force.prices
    card = prices.card(labels["provider"], labels["model"], at=to_datetime(row.opened_ns))
    return {**call_json(row), **parts_json(anatomy(row, card))}


async def correct_hold(desk: Desk, asked: Asked[TenantQuery, CorrectBody]) -> Answer:
    """Record what a call really came to."""
    body = asked.body
    correction = Correction(
        asked.names["id"],
        _cost(body),
        None if body.input_tokens is UNSET else body.input_tokens,
        None if body.output_tokens is UNSET else body.output_tokens,
    )
    at_ns = desk.now_ns()
    done = await desk.write(lambda ledger: correct(ledger, asked.tenant, correction, at_ns))
    return {"before": call_json(done.before), "after": call_json(done.after)}


def _cost(body: CorrectBody) -> Nano:
    if (body.cost_nano is UNSET) == (body.cost_usd is UNSET):
        raise UsageError("say cost_usd or cost_nano, one of them", param="cost_usd")
    if body.cost_nano is not UNSET:
        return body.cost_nano
    assert body.cost_usd is not UNSET
    try:
        return parse_usd(body.cost_usd)
    except ValueError as error:
        raise UsageError(str(error), param="cost_usd") from error


async def lapse(desk: Desk, asked: Asked[None, None]) -> Answer:
    """Presume what processes left open that are gone."""
    at_ns, lapse_s = desk.now_ns(), desk.settings.limits.lapse_s
    return {"lapsed": await desk.write(lambda ledger: lapse_gone(ledger, at_ns, lapse_s))}


async def runs(desk: Desk, asked: Asked[RunsQuery, None]) -> Answer:
    """List what each run came to, the one that did something last first."""
    query = asked.query
    since_ns = max(0, desk.now_ns() - query.days * DAY_NS) if query.since is UNSET else to_ns(query.since, "since")
    found = await desk.read(lambda ledger: runs_since(ledger, asked.tenant, since_ns))
    most = query.offset + query.limit
    return {
        "items": [run_json(row) for row in found.rows[query.offset : most]],
        "next": most if len(found.rows) > most else None,
        "is_cut": found.is_cut,
    }


async def spend(desk: Desk, asked: Asked[SpendQuery, None]) -> Answer:
    """Sum who spent what."""
    query, zone = asked.query, zone_name(asked.query.timezone)
    since_ns, until_ns = period(query.since, query.until, query.days, zone, desk.now_ns())
    sums = Sums(asked.tenant, _dimensions(query.by), since_ns, until_ns, _match(query.match))
    most = query.offset + query.limit

    def read(ledger: Readable) -> SpendReport:
        try:
            return spend_report(ledger, sums, timezone=zone, most=most)
        except ValueError as error:
            raise UsageError(str(error), param="by") from error

    report = await desk.read(read)
    found = groups_json(report)
    return {
        "since": iso(since_ns),
        "until": iso(until_ns - 1),
        "timezone": zone,
        **found,
        "rows": found["rows"][query.offset :],
        "next": most if report.rest else None,
    }


def _dimensions(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    unknown = next((name for name in names if not is_dimension(name)), None)
    if unknown is not None:
        known = ", ".join((*LABEL_NAMES, "tag.NAME", *CALENDAR))
        raise UsageError(f"there is no label {unknown[:60]!r}: write some of {known}", param="by")
    if not len(set(names)) == len(names) <= DIMENSIONS_MAX:
        raise UsageError(f"1 to {DIMENSIONS_MAX} different labels, separated by commas", param="by")
    return names


def _match(texts: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not is_label(name) or name in found:
            raise UsageError("write LABEL=VALUE, each label once", param="match")
        found[name] = value
    return found
