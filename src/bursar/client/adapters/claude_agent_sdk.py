"""The Claude Agent SDK: `with budgeted("researcher") as env: query(…, options=ClaudeAgentOptions(…, env=env))`.

The SDK starts Claude Code, which is no Python; it is given an address of this process, from which its calls are sent
and metered like any other. Names each step, and lets what Claude Code makes of a refusal leave as
`bursar.BudgetExceeded`. It must never change what is sent.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from claude_agent_sdk import ClaudeSDKError

from bursar.client.adapters import naming
from bursar.client.relay import Asked, Relay
from bursar.config.addresses import provider_address

__all__ = ["budgeted"]


@contextlib.contextmanager
def budgeted(agent: str = "claude-code", *, task: str = "") -> Iterator[dict[str, str]]:
    """Give the environment of a Claude Code whose calls count here. It is good for this block alone."""

    def before(asked: Asked) -> None:
        if asked.target.partition("?")[0] == "/v1/messages" and naming.refusal() is None:
            naming.name_step(agent=agent, task=task)

    with Relay(provider_address("ANTHROPIC_BASE_URL", "https://api.anthropic.com"), before) as relay:
        try:
            yield {"ANTHROPIC_BASE_URL": relay.url}
        except ClaudeSDKError as error:
            # It comes from another process, which was told in words alone.
            refusal = naming.refusal()
            if refusal is None:
                raise
            raise refusal from error
