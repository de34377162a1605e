"""LangChain and LangGraph: `create_agent(…, middleware=[Budgeted()])`.

Names each step by the agent's name and number and each tool while it runs, and ends the graph once its budget is spent.
It must never change what is sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse, ToolCallRequest
from langchain_core.messages import ToolMessage
from langgraph.config import get_config
from langgraph.types import Command

from bursar.client.adapters import naming

__all__ = ["Budgeted"]


class Budgeted(AgentMiddleware[Any, Any]):
    """Name what an agent does, and stop it cleanly; `agent` is its name where `create_agent` was given none."""

    def __init__(self, agent: str = "") -> None:
        super().__init__()
        self._agent = agent

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Name one call of the model."""
        with naming.step(agent=self._name()):
            return handler(request)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Name one call of the model."""
        with naming.step(agent=self._name()):
            return await handler(request)

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Name what a tool does."""
        with naming.tool(request.tool_call["name"], agent=self._name()):
            return handler(request)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """Name what a tool does."""
        with naming.tool(request.tool_call["name"], agent=self._name()):
            return await handler(request)

    def _name(self) -> str:
        return self._agent or str(get_config().get("metadata", {}).get("lc_agent_name") or "")
