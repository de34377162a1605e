"""Guards as a person writes them, and clients that go in circles through the real gateway."""

from __future__ import annotations

from typing import Any

import openai
from tests.gateway.house import House

from bursar.config.guards import read_guards
from bursar.config.problems import Problems
from bursar.config.tree import parse
from bursar.core.guards import Guards
from bursar.core.run import RunRow
from bursar.testing import Script, ToolCall

SEARCHES = Script(tool_call=ToolCall("search", '{"q": "x"}'), output_tokens=8)
opened: list[openai.OpenAI] = []
"""What a test has made; its end closes them."""
OFF = ("tool_calls", "tokens", "seconds", "cost", "steps", "depth", "children", "parallel", "spend_per_minute",
       "loops")  # fmt: skip
TOOLS: Any = [{"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {}}}}]


def guards_of(text: str) -> Guards:
    """Read the section `guards` as the file does."""
    problems = Problems()
    tree = parse(f"guards: {text}", "bursar.yaml")
    found = read_guards(tree.entries["guards"], problems)
    problems.raise_any()
    return found


def only(**said: str) -> Guards:
    """These guards and no other."""
    values = {**dict.fromkeys(OFF, "off"), **said}
    return guards_of("{" + ", ".join(f"{name}: {value}" for name, value in values.items()) + "}")


def client_of(made: House, run: str = "r", **headers: str) -> openai.OpenAI:
    named = {"x-bursar-run": run} if run else {}
    said = {f"x-bursar-{name.replace('_', '-')}": value for name, value in headers.items()}
    client = openai.OpenAI(base_url=f"{made.url}/v1", api_key="k", default_headers={**named, **said}, timeout=60)
    opened.append(client)
    return client


def row_of(made: House, run: str = "r") -> RunRow:
    with made.ledger() as ledger:
        row = ledger.run_row("default", run)
    assert row is not None
    return row


def agent(
    client: openai.OpenAI, turns: int = 100, system: str = "be brief", found: str = ""
) -> tuple[int, openai.APIStatusError | None]:
    """Be an agent that calls its tool whenever the model asks: how many tools it ran, and what stopped it.

    The tool finds the same each time where `found` says what; else something new.
    """
    messages: list[Any] = [{"role": "system", "content": system}, {"role": "user", "content": "find x"}]
    ran = 0
    for _ in range(turns):
        try:
            answer = client.chat.completions.create(model="m", messages=messages, tools=TOOLS, max_tokens=50)
        except openai.APIStatusError as error:
            return ran, error
        message = answer.choices[0].message
        if not message.tool_calls:
            return ran, None
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            ran += 1
            messages.append({"role": "tool", "tool_call_id": call.id, "content": found or f"page {'i' * ran}"})
    return ran, None
