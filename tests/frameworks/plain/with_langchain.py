"""A researcher on LangChain without an adapter."""

from langchain.agents import create_agent
from langchain_core.tools import tool

import bursar


@tool
def look_up(topic: str) -> str:
    """Look a topic up in the notes."""
    return "It was opened in 1894."


agent = create_agent("openai:gpt-5-mini", tools=[look_up])
with bursar.budget("$0.05"):
    agent.invoke({"messages": [{"role": "user", "content": "When?"}]})
