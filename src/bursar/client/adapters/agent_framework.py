"""Microsoft's Agent Framework: `Agent(…, middleware=budgeted())`.

Names each step by the agent that takes it and each tool while it runs, and lets a refused call end the run as
`bursar.BudgetExceeded`, which the framework would wrap. It must never change what is sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from agent_framework import (
    AgentContext,
    AgentMiddleware,
    ChatContext,
    ChatMiddleware,
    FunctionInvocationContext,
    FunctionMiddleware,
)

from bursar.client.adapters import naming

__all__ = ["budgeted"]


def budgeted() -> list[AgentMiddleware | ChatMiddleware | FunctionMiddleware]:
    """Give the middleware of an agent: who it is, its steps, its tools."""
    return [_Agent(), _Step(), _Tool()]


class _Agent(AgentMiddleware):
    async def process(self, context: AgentContext, call_next: Callable[[], Awaitable[None]]) -> None:
        naming.name_agent(context.agent.name or "")
        await call_next()


class _Step(ChatMiddleware):
    """A streamed answer is read after this has returned, so that its name must last until the next one's."""

    async def process(self, context: ChatContext, call_next: Callable[[], Awaitable[None]]) -> None:
        naming.name_step()
        with naming.translated():
            await call_next()


class _Tool(FunctionMiddleware):
    async def process(self, context: FunctionInvocationContext, call_next: Callable[[], Awaitable[None]]) -> None:
        with naming.tool(context.function.name):
            await call_next()
