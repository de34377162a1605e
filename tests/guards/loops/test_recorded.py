"""Real recorded requests of every API: each tool call in them is seen with its answer, and none is taken for a loop."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bursar.errors import BadRequest
from bursar.guards.loops.turns import turns_of
from bursar.guards.loops.watch import RunLoops
from bursar.wire.acts import Asked, Returned, items_of, parts_of
from bursar.wire.base import Request
from bursar.wiring.wires import Named, Wires

TRAFFIC = Path(__file__).parents[3].parent / "shared" / "recorded" / "traffic.jsonl.gz"
CALLS = ('"tool_calls": [{', '"type": "tool_use"', '"type": "function_call"', '"functionCall": ')
WIRES = Wires(2**25)

pytestmark = pytest.mark.skipif(not TRAFFIC.exists(), reason="the recorded traffic is not beside this repository")


def recorded() -> list[tuple[Request, dict[str, Any]]]:
    found = []
    with gzip.open(TRAFFIC, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            named = Named("gemini-2.5-flash", "v1beta", is_stream=row["stream"], is_sse=True)
            wire = WIRES.naming(named) if row["wire"] == "gemini.generate" else WIRES.wire(row["wire"])
            try:
                found.append((wire.parse(json.dumps(row["request"]).encode()), row))
            except BadRequest:
                continue
    return found


def test_every_tool_call_is_seen_with_its_answer_and_none_is_a_loop() -> None:
    called: Counter[str] = Counter()
    for request, row in recorded():
        parts = parts_of(request.wire, items_of(request)) if items_of(request) else []
        asked = [part for part in parts if isinstance(part, Asked)]
        answered = {part.id for part in parts if isinstance(part, Returned)}
        assert bool(asked) == any(mark in json.dumps(row["request"]) for mark in CALLS), row["source"]
        assert all(part.name for part in asked), row["source"]
        in_turns = [action for turn in turns_of(parts) for action in turn.actions]
        assert all(action.answer for action in in_turns if action.name), row["source"]
        assert len(in_turns) >= len(answered), row["source"]
        called[request.wire] += len(in_turns)
        assert RunLoops().look("c", request).findings == (), row["source"]
    assert called["openai.chat"] > 40
    assert called["openai.responses"] > 35
    assert called["anthropic.messages"] >= 8
    assert called["gemini.generate"] >= 4


def test_the_calls_of_a_whole_answer_of_responses_are_marked_as_the_next_request_would_show_them() -> None:
    marked = 0
    for request, row in recorded():
        answer = WIRES.wire(row["wire"]).read_whole(request, row["body"].encode("utf-8", "surrogatepass"))
        if request.wire != "openai.responses" or row["stream"] or answer is None:
            continue
        output = json.loads(row["body"]).get("output") or []
        shown = [part.mark for part in parts_of(request.wire, output) if isinstance(part, Asked)]
        assert list(answer.asked) == shown
        assert len(shown) == answer.tool_calls
        marked += len(shown)
    assert marked > 20
