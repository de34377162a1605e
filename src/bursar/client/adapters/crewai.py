"""CrewAI: `with budgeted(): crew.kickoff()`.

Names each step by the agent's role and the task's name and each tool while it runs. CrewAI asks a model that refused
twice more; before that the hook aborts the crew, with an error that is `bursar.BudgetExceeded` as well. It must never
change what is sent.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from crewai.hooks import (
    HookAborted,
    LLMCallHookContext,
    ToolCallHookContext,
    register_before_llm_call_hook,
    register_before_tool_call_hook,
    unregister_before_llm_call_hook,
    unregister_before_tool_call_hook,
)

from bursar.client.adapters import naming
from bursar.errors import BudgetExceeded

__all__ = ["Aborted", "budgeted"]


class Aborted(BudgetExceeded, HookAborted):
    """End a crew: CrewAI lets nothing through that a hook raises but `HookAborted`."""

    def __init__(self, refusal: BudgetExceeded) -> None:
        BudgetExceeded.__init__(self, refusal.message, budget=refusal.budget)
        self.scopes = refusal.scopes
        self.reason, self.source = refusal.message, "bursar"


@contextlib.contextmanager
def budgeted() -> Iterator[None]:
    """Name what crews do inside, and let a spent budget end them."""
    _hooks.open()
    try:
        with naming.block():
            yield
    finally:
        _hooks.close()


class _Hooks:
    """CrewAI's hooks are the process's: they are there while any block is open."""

    def __init__(self) -> None:
        self._blocks = 0
        self._lock = threading.Lock()

    def open(self) -> None:
        with self._lock:
            self._blocks += 1
            if self._blocks == 1:
                register_before_llm_call_hook(_before_model)
                register_before_tool_call_hook(_before_tool)

    def close(self) -> None:
        with self._lock:
            self._blocks -= 1
            if self._blocks == 0:
                unregister_before_llm_call_hook(_before_model)
                unregister_before_tool_call_hook(_before_tool)


_hooks = _Hooks()


def _before_model(context: LLMCallHookContext) -> None:
    refusal = naming.refusal()
    if refusal is not None:
        raise Aborted(refusal)
    naming.name_step(agent=_agent_of(context), task=_task_of(context))


def _before_tool(context: ToolCallHookContext) -> None:
    naming.name_tool(context.tool_name, agent=_agent_of(context), task=_task_of(context))


def _agent_of(context: LLMCallHookContext | ToolCallHookContext) -> str:
    return str(getattr(context.agent, "role", None) or "").strip()


def _task_of(context: LLMCallHookContext | ToolCallHookContext) -> str:
    return str(getattr(context.task, "name", None) or "")
