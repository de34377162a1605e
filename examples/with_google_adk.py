"""A research agent on Google's Agent Development Kit that can spend five cents and no more.

pip install bursar google-adk
export GOOGLE_API_KEY=...
python with_google_adk.py
"""

import asyncio

from google.adk.agents import Agent
from google.adk.apps import App
from google.adk.runners import InMemoryRunner

import bursar
from bursar.client.adapters.google_adk import BudgetPlugin

NOTES = {"tower bridge": "Tower Bridge in London was opened in 1894.", "big ben": "Big Ben first rang in 1859."}


def look_up(topic: str) -> dict[str, str]:
    """Look a topic up in the notes."""
    return {"note": NOTES.get(topic.lower(), "There is no note on that.")}


researcher = Agent(
    name="researcher",
    model="gemini-2.5-flash",
    instruction="Answer from the notes alone, in one sentence.",
    tools=[look_up],
)


async def main(question: str) -> None:
    runner = InMemoryRunner(app=App(name="research", root_agent=researcher, plugins=[BudgetPlugin()]))
    try:
        with bursar.budget("$0.05", task="bridges") as budget:
            events = await runner.run_debug(question, quiet=True)
            print(events[-1].content.parts[0].text)
    except bursar.BudgetExceeded as stop:
        print(f"Stopped: {stop}")
    print(budget.report())


if __name__ == "__main__":
    asyncio.run(main("When was Tower Bridge opened?"))
