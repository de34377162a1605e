"""Stories of runs, comparisons and costs of tasks as JSON: what `--json` prints and the admin API answers.

Owns the names of those fields; amounts and instants are written as in `shown.py`.
"""

from __future__ import annotations

from typing import Any

from bursar.core.money import Nano
from bursar.reports.shown import call_json, iso, plain_usd
from bursar.reports.story import Comparison, Pair, Step, Story
from bursar.reports.tasks import TaskCost, Tasks

__all__ = ["comparison_json", "story_json", "tasks_json"]

NS_PER_MS = 1_000_000


def story_json(story: Story, *, has_steps: bool = True) -> dict[str, Any]:
    """Give a run, with its steps or as a sum alone."""
    row = story.row
    found = {
        "run": story.run,
        "agent": story.agent,
        "task": story.task,
        "user": story.user,
        "state": story.state or None,
        "guard": row.guard or None if row else None,
        "reason": row.reason or None if row else None,
        "outcome": story.outcome or None,
        "steps": len(story.steps),
        "in_flight": story.in_flight,
        "tool_calls": story.tool_calls,
        **story.amounts.as_dict(),
        "cost_usd": plain_usd(story.amounts.cost_nano),
        "presumed_nano": story.presumed_nano,
        "presumed_usd": plain_usd(story.presumed_nano),
        "began": iso(story.began_ns),
        "last_activity": iso(story.active_ns),
        "took_ms": story.took_ns // NS_PER_MS,
        "is_cut": story.is_cut,
    }
    return {**found, "calls": [_step_json(step) for step in story.steps]} if has_steps else found


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "number": step.number,
        "model": step.model,
        "after_ms": step.after_ns // NS_PER_MS,
        "took_ms": step.took_ns // NS_PER_MS,
        "tool_calls": step.call.note.tool_calls,
        "seen": step.call.note.seen or None,
        "call": call_json(step.call),
    }


def comparison_json(found: Comparison) -> dict[str, Any]:
    """Give two runs side by side; differences are the second less the first."""
    return {
        "first": story_json(found.first, has_steps=False),
        "second": story_json(found.second, has_steps=False),
        "more_nano": found.more_nano,
        "more_usd": plain_usd(found.more_nano),
        "pairs": [_pair_json(pair) for pair in found.pairs],
    }


def _pair_json(pair: Pair) -> dict[str, Any]:
    return {
        "number": pair.number,
        "first": _side_json(pair.first),
        "second": _side_json(pair.second),
        "more_nano": pair.more_nano,
        "more_usd": plain_usd(pair.more_nano),
        "is_other_model": pair.is_other_model,
    }


def _side_json(step: Step | None) -> dict[str, Any] | None:
    if step is None:
        return None
    amounts = step.amounts
    return {
        "id": step.call.id,
        "model": step.model,
        "input_tokens": amounts.input_tokens,
        "cached_tokens": amounts.cached_tokens,
        "output_tokens": amounts.output_tokens,
        "tool_calls": step.call.note.tool_calls,
        "cost_nano": amounts.cost_nano,
        "cost_usd": plain_usd(amounts.cost_nano),
        "took_ms": step.took_ns // NS_PER_MS,
    }


def tasks_json(tasks: Tasks) -> dict[str, Any]:
    """Give what tasks cost."""
    return {
        "by": tasks.by,
        "rows": [{tasks.by: row.value, **_cost_json(row)} for row in tasks.rows],
        "total": _cost_json(tasks.total),
        "is_cut": tasks.is_cut,
    }


def _cost_json(row: TaskCost) -> dict[str, Any]:
    return {
        "runs": row.runs,
        "finished": row.finished,
        "stopped": row.stopped,
        "outcomes": dict(row.outcomes),
        "calls": row.calls,
        **row.amounts.as_dict(),
        "cost_usd": plain_usd(row.amounts.cost_nano),
        **_usd("per_run", row.per_run_nano),
        **_usd("per_finished", row.per_finished_nano),
    }


def _usd(name: str, nano: Nano | None) -> dict[str, Any]:
    return {f"{name}_nano": nano, f"{name}_usd": None if nano is None else plain_usd(nano)}
