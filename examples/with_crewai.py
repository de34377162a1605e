"""A crew of one researcher on CrewAI that can spend five cents and no more.

pip install bursar crewai
export OPENAI_API_KEY=...
python with_crewai.py
"""

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

import bursar
from bursar.client.adapters.crewai import budgeted

NOTES = {"tower bridge": "Tower Bridge in London was opened in 1894.", "big ben": "Big Ben first rang in 1859."}


@tool("look_up")
def look_up(topic: str) -> str:
    """Look a topic up in the notes."""
    return NOTES.get(topic.lower(), "There is no note on that.")


researcher = Agent(
    role="researcher",
    goal="Answer from the notes alone.",
    backstory="You know what is in the notes and nothing else.",
    llm=LLM(model="openai/gpt-5-mini"),
    tools=[look_up],
    max_iter=50,
)


def main(question: str) -> None:
    task = Task(name="bridges", description=question, expected_output="One sentence.", agent=researcher)
    try:
        with bursar.budget("$0.05") as budget, budgeted():
            print(Crew(agents=[researcher], tasks=[task]).kickoff())
    except bursar.BudgetExceeded as stop:
        print(f"Stopped: {stop}")
    print(budget.report())


if __name__ == "__main__":
    main("When was Tower Bridge opened?")
