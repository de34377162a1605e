"""Runs over HTTP: the story of one, two side by side, what tasks cost. The list of runs is `calls.py`'s.

Owns the step between a request and the reports.
"""

from __future__ import annotations

from msgspec import UNSET

from bursar.core.labels import LABEL_NAMES, is_label
from bursar.errors import UsageError
from bursar.gateway.admin.bodies import ComparisonQuery, StoryQuery, TasksQuery
from bursar.gateway.admin.desk import Answer, Asked, Desk
from bursar.gateway.admin.when import DAY_NS, period, to_ns, zone_name
from bursar.reports.shown_runs import comparison_json, story_json, tasks_json
from bursar.reports.story import compare, run_story
from bursar.reports.tasks import task_costs

__all__ = ["comparison", "story", "tasks"]


async def story(desk: Desk, asked: Asked[StoryQuery, None]) -> Answer:
    """Tell the story of a run, step by step."""
    since_ns = _since(desk, asked.query)
    return story_json(await desk.read(lambda ledger: run_story(ledger, asked.tenant, asked.names["run"], since_ns)))


async def comparison(desk: Desk, asked: Asked[ComparisonQuery, None]) -> Answer:
    """Lay two runs side by side."""
    query, since_ns = asked.query, _since(desk, asked.query)
    first = await desk.read(lambda ledger: run_story(ledger, asked.tenant, query.first, since_ns))
    second = await desk.read(lambda ledger: run_story(ledger, asked.tenant, query.second, since_ns))
    return comparison_json(compare(first, second))


def _since(desk: Desk, query: StoryQuery) -> int:
    return max(0, desk.now_ns() - query.days * DAY_NS) if query.since is UNSET else to_ns(query.since, "since")


async def tasks(desk: Desk, asked: Asked[TasksQuery, None]) -> Answer:
    """Sum what tasks cost, and what a finished one costs."""
    query, zone = asked.query, zone_name(asked.query.timezone)
    since_ns, until_ns = period(query.since, query.until, query.days, zone, desk.now_ns())
    if not is_label(query.by) or query.by == "run":
        known = ", ".join(name for name in LABEL_NAMES if name != "run")
        raise UsageError(f"there is no label {query.by[:60]!r} of a task: write one of {known}, tag.NAME", param="by")
    found = tasks_json(await desk.read(lambda ledger: task_costs(ledger, asked.tenant, since_ns, until_ns, query.by)))
    most = query.offset + query.limit
    rows = found["rows"]
    return {**found, "rows": rows[query.offset : most], "next": most if len(rows) > most else None}
