"""The litellm SDK: `with budgeted("researcher"): …` around what calls it.

litellm knows no agents, so the block says who calls; each call inside it is a step. What litellm makes of a refusal
comes out of the block as `bursar.BudgetExceeded`. It must never change what is sent.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger

from bursar.client.adapters import naming

__all__ = ["budgeted"]


@contextlib.contextmanager
def budgeted(agent: str = "", *, task: str = "") -> Iterator[None]:
    """Name the calls of litellm that are made inside, and let a refused one end the block."""
    with naming.block(agent=agent, task=task):
        if _logger not in litellm.callbacks:
            # It stays: outside of a block it does nothing, and another thread may be inside one.
            litellm.callbacks.append(_logger)
        yield


class _Logger(CustomLogger):
    """litellm calls this in the thread or task that then sends; what it raises is swallowed, so it raises nothing."""

    def log_pre_api_call(self, model: str, messages: list[Any], kwargs: dict[str, Any]) -> None:
        naming.name_step()


_logger = _Logger()
