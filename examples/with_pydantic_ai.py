"""A research agent on Pydantic AI that can spend five cents and no more.

pip install bursar 'pydantic-ai-slim[openai]'
export OPENAI_API_KEY=...
python with_pydantic_ai.py
"""

from pydantic_ai import Agent, UsageLimits

import bursar
from bursar.client.adapters.pydantic_ai import Budgeted

NOTES = {"tower bridge": "Tower Bridge in London was opened in 1894.", "big ben": "Big Ben first rang in 1859."}

researcher = Agent(
    "openai-responses:gpt-5-mini",
    name="researcher",
    instructions="Answer from the notes alone, in one sentence.",
    capabilities=[Budgeted()],
    defer_model_check=True,
)


@researcher.tool_plain
def look_up(topic: str) -> str:
    """Look a topic up in the notes."""
    return NOTES.get(topic.lower(), "There is no note on that.")


def main(question: str) -> None:
    try:
        with bursar.budget("$0.05", task="bridges") as budget:
            result = researcher.run_sync(question, usage_limits=UsageLimits(request_limit=None))
            print(result.output)
    except bursar.BudgetExceeded as stop:
        print(f"Stopped: {stop}")
    print(budget.report())


if __name__ == "__main__":
    main("When was Tower Bridge opened?")
