"""Google's Agent Development Kit: `App(…, plugins=[BudgetPlugin()])`.

Names each step by the agent that takes it and each tool while it runs. A refused call, and each after it, becomes the
agent's last word, with the error code `BUDGET_EXCEEDED`: the run ends as one that has answered. It must never change
what is sent.
"""

from __future__ import annotations

from typing import Any

from google.adk.agents.callback_context import CallbackContext
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.plugins.base_plugin import BasePlugin
from google.adk.tools.base_tool import BaseTool
from google.adk.tools.tool_context import ToolContext
from google.genai import types

from bursar.client.adapters import naming
from bursar.errors import BudgetExceeded

__all__ = ["BUDGET_EXCEEDED", "BudgetPlugin"]

BUDGET_EXCEEDED = "BUDGET_EXCEEDED"


class BudgetPlugin(BasePlugin):
    """Name what agents do, and stop them cleanly."""

    def __init__(self) -> None:
        super().__init__("bursar")

    async def before_model_callback(
        self, *, callback_context: CallbackContext, llm_request: LlmRequest
    ) -> LlmResponse | None:
        """Name one call of the model, or answer in its place once the budget is spent."""
        refusal = naming.refusal()
        if refusal is not None:
            return _last_word(refusal)
        naming.name_step(agent=callback_context.agent_name)
        return None

    async def on_model_error_callback(
        self, *, callback_context: CallbackContext, llm_request: LlmRequest, error: Exception
    ) -> LlmResponse | None:
        """Turn a refusal into the agent's last word; any other error stays one."""
        refusal = naming.refusal_in(error)
        return None if refusal is None else _last_word(refusal)

    async def before_tool_callback(
        self, *, tool: BaseTool, tool_args: dict[str, Any], tool_context: ToolContext
    ) -> dict[str, Any] | None:
        """Name what a tool does."""
        naming.name_tool(tool.name)
        return None


def _last_word(refusal: BudgetExceeded) -> LlmResponse:
    content = types.Content(role="model", parts=[types.Part(text=f"Stopped: {refusal.message}")])
    return LlmResponse(content=content, error_code=BUDGET_EXCEEDED, error_message=refusal.message)
