"""A research agent on LangChain and LangGraph that can spend five cents and no more.

pip install bursar langchain langchain-openai
export OPENAI_API_KEY=...
python with_langchain.py
"""

from langchain.agents import create_agent
from langchain_core.tools import tool

import bursar
from bursar.client.adapters.langchain import Budgeted

NOTES = {"tower bridge": "Tower Bridge in London was opened in 1894.", "big ben": "Big Ben first rang in 1859."}


@tool
def look_up(topic: str) -> str:
    """Look a topic up in the notes."""
    return NOTES.get(topic.lower(), "There is no note on that.")


researcher = create_agent(
    "openai:gpt-5-mini",
    name="researcher",
    system_prompt="Answer from the notes alone, in one sentence.",
    tools=[look_up],
    middleware=[Budgeted()],
)


def main(question: str) -> None:
    try:
        with bursar.budget("$0.05", task="bridges") as budget:
            state = researcher.invoke({"messages": [{"role": "user", "content": question}]})
            print(state["messages"][-1].content)
    except bursar.BudgetExceeded as stop:
        print(f"Stopped: {stop}")
    print(budget.report())


if __name__ == "__main__":
    main("When was Tower Bridge opened?")
