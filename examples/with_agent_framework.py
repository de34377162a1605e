"""A research agent on Microsoft's Agent Framework that can spend five cents and no more.

pip install bursar agent-framework-core agent-framework-openai
export OPENAI_API_KEY=...
python with_agent_framework.py
"""

import asyncio

from agent_framework import Agent
from agent_framework.openai import OpenAIChatClient

import bursar
from bursar.client.adapters.agent_framework import budgeted

NOTES = {"tower bridge": "Tower Bridge in London was opened in 1894.", "big ben": "Big Ben first rang in 1859."}


def look_up(topic: str) -> str:
    """Look a topic up in the notes."""
    return NOTES.get(topic.lower(), "There is no note on that.")


async def main(question: str) -> None:
    researcher = Agent(
        OpenAIChatClient(model="gpt-5-mini"),
        name="researcher",
        instructions="Answer from the notes alone, in one sentence.",
        tools=[look_up],
        middleware=budgeted(),
    )
    try:
        with bursar.budget("$0.05", task="bridges") as budget:
            print(await researcher.run(question))
    except bursar.BudgetExceeded as stop:
        print(f"Stopped: {stop}")
    print(budget.report())


if __name__ == "__main__":
    asyncio.run(main("When was Tower Bridge opened?"))
