"""A researcher on LangChain, streamed."""

import asyncio
from typing import Any

from langchain.agents import create_agent
from langchain_core.tools import tool

import bursar
from bursar.client.adapters.langchain import Budgeted


@tool
def look_up(topic: str) -> str:
    """Look a topic up in the notes."""
    return "It was opened in 1894."


agent = create_agent("openai:gpt-5-mini", name="researcher", tools=[look_up], middleware=[Budgeted()])


async def main() -> None:
    with bursar.budget("$0.05", task="bridges"):
        asked: Any = {"messages": [{"role": "user", "content": "When?"}]}
        running: Any = agent.astream(asked, stream_mode="messages")
        async for token, _ in running:
            print(token.content if isinstance(token.content, str) else "", end="")


asyncio.run(main())
