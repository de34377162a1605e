"""A researcher on Google's ADK without an adapter."""

import asyncio

from google.adk.agents import Agent
from google.adk.runners import InMemoryRunner

import bursar


def look_up(topic: str) -> dict[str, str]:
    """Look a topic up in the notes."""
    return {"note": "It was opened in 1894."}


async def main() -> None:
    agent = Agent(name="researcher", model="gemini-2.5-flash", instruction="Answer.", tools=[look_up])
    with bursar.budget("$0.05"):
        await InMemoryRunner(agent=agent, app_name="research").run_debug("When?", quiet=True)


asyncio.run(main())
