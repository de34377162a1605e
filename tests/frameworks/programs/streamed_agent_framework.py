"""A researcher on Microsoft's Agent Framework, streamed."""

import asyncio

from agent_framework import Agent
from agent_framework.openai import OpenAIChatClient

import bursar
from bursar.client.adapters.agent_framework import budgeted


def look_up(topic: str) -> str:
    """Look a topic up in the notes."""
    return "It was opened in 1894."


async def main() -> None:
    agent = Agent(OpenAIChatClient(model="gpt-5-mini"), name="researcher", tools=[look_up], middleware=budgeted())
    with bursar.budget("$0.05", task="bridges"):
        async for update in agent.run("When?", stream=True):
            print(update.text, end="")


asyncio.run(main())
