"""A crew of one on CrewAI without an adapter."""

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

import bursar


@tool("look_up")
def look_up(topic: str) -> str:
    """Look a topic up in the notes."""
    return "It was opened in 1894."


agent = Agent(
    role="researcher", goal="g", backstory="b", llm=LLM(model="openai/gpt-5-mini"), tools=[look_up], max_iter=50
)
with bursar.budget("$0.05"):
    Crew(agents=[agent], tasks=[Task(description="When?", expected_output="A year.", agent=agent)]).kickoff()
