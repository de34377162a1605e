"""A crew of one on CrewAI, streamed."""

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

import bursar
from bursar.client.adapters.crewai import budgeted


@tool("look_up")
def look_up(topic: str) -> str:
    """Look a topic up in the notes."""
    return "It was opened in 1894."


llm = LLM(model="openai/gpt-5-mini", stream=True)
agent = Agent(role="researcher", goal="g", backstory="b", llm=llm, tools=[look_up], max_iter=50)
task = Task(name="bridges", description="When?", expected_output="A year.", agent=agent)
with bursar.budget("$0.05"), budgeted():
    print(Crew(agents=[agent], tasks=[task]).kickoff())
