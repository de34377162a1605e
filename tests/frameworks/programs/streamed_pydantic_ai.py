"""A researcher on Pydantic AI, streamed."""

import asyncio

from pydantic_ai import Agent

import bursar
from bursar.client.adapters.pydantic_ai import Budgeted

agent = Agent("openai-responses:gpt-5-mini", name="researcher", capabilities=[Budgeted()], defer_model_check=True)


@agent.tool_plain
def look_up(topic: str) -> str:
    """Look a topic up in the notes."""
    return "It was opened in 1894."


async def main() -> None:
    with bursar.budget("$0.05", task="bridges"):
        async with agent.run_stream("When?") as running:
            print(await running.get_output())


asyncio.run(main())
