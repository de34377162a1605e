"""What all adapters do: name the calls that are made now, number the steps of a run, and stop it cleanly.

Owns the words of an adapter. A block (`step`, `tool`, `block`) puts back what was named before; the verbs `name_…` are
for hooks that are called before something and not around it, in the context in which it then happens. It must never
decide about money: a call is held, metered and refused where it is sent, with an adapter or without.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator

from bursar.client.refused import refusal_in
from bursar.client.runtime import runtime
from bursar.client.scopes import around, name_here, named_here
from bursar.errors import BudgetExceeded

__all__ = [
    "block",
    "name_agent",
    "name_step",
    "name_tool",
    "refusal",
    "refusal_in",
    "step",
    "tool",
    "translated",
]

TOOL = "tag.tool"
REFUSED_S = 10.0
"""So long a refusal is repeated without asking the ledger, while nothing is set anew."""
RUNS_MAX = 1_000
"""So many runs are remembered to number their steps."""


class _Steps:
    """The number of the last step of each run, whatever thread or task made it."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def following(self, run: str) -> int:
        """Number the step that begins now, from 1."""
        with self._lock:
            count = self._counts.pop(run, 0) + 1
            self._counts[run] = count
            while len(self._counts) > RUNS_MAX:
                self._counts.popitem(last=False)
            return count


_steps = _Steps()


def refusal() -> BudgetExceeded | None:
    """Say why nothing more is asked here; None while a call may be tried.

    A framework asks a model that refused again, at once and some times; its hook answers in the ledger's place. The
    ledger is asked again once a person has set something since the last refusal, a top-up or an approval say, and a
    while after it in any case.
    """
    scopes = around().scopes
    for scope in scopes:
        if scope.is_exceeded and (scope.stopped or _is_recent(scope.refused_at_s)):
            error = BudgetExceeded(scope.reason, budget=scope.budget.name if scope.budget else "")
            error.scopes = scopes
            return error
    return None


def _is_recent(refused_at_s: float) -> bool:
    """Tell whether a refusal still says how things are."""
    if time.monotonic() - refused_at_s >= REFUSED_S:
        return False
    return not runtime.is_open or runtime.engine().control.changed_at_s < refused_at_s


def name_agent(agent: str) -> None:
    """Name the agent of what follows in this context."""
    _name(agent=agent)


def name_step(*, agent: str = "", task: str = "") -> None:
    """Name the model call that follows in this context, and number it. Raises BudgetExceeded once there may be none."""
    error = refusal()
    if error is not None:
        raise error
    run = around().labels.get("run", "")
    number = str(_steps.following(run)) if run else ""
    _name(agent=agent, task=task, step=number, **{TOOL: ""})


def name_tool(name: str, *, agent: str = "", task: str = "") -> None:
    """Name the tool that runs now in this context, and whose it is; the next step is not its any more."""
    _name(agent=agent, task=task, **{TOOL: name})


def _name(**labels: str) -> None:
    """Name what follows: an empty text leaves a name as it is, but for the tool's."""
    known = dict(named_here())
    if labels.get(TOOL) == "":
        known.pop(TOOL, None)
    name_here({**known, **{name: value for name, value in labels.items() if value}})


@contextlib.contextmanager
def block(*, agent: str = "", task: str = "") -> Iterator[None]:
    """Let names given inside end here, and a refusal leave as `bursar.BudgetExceeded`, whatever it was wrapped in."""
    before = named_here()
    try:
        if agent or task:
            _name(agent=agent, task=task)
        with translated():
            yield
    finally:
        name_here(before)


@contextlib.contextmanager
def step(*, agent: str = "", task: str = "") -> Iterator[None]:
    """Name one model call, which is made inside. Raises BudgetExceeded instead of a first attempt or what became of it.

    Inside a tool, an agent's steps are that tool's.
    """
    before = named_here()
    try:
        name_step(agent=agent, task=task)
        if TOOL in before:
            name_tool(before[TOOL])
        with translated():
            yield
    finally:
        name_here(before)


@contextlib.contextmanager
def tool(name: str, *, agent: str = "") -> Iterator[None]:
    """Name the tool that runs inside, and whose it is."""
    before = named_here()
    try:
        name_tool(name, agent=agent)
        yield
    finally:
        name_here(before)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Let a refusal leave as `bursar.BudgetExceeded`, whatever a framework has wrapped it in."""
    try:
        yield
    except BudgetExceeded:
        raise
    except Exception as error:
        found = refusal_in(error)
        if found is None:
            raise
        raise found from error
