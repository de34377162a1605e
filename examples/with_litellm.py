"""A research agent, written by hand on litellm, that can spend five cents and no more.

pip install bursar litellm
export OPENAI_API_KEY=...
python with_litellm.py
"""

import json
from typing import Any

import litellm

import bursar
from bursar.client.adapters.litellm import budgeted

NOTES = {"tower bridge": "Tower Bridge in London was opened in 1894.", "big ben": "Big Ben first rang in 1859."}


def look_up(topic: str) -> str:
    return NOTES.get(topic.lower(), "There is no note on that.")


LOOK_UP = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Look a topic up in the notes.",
        "parameters": {"type": "object", "properties": {"topic": {"type": "string"}}, "required": ["topic"]},
    },
}


def research(question: str) -> str:
    """Ask the model, give it what it wants to look up, and ask again, until it answers."""
    messages: list[Any] = [
        {"role": "system", "content": "Answer from the notes alone, in one sentence."},
        {"role": "user", "content": question},
    ]
    while True:
        answer = litellm.completion("openai/gpt-5-mini", messages=messages, tools=[LOOK_UP]).choices[0].message
        if not answer.tool_calls:
            return answer.content
        messages.append(answer.model_dump())
        for call in answer.tool_calls:
            found = look_up(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": found})


def main(question: str) -> None:
    try:
        with bursar.budget("$0.05", task="bridges") as budget, budgeted("researcher"):
            print(research(question))
    except bursar.BudgetExceeded as stop:
        print(f"Stopped: {stop}")
    print(budget.report())


if __name__ == "__main__":
    main("When was Tower Bridge opened?")
