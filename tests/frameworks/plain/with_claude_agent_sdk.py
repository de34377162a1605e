"""The Claude Agent SDK without an adapter's names: only the address of this program."""

import asyncio
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions, create_sdk_mcp_server, query, tool

import bursar
from bursar.client.relay import Relay
from bursar.config.addresses import provider_address


@tool("look_up", "Look a topic up in the notes.", {"topic": str})
async def look_up(args: dict[str, Any]) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": "It was opened in 1894."}]}


async def main() -> None:
    with bursar.budget("$0.50") as budget, Relay(provider_address("ANTHROPIC_BASE_URL", "")) as relay:
        options = ClaudeAgentOptions(
            model="claude-haiku-4-5",
            mcp_servers={"notes": create_sdk_mcp_server("notes", tools=[look_up])},
            allowed_tools=["mcp__notes__look_up"],
            env={"ANTHROPIC_BASE_URL": relay.url},
        )
        try:
            async for _ in query(prompt="When?", options=options):
                pass
        except Exception as error:
            assert budget.is_exceeded
            raise bursar.BudgetExceeded(str(error)) from error


asyncio.run(main())
