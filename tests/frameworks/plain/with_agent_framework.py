"""A researcher on Microsoft's Agent Framework without an adapter."""

import asyncio

from agent_framework import Agent
from agent_framework.openai import OpenAIChatClient

import bursar


def look_up(topic: str) -> str:
    """Look a topic up in the notes."""
    return "It was opened in 1894."


async def main() -> None:
    with bursar.budget("$0.05"):
        await Agent(OpenAIChatClient(model="gpt-5-mini"), name="researcher", tools=[look_up]).run("When?")


asyncio.run(main())
