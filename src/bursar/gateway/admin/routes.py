"""The table of the admin API: each route with what it reads, what it answers and who makes the answer.

Owns the table; the OpenAPI document is made of it, so the two cannot differ. Who may use a route stands in `rights.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from bursar.gateway.admin import (
    answers,
    bodies,
    budgets,
    calls,
    figures,
    keys,
    pauses,
    prices,
    run_acts,
    run_figures,
    runs,
    system,
)
from bursar.gateway.admin.desk import Handler
from bursar.gateway.admin.me import me
from bursar.gateway.admin.rights import NEEDS, Need, Tenancy

__all__ = ["PREFIX", "NoQuery", "Operation", "operations"]

PREFIX = "/bursar/v1"


class NoQuery(Struct, forbid_unknown_fields=True):
    """Nothing."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    summary: str
    handler: Handler
    answer: Any
    query: type[Struct] = NoQuery
    body: type[Struct] | None = None
    status: int = 200

    @property
    def need(self) -> Need:
        return NEEDS[self.method, self.path][0]

    @property
    def tenancy(self) -> Tenancy:
        return NEEDS[self.method, self.path][1]

    @property
    def name(self) -> str:
        """Name it for programs: `put_budgets_name`."""
        words = self.path.replace("{", "").replace("}", "").replace("-", "_").replace(".", "_").split("/")
        return "_".join([self.method.lower(), *words[1:]])


def operations(openapi: Handler, views: system.LiveViews) -> tuple[Operation, ...]:
    """Give every route. `openapi` answers with the document, which needs the table itself."""
    return (
        Operation("GET", "/me", "Who am I, and what is left for me?", me, answers.Me, bodies.MeQuery),
        Operation("GET", "/openapi.json", "This document.", openapi, dict[str, Any]),
        *_budgets(),
        *_keys(),
        *_prices(),
        *_pauses(),
        *_calls(),
        *_runs(),
        *_system(views),
    )


def _budgets() -> tuple[Operation, ...]:
    one, whose = "/budgets/{name}", bodies.TenantQuery
    return (
        Operation(
            "GET",
            "/budgets",
            "How all budgets stand.",
            budgets.list_budgets,
            answers.Page[answers.BudgetStatus],
            bodies.BudgetsQuery,
        ),
        Operation("GET", one, "How one stands.", budgets.get_budget, answers.BudgetStatus, bodies.BudgetQuery),
        Operation("PUT", one, "Set a budget.", budgets.put_budget, answers.Budgets, whose, bodies.BudgetBody),
        Operation("DELETE", one, "Take out a budget that was set.", budgets.remove, answers.Removed, whose),
        Operation(
            "POST",
            f"{one}/top-ups",
            "Give more in the current window.",
            budgets.top_up_budget,
            answers.TopUp,
            whose,
            bodies.TopUpBody,
        ),
    )


def _keys() -> tuple[Operation, ...]:
    one, whose = "/keys/{id}", bodies.TenantQuery
    return (
        Operation("GET", "/keys", "List keys.", keys.list_keys, answers.Page[answers.Key], bodies.PageQuery),
        Operation("POST", "/keys", "Make a key.", keys.create, answers.NewKey, whose, bodies.KeyBody, 201),
        Operation(
            "POST",
            f"{one}/rotate",
            "Make a key in another's place.",
            keys.rotate,
            answers.NewKey,
            whose,
            bodies.RotateBody,
            201,
        ),
        Operation("DELETE", one, "Revoke a key.", keys.revoke, answers.Key, whose),
    )


def _prices() -> tuple[Operation, ...]:
    one = "/prices/{provider}/{model}"
    return (
        Operation(
            "GET",
            "/prices",
            "List the operator's own prices.",
            prices.list_prices,
            answers.Page[answers.Price],
            bodies.ListQuery,
        ),
        Operation("GET", "/prices/lookup", "What a model costs.", prices.look_up, answers.Cards, bodies.LookupQuery),
        Operation(
            "GET",
            "/prices/unknown",
            "Models that were called and nobody could price.",
            prices.unknown,
            answers.Unknown,
            bodies.TopQuery,
        ),
        Operation("PUT", one, "Set a price.", prices.put_price, answers.Price, bodies.ForceQuery, bodies.PriceBody),
        Operation("DELETE", one, "Take out a price that was set.", prices.remove, answers.Removed),
    )


def _pauses() -> tuple[Operation, ...]:
    path, whose = "/pauses", bodies.TenantQuery
    return (
        Operation(
            "GET", path, "List what is paused.", pauses.list_pauses, answers.Page[answers.Pause], bodies.PageQuery
        ),
        Operation("POST", path, "Stop calls.", pauses.create, answers.Pause, whose, bodies.PauseBody, 201),
        Operation("DELETE", path, "Resume everything.", pauses.remove_all, answers.Resumed, whose),
        Operation("DELETE", f"{path}/{{id}}", "Resume.", pauses.remove, answers.Removed, whose),
    )


def _calls() -> tuple[Operation, ...]:
    whose, some = bodies.TenantQuery, answers.Page[figures.Call]
    return (
        Operation("GET", "/holds", "List holds that wait for an answer.", calls.list_holds, some, bodies.HoldsQuery),
        Operation(
            "POST",
            "/holds/{id}/correct",
            "Record what a call really came to.",
            calls.correct_hold,
            figures.Corrected,
            whose,
            bodies.CorrectBody,
        ),
        Operation("POST", "/holds/lapse", "Presume what dead processes left open.", calls.lapse, figures.Lapsed),
        Operation("GET", "/calls", "List calls.", calls.list_calls, some, bodies.CallsQuery),
        Operation("GET", "/calls/{id}", "Explain one call.", calls.get_call, figures.Explained, whose),
        Operation("GET", "/spend", "Who spent what.", calls.spend, figures.Spend, bodies.SpendQuery),
    )


def _runs() -> tuple[Operation, ...]:
    one, whose, state = "/runs/{run}", bodies.TenantQuery, figures.RunState
    return (
        Operation("GET", "/runs", "What each run came to.", calls.runs, figures.Runs, bodies.RunsQuery),
        Operation("GET", f"{one}/state", "Where a run stands.", run_acts.get_run, state, whose),
        Operation("POST", f"{one}/approve", "Let a run go on.", run_acts.approve, state, whose, bodies.ApproveBody),
        Operation("POST", f"{one}/stop", "Stop a run.", run_acts.stop, state, whose, bodies.StopBody),
        Operation("POST", f"{one}/finish", "Record how a run ended.", run_acts.finish, state, whose, bodies.FinishBody),
        Operation(
            "POST",
            f"{one}/link",
            "Make a link to approve it.",
            run_acts.make_link,
            figures.RunLink,
            whose,
            bodies.LinkBody,
        ),
        Operation("GET", "/runs/{run}", "The story of a run.", runs.story, run_figures.Story, bodies.StoryQuery),
        Operation(
            "GET",
            "/run-comparison",
            "Two runs side by side.",
            runs.comparison,
            run_figures.Comparison,
            bodies.ComparisonQuery,
        ),
        Operation(
            "GET", "/tasks", "What a task costs, and a finished one.", runs.tasks, run_figures.Tasks, bodies.TasksQuery
        ),
    )


def _system(views: system.LiveViews) -> tuple[Operation, ...]:
    whose = bodies.TenantQuery
    return (
        Operation("GET", "/live", "What happens right now.", views.live, figures.Live, whose),
        Operation(
            "GET", "/audit", "Who changed what.", system.list_changes, answers.Page[figures.Change], bodies.AuditQuery
        ),
        Operation("GET", "/config", "What is in force.", system.config, figures.Config),
        Operation(
            "POST",
            "/config/check",
            "What is wrong with a configuration file?",
            system.check_config,
            figures.Checked,
            body=bodies.CheckBody,
        ),
        Operation("GET", "/doctor", "What is missing or risky.", system.doctor, figures.Findings, whose),
        Operation("GET", "/verify", "Does every balance equal its entries?", system.verify, figures.Audit, whose),
    )
