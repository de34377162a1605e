"""The OpenAI Agents SDK: one agent hands over to another, twice at the same time, under one budget."""

import asyncio

from agents import Agent, Runner

import bursar
from bursar.client.adapters.openai_agents import budgeted

writer = Agent(name="writer", instructions="Write.", model="gpt-5-nano")


async def one(name: str) -> None:
    first = Agent(name=name, instructions="Hand over to the writer.", model="gpt-5-mini", handoffs=[writer])
    with bursar.budget(task=name):
        await Runner.run(first, "Hello", run_config=budgeted())


async def main() -> None:
    with bursar.budget("$1"):
        await asyncio.gather(one("triage"), one("desk"))


asyncio.run(main())
