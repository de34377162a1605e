"""A researcher on Google's ADK, streamed."""

import asyncio

from google.adk.agents import Agent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.apps import App
from google.adk.runners import InMemoryRunner

import bursar
from bursar.client.adapters.google_adk import BudgetPlugin


def look_up(topic: str) -> dict[str, str]:
    """Look a topic up in the notes."""
    return {"note": "It was opened in 1894."}


async def main() -> None:
    agent = Agent(name="researcher", model="gemini-2.5-flash", instruction="Answer.", tools=[look_up])
    runner = InMemoryRunner(app=App(name="research", root_agent=agent, plugins=[BudgetPlugin()]))
    with bursar.budget("$0.05", task="bridges") as budget:
        config = RunConfig(streaming_mode=StreamingMode.SSE)
        events = await runner.run_debug("When?", run_config=config, quiet=True)
        print(events[-1].content.parts[0].text)
    if budget.is_exceeded:
        raise bursar.BudgetExceeded(events[-1].error_message or "")


asyncio.run(main())
