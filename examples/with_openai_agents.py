"""A research agent on the OpenAI Agents SDK that can spend five cents and no more.

pip install bursar openai-agents
export OPENAI_API_KEY=...
python with_openai_agents.py            # or: python with_openai_agents.py --stream
"""

import asyncio
import sys

from agents import Agent, Runner, function_tool

import bursar
from bursar.client.adapters.openai_agents import budgeted

NOTES = {"tower bridge": "Tower Bridge in London was opened in 1894.", "big ben": "Big Ben first rang in 1859."}


@function_tool
def look_up(topic: str) -> str:
    """Look a topic up in the notes."""
    return NOTES.get(topic.lower(), "There is no note on that.")


researcher = Agent(
    name="researcher",
    instructions="Answer from the notes alone, in one sentence.",
    model="gpt-5-mini",
    tools=[look_up],
)


async def main(question: str, *, is_streamed: bool) -> None:
    try:
        with bursar.budget("$0.05", task="bridges") as budget:
            if is_streamed:
                running = Runner.run_streamed(researcher, question, max_turns=50, run_config=budgeted())
                async for _event in running.stream_events():
                    pass  # here a program would show what comes
                print(running.final_output)
            else:
                result = await Runner.run(researcher, question, max_turns=50, run_config=budgeted())
                print(result.final_output)
    except bursar.BudgetExceeded as stop:
        print(f"Stopped: {stop}")
    print(budget.report())


if __name__ == "__main__":
    asyncio.run(main("When was Tower Bridge opened?", is_streamed="--stream" in sys.argv))
