"""A researcher on LlamaIndex without an adapter."""

import asyncio

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai import OpenAI

import bursar


def look_up(topic: str) -> str:
    """Look a topic up in the notes."""
    return "It was opened in 1894."


async def main() -> None:
    agent = FunctionAgent(name="researcher", llm=OpenAI(model="gpt-5-mini"), tools=[look_up])
    with bursar.budget("$0.05"):
        await agent.run("When?", max_iterations=50)


asyncio.run(main())
