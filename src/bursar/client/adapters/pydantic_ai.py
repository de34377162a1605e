"""Pydantic AI: `Agent(…, capabilities=[Budgeted()])`.

Names each step by agent and number and each tool while it runs, and lets a refused call end the run as
`bursar.BudgetExceeded`, which Pydantic AI would wrap. It must never change what is sent.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from pydantic_ai import RunContext, ToolDefinition
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.capabilities.abstract import ValidatedToolArgs, WrapToolExecuteHandler
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from bursar.client.adapters import naming

__all__ = ["Budgeted"]


@dataclass
class Budgeted(AbstractCapability[Any]):
    """Name what an agent does, and stop it cleanly; `agent` is its name where it has none."""

    agent: str = ""

    async def for_run(self, ctx: RunContext[Any]) -> Budgeted:
        """Give the capability of one run, which knows whose it is."""
        return replace(self, agent=(ctx.agent.name if ctx.agent is not None else None) or self.agent)

    def get_wrapper_model(self, model: Model) -> Model:
        """Name each call of the model where it is made: hooks of a streamed run are in another task."""
        return _Named(model, self.agent)

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
        with naming.tool(call.tool_name, agent=self.agent):
            return await handler(args)


class _Named(WrapperModel):
    def __init__(self, wrapped: Model, agent: str) -> None:
        super().__init__(wrapped)
        self._agent = agent

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        with naming.step(agent=self._agent):
            return await super().request(messages, model_settings, model_request_parameters)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        with naming.step(agent=self._agent):
            opened = self.wrapped.request_stream(messages, model_settings, model_request_parameters, run_context)
            async with opened as stream:
                yield stream
