"""A research agent on LlamaIndex that can spend five cents and no more.

pip install bursar llama-index-core llama-index-llms-openai
export OPENAI_API_KEY=...
python with_llama_index.py
"""

import asyncio

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai import OpenAI

import bursar
from bursar.client.adapters.llama_index import budgeted

NOTES = {"tower bridge": "Tower Bridge in London was opened in 1894.", "big ben": "Big Ben first rang in 1859."}


def look_up(topic: str) -> str:
    """Look a topic up in the notes."""
    return NOTES.get(topic.lower(), "There is no note on that.")


async def main(question: str) -> None:
    researcher = FunctionAgent(
        name="researcher",
        system_prompt="Answer from the notes alone, in one sentence.",
        llm=OpenAI(model="gpt-5-mini"),
        tools=[look_up],
    )
    try:
        with bursar.budget("$0.05", task="bridges") as budget, budgeted():
            print(await researcher.run(question, max_iterations=50))
    except bursar.BudgetExceeded as stop:
        print(f"Stopped: {stop}")
    print(budget.report())


if __name__ == "__main__":
    asyncio.run(main("When was Tower Bridge opened?"))
