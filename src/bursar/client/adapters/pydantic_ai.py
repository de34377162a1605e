"""Pydantic AI: `Agent(…, capabilities=[Budgeted()])`.

Names each step by agent and number and each tool while it runs, and lets a refused call end the run as
`bursar.BudgetExceeded`, which Pydantic AI would wrap. It must never change what is sent.
"""

from __future__ import annotations

from typing import Any

from pydantic_ai import RunContext, ToolDefinition
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.capabilities.abstract import ValidatedToolArgs, WrapModelRequestHandler, WrapToolExecuteHandler
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.models import ModelRequestContext

from bursar.client.adapters import naming

__all__ = ["Budgeted"]


class Budgeted(AbstractCapability[Any]):
    """Name what an agent does, and stop it cleanly."""

    async def wrap_model_request(
        self, ctx: RunContext[Any], *, request_context: ModelRequestContext, handler: WrapModelRequestHandler
    ) -> ModelResponse:
        """Name one call of the model."""
        with naming.step(agent=_name_of(ctx)):
            return await handler(request_context)

    async def wrap_tool_execute(
        self,
        ctx: RunContext[Any],
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,
        args: ValidatedToolArgs,
        handler: WrapToolExecuteHandler,
    ) -> Any:
        """Name what a tool does."""
        with naming.tool(call.tool_name, agent=_name_of(ctx)):
            return await handler(args)


def _name_of(ctx: RunContext[Any]) -> str:
    return (ctx.agent.name if ctx.agent is not None else None) or ""
