"""A research agent on the Claude Agent SDK that can spend fifty cents and no more.

pip install bursar claude-agent-sdk
export ANTHROPIC_API_KEY=...
python with_claude_agent_sdk.py
"""

import asyncio
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, create_sdk_mcp_server, query, tool

import bursar
from bursar.client.adapters.claude_agent_sdk import budgeted

NOTES = {"tower bridge": "Tower Bridge in London was opened in 1894.", "big ben": "Big Ben first rang in 1859."}


@tool("look_up", "Look a topic up in the notes.", {"topic": str})
async def look_up(args: dict[str, Any]) -> dict[str, Any]:
    note = NOTES.get(args["topic"].lower(), "There is no note on that.")
    return {"content": [{"type": "text", "text": note}]}


async def main(question: str) -> None:
    try:
        with bursar.budget("$0.50", task="bridges") as budget, budgeted("researcher") as env:
            options = ClaudeAgentOptions(
                model="claude-haiku-4-5",
                system_prompt="Answer from the notes alone, in one sentence.",
                mcp_servers={"notes": create_sdk_mcp_server("notes", tools=[look_up])},
                allowed_tools=["mcp__notes__look_up"],
                env=env,
            )
            async for message in query(prompt=question, options=options):
                if isinstance(message, ResultMessage):
                    print(message.result)
    except bursar.BudgetExceeded as stop:
        print(f"Stopped: {stop}")
    print(budget.report())


if __name__ == "__main__":
    asyncio.run(main("When was Tower Bridge opened?"))
