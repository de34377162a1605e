"""LlamaIndex: `with budgeted(): await agent.run(…)`.

Names each step by the agent that takes it and each tool while it runs. LlamaIndex swallows what an observer raises, so
the stop is the refused call itself, which ends the workflow. It must never change what is sent.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

from llama_index.core.agent.workflow import BaseWorkflowAgent
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.span import BaseSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index.core.tools import BaseTool

from bursar.client.adapters import naming

__all__ = ["budgeted"]

STEP = ".run_agent_step-"
"""What the id of a span says where a workflow is about to ask an agent's model."""


@contextlib.contextmanager
def budgeted() -> Iterator[None]:
    """Name what LlamaIndex's agents do inside, and let a refused call end the block."""
    dispatcher = get_dispatcher()
    if _handler not in dispatcher.span_handlers:
        # It stays: outside of a budget it does nothing, and another thread may be inside one.
        dispatcher.add_span_handler(_handler)
    with naming.block():
        yield


class _Handler(BaseSpanHandler[BaseSpan]):
    """LlamaIndex calls this in the task that then runs the span."""

    def new_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any | None = None,
        parent_span_id: str | None = None,
        tags: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if STEP in id_:
            naming.name_step(agent=str(getattr(bound_args.arguments.get("ev"), "current_agent_name", "")))
        elif isinstance(instance, BaseWorkflowAgent):
            naming.name_agent(instance.name)
        elif isinstance(instance, BaseTool):
            naming.name_tool(instance.metadata.get_name())

    def prepare_to_exit_span(self, *args: Any, **kwargs: Any) -> None:
        """Nothing was begun."""

    def prepare_to_drop_span(self, *args: Any, **kwargs: Any) -> None:
        """Nothing was begun."""


_handler = _Handler()
