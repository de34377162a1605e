"""A researcher on the OpenAI Agents SDK without an adapter."""

import asyncio
import sys

from agents import Agent, Runner, function_tool

import bursar


@function_tool
def look_up(topic: str) -> str:
    """Look a topic up in the notes."""
    return "It was opened in 1894."


async def main() -> None:
    agent = Agent(name="researcher", instructions="Answer.", model="gpt-5-mini", tools=[look_up])
    with bursar.budget("$0.05") as budget:
        if "--stream" in sys.argv:
            running = Runner.run_streamed(agent, "When?", max_turns=50)
            async for _ in running.stream_events():
                pass
        else:
            await Runner.run(agent, "When?", max_turns=50)
    print(budget.report())


asyncio.run(main())
