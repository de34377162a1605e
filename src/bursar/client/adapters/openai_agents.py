"""The OpenAI Agents SDK: `Runner.run(agent, …, run_config=budgeted())`, streamed or not.

Names each step by the agent that takes it, also after a hand-off, and ends the run before the next step once its budget
is spent. It must never change what is sent.
"""

from __future__ import annotations

import dataclasses
import inspect

from agents import RunConfig
from agents.run_config import CallModelData, CallModelInputFilter, ModelInputData

from bursar.client.adapters import naming

__all__ = ["budgeted"]


def budgeted(config: RunConfig | None = None) -> RunConfig:
    """Give a run's configuration, or a copy of `config`, with which its steps are named.

    The SDK calls this filter in the task that then asks the model; hooks run in tasks of their own, whose context the
    model call never sees. A filter that `config` has already is asked after ours.
    """
    given = config or RunConfig()
    return dataclasses.replace(given, call_model_input_filter=_Named(given.call_model_input_filter))


@dataclasses.dataclass(frozen=True, slots=True)
class _Named:
    following: CallModelInputFilter | None

    async def __call__(self, data: CallModelData[object]) -> ModelInputData:
        naming.name_step(agent=data.agent.name)
        if self.following is None:
            return data.model_data
        filtered = self.following(data)
        return await filtered if inspect.isawaitable(filtered) else filtered
