"""Runs of agents as the requests that their clients send: real ones that ended well, and planted loops.

A run is a list of steps. A step is what the model did and what came back; the request of step n shows the steps before
it, in the form of one of the wires.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bursar.core.charge import Amounts
from bursar.core.loops import LOOPS, LoopSettings
from bursar.guards.loops.rules import Finding
from bursar.guards.loops.watch import RunLoops
from bursar.telemetry.record import SETTLED, CallRecord
from bursar.wire.acts import marks_of
from bursar.wire.base import Request

TRAJECTORIES = Path(__file__).parents[3].parent / "shared" / "trajectories"
FILES = ("tool_agents.jsonl.gz", "coding_agents.jsonl.gz")
WIRES = (
    "openai.chat",
    "openai.responses",
    "openai.responses+",
    "openai.responses+?",
    "anthropic.messages",
    "gemini.generate",
)
"""`+` continues each answer by its name (`previous_response_id`) and shows only what came back; with `?` the process
never saw the answers, another one did."""
STEP_NANO = 60_000_000
"""What a planted step costs: $0.06, as one of a coding agent with a full context does."""


@dataclass(frozen=True)
class Step:
    """One step: a call and its answer, or words and words."""

    name: str = ""
    arguments: str = ""
    answer: str = ""
    is_error: bool = False
    said: str = ""
    heard: str = ""


@dataclass(frozen=True)
class Run:
    id: str
    steps: tuple[Step, ...]
    opening: str = "Find out why the build fails and mend it."


# --- requests ------------------------------------------------------------------------------------------------------


def request(wire: str, run: Run, count: int) -> Request:
    """Give the request that follows the first `count` steps of a run."""
    shape = wire.rstrip("+?")
    steps = list(enumerate(run.steps[:count]))
    if "+" in wire and steps:
        items = [item for item in _items(shape, *steps[-1]) if not _is_of_model(item)]
    else:
        items = [_words(shape, "user", run.opening), *(item for at, step in steps for item in _items(shape, at, step))]
    field = {"openai.responses": "input", "gemini.generate": "contents"}.get(shape, "messages")
    previous = f"resp_{count - 1}" if "+" in wire and count else ""
    body = {"model": "m", field: items, "tools": [{}]}
    return Request(shape, "m", body, False, True, None, shape_key="agent", previous_id=previous)


def _words(wire: str, role: str, text: str) -> dict[str, Any]:
    if wire == "gemini.generate":
        return {"role": "model" if role == "assistant" else role, "parts": [{"text": text}]}
    if wire == "openai.responses":
        kind = "output_text" if role == "assistant" else "input_text"
        return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
    return {"role": role, "content": text}


def _is_of_model(item: dict[str, Any]) -> bool:
    return item.get("role") in ("assistant", "model") or item.get("type") in ("function_call", "reasoning")


def _items(wire: str, at: int, step: Step) -> list[dict[str, Any]]:
    """Write one step; ids are the client's own, as real ones are, and no two are alike."""
    if not step.name:
        return [_words(wire, "assistant", step.said), _words(wire, "user", step.heard)]
    call_id = f"call_{at}"
    answered = _answered(wire, call_id, step)
    if wire == "openai.chat":
        function = {"name": step.name, "arguments": step.arguments}
        call = {"id": call_id, "type": "function", "function": function}
        return [{"role": "assistant", "content": step.said or None, "tool_calls": [call]}, answered]
    if wire == "openai.responses":
        call = {"type": "function_call", "call_id": call_id, "name": step.name, "arguments": step.arguments}
        return [{"type": "reasoning", "encrypted_content": call_id}, call, answered]
    if wire == "anthropic.messages":
        block = {"type": "tool_use", "id": call_id, "name": step.name, "input": _object(step.arguments)}
        return [{"role": "assistant", "content": [{"type": "text", "text": f"Step {at}."}, block]}, answered]
    called = {"functionCall": {"name": step.name, "args": _object(step.arguments)}}
    return [{"role": "model", "parts": [called]}, answered]


def _answered(wire: str, call_id: str, step: Step) -> dict[str, Any]:
    if wire == "openai.chat":
        return {"role": "tool", "tool_call_id": call_id, "content": step.answer}
    if wire == "openai.responses":
        return {"type": "function_call_output", "call_id": call_id, "output": step.answer}
    if wire == "anthropic.messages":
        block = {"type": "tool_result", "tool_use_id": call_id, "content": step.answer, "is_error": step.is_error}
        return {"role": "user", "content": [block]}
    response = {"error" if step.is_error else "result": step.answer}
    return {"role": "user", "parts": [{"functionResponse": {"name": step.name, "response": response}}]}


def _object(arguments: str) -> dict[str, Any]:
    try:
        value = json.loads(arguments)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"command": arguments}


def ended(wire: str, run: Run, count: int, cost_nano: int) -> CallRecord:
    """Give what is told of the call that asked with the first `count` steps of a run: its answer began the next one."""
    shape = wire.rstrip("+?")
    step = [*run.steps[count : count + 1]] if wire.endswith("+") else []
    items = [item for each in step for item in _items(shape, count, each)]
    return CallRecord(
        f"c{count}", "default", {"run": run.id}, "p", "m", shape, SETTLED, 1, Amounts(cost_nano, requests=1),
        response_id=f"resp_{count}", asked=marks_of(item for item in items if item.get("type") == "function_call"),
    )  # fmt: skip


# --- replay --------------------------------------------------------------------------------------------------------


def findings(
    wire: str, run: Run, settings: LoopSettings = LOOPS, cost_nano: int = STEP_NANO
) -> Iterator[tuple[int, tuple[Finding, ...]]]:
    """Send a run step by step; give what is found at the request after each number of steps."""
    watched = RunLoops(settings)
    for count in range(len(run.steps) + 1):
        yield count, watched.look(f"c{count}", request(wire, run, count)).findings
        watched.ended(ended(wire, run, count, cost_nano))


def caught_after(wire: str, run: Run) -> int | None:
    """Give after how many steps a rule fires; None for never."""
    return next((count for count, found in findings(wire, run) if found), None)


# --- real runs -----------------------------------------------------------------------------------------------------


def real_runs(folder: Path = TRAJECTORIES) -> list[Run]:
    """Read the real runs. Those of coding agents twice: as words, as they were, and as calls of their commands."""
    runs = []
    for name in FILES:
        with gzip.open(folder / name, "rt") as lines:
            for row in map(json.loads, lines):
                runs.append(_real(row, is_called=False))
                if "coding" in name:
                    runs.append(_real(row, is_called=True))
    return runs


def _real(row: dict[str, Any], *, is_called: bool) -> Run:
    messages = [message for message in row["messages"] if message["role"] != "system"]
    opening = ""
    while messages and messages[0]["role"] != "assistant":
        opening = _content(messages.pop(0))
    steps: list[Step] = []
    for message in messages:
        if message["role"] == "assistant":
            steps.append(_began(message, is_called=is_called))
        else:
            steps[-1] = _answered_with(steps[-1], _content(message))
    return Run(row["id"], tuple(step for step in steps if step.answer or step.heard), opening)


def _content(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if part.get("type") == "text")
    return content or "(empty)"


def _began(message: dict[str, Any], *, is_called: bool) -> Step:
    calls = message.get("tool_calls") or []
    if is_called and message.get("action"):
        name, _, rest = message["action"].strip().partition(" ")
        return Step(name, rest, said=_content(message))
    if calls:
        asked = calls[0]["function"]
        arguments = asked["arguments"]
        return Step(asked["name"], arguments if isinstance(arguments, str) else json.dumps(arguments))
    return Step(said=_content(message))


def _answered_with(step: Step, text: str) -> Step:
    if step.name:
        return replace(step, answer=text)
    return replace(step, heard="\n".join(filter(None, (step.heard, text))))


# --- planted loops -------------------------------------------------------------------------------------------------

_WORDS = [
    "the", "order", "parser", "config", "cache", "retry", "socket", "index", "schema", "user", "token", "module",
    "build", "test", "branch", "merge", "commit", "file", "line", "value", "error", "list", "queue", "worker", "thread",
    "report", "price", "table", "column", "window", "budget", "ledger", "entry", "start", "end", "total", "header",
]  # fmt: skip


class Planter:
    """Makes steps from a seed: healthy ones, no two alike, and those of loops."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._count = 0

    def text(self, words: int) -> str:
        return " ".join(self._random.choice(_WORDS) for _ in range(words))

    def healthy(self) -> Step:
        """Make a step that brings something new. Some only write, and are told no more than that it was done."""
        self._count += 1
        path = json.dumps({"path": f"src/{self._random.choice(_WORDS)}_{self._count}.py"})
        kind = self._random.randrange(4)
        if kind == 0:
            return Step("write_file", json.dumps({"path": path, "text": self.text(30)}), "ok")
        if kind == 1:
            return Step("run", path, f"Error: {self.text(8)} {self._count}", is_error=True)
        return Step("read_file", path, self.text(40 + self._random.randrange(60)))

    def healthies(self, least: int, most: int) -> list[Step]:
        return [self.healthy() for _ in range(self._random.randint(least, most))]

    def call(self) -> Step:
        """Make a call with an answer, which a loop then repeats."""
        self._count += 1
        name = self._random.choice(("search", "read_file", "run", "fetch"))
        return Step(name, json.dumps({"what": self.text(4), "at": self._count}), self.text(25))

    def between(self, step: Step, healthy: int) -> list[Step]:
        return [step, *(self.healthy() for _ in range(healthy))]


def planted(kind: str, seed: int) -> tuple[Run, int]:
    """Make a run with a loop of a kind, after some healthy steps; give also how many steps are before the loop."""
    planter = Planter(seed)
    before = planter.healthies(0, 12)
    loop = KINDS[kind][0](planter)
    return Run(f"{kind}-{seed}", (*before, *loop), f"{planter.text(20)} {seed}"), len(before)


def _row(planter: Planter) -> list[Step]:
    return [planter.call()] * 40


def _row_clock(planter: Planter) -> list[Step]:
    step = planter.call()
    return [replace(step, answer=f"12:{at:02d}:07 still waiting, took 0.{at}7 s") for at in range(40)]


def _row_counter(planter: Planter) -> list[Step]:
    step = planter.call()
    return [replace(step, answer=f"attempt {at} of 100 was not accepted") for at in range(40)]


def _interleaved(planter: Planter) -> list[Step]:
    step = planter.call()
    return [each for at in range(20) for each in planter.between(step, 1 + at % 3)]


def _cycle(length: int, healthy: int = 0) -> Callable[[Planter], list[Step]]:
    def make(planter: Planter) -> list[Step]:
        steps = [planter.call() for _ in range(length)]
        return [each for _ in range(20) for step in steps for each in planter.between(step, healthy)]

    return make


def _error(planter: Planter) -> list[Step]:
    step = planter.call()
    failed = replace(step, answer=f"Error: {planter.text(10)}", is_error=True)
    return [each for at in range(20) for each in planter.between(failed, at % 3)]


def _error_alike(planter: Planter) -> list[Step]:
    text = planter.text(10)
    failed = (
        replace(planter.call(), name="edit", answer=f"Error: {text} in line {at}", is_error=True) for at in range(20)
    )
    return [each for at, step in enumerate(failed) for each in planter.between(step, at % 3)]


def _thanks(planter: Planter) -> list[Step]:
    said, heard = planter.text(40), planter.text(40)
    return [Step(said=f"{said} {at}", heard=f"Message {at}: {heard}") for at in range(20)]


def _nothing_new(planter: Planter) -> list[Step]:
    answers = ["no results were found", "nothing was found for this query", "the search came back with nothing at all"]
    return [replace(planter.call(), answer=answers[at % 3]) for at in range(40)]


KINDS: dict[str, tuple[Callable[[Planter], list[Step]], int, int | None]] = {
    "row": (_row, 5, 10),
    "row, the clock moves": (_row_clock, 5, 10),
    "row, a counter moves": (_row_counter, 6, None),
    "again, 1 to 3 healthy steps between": (_interleaved, 13, None),
    "A-B-A-B": (_cycle(2), 6, 12),
    "cycle of 3": (_cycle(3), 9, 18),
    "cycle of 4": (_cycle(4), 12, 24),
    "cycle of 5": (_cycle(5), 15, 30),
    "A-B-A-B, a healthy step after each": (_cycle(2, 1), 17, None),
    "cycle of 5, a healthy step after each": (_cycle(5, 1), 26, None),
    "the same call fails": (_error, 8, 16),
    "the same tool fails, other arguments": (_error_alike, 11, 20),
    "two agents thank each other": (_thanks, 4, 12),
    "no results, other arguments": (_nothing_new, 14, 14),
}
"""By kind: how it is made, within how many steps of the loop it must be caught, and within how many where only the
answers of tools are shown; None where that is not promised."""


OF_WORDS = ("two agents thank each other",)
"""Kinds without a call: what the model says in an answer is not remembered."""


def within(kind: str, wire: str) -> int | None:
    """Say within how many steps of its loop a run of a kind must be caught."""
    _, shown, unseen = KINDS[kind]
    is_unseen = wire.endswith("?") or (wire.endswith("+") and kind in OF_WORDS)
    return unseen if is_unseen else shown
