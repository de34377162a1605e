"""What is remembered of runs: bounded, without a text, the same whatever was seen before, each run for itself."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import pytest
from tests.guards.loops.runs import KINDS, STEP_NANO, WIRES, Planter, Run, ended, findings, planted, request

from bursar.core.loops import LOOPS
from bursar.guards.loops.rules import Rule
from bursar.guards.loops.watch import ITEMS_MAX, OBSERVED_MAX, THREADS_MAX, Loops, RunLoops
from bursar.wire import acts
from bursar.wire.base import Request

CHAT = "openai.chat"
WHOLE = tuple(wire for wire in WIRES if "+" not in wire)


def test_a_process_that_saw_nothing_of_a_run_finds_what_one_that_saw_all_of_it_finds() -> None:
    """Only what was spent is not in a body."""
    settings = replace(LOOPS, stale_nano=0)
    for wire in WHOLE:
        for kind in KINDS:
            run, _ = planted(kind, 11)
            for count, found in findings(wire, run, settings):
                anew = RunLoops(settings).look("c", request(wire, run, count)).findings
                assert [(each.rule, each.count) for each in anew] == [(each.rule, each.count) for each in found]


def test_only_what_is_new_of_a_conversation_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run("r", tuple(Planter(1).healthies(200, 200)))
    read: list[int] = []
    parts_of = acts.parts_of

    def counted(wire: str, items: Any) -> list[acts.Part]:
        items = list(items)
        read.append(len(items))
        return parts_of(wire, items)

    monkeypatch.setattr("bursar.guards.loops.watch.parts_of", counted)
    watched = RunLoops()
    watched.look("c0", request(CHAT, run, 150))
    assert sum(read) <= ITEMS_MAX + 3
    for count in range(151, 201):
        read.clear()
        watched.look(f"c{count}", request(CHAT, run, count))
        assert sum(read) <= 8, "two items are new; the rest finds where the conversation stood"


def test_no_text_is_kept() -> None:
    planter = Planter(2)
    run = Run("r", (*planter.healthies(10, 10), planter.call()), "canary-words-of-the-person")
    watched = RunLoops()
    for wire in WHOLE:
        for count in range(12):
            watched.look(f"c{count}", request(wire, run, count))
    texts = {value for value in _reachable(watched) if isinstance(value, str)}
    names = {step.name for step in run.steps}
    assert texts <= {f"c{count}" for count in range(12)} | names | {""} | set(RunLoops.__slots__)
    assert texts & names, "the search reaches what is kept"


def _reachable(start: object) -> list[object]:
    found: list[object] = []
    seen: set[int] = set()
    pending = [start]
    while pending:
        item = pending.pop()
        if id(item) in seen or isinstance(item, type):
            continue
        seen.add(id(item))
        found.append(item)
        if not isinstance(item, str | int | bytes):
            pending += gc.get_referents(item)
    return found


def test_a_request_sent_again_is_no_step_of_a_loop() -> None:
    run, before = planted("row", 8)
    watched = RunLoops(replace(LOOPS, stale_nano=0))
    count = before + LOOPS.row - 1
    for at in range(count + 1):
        watched.look(f"c{at}", request(CHAT, run, at))
    for at in range(10):
        seen = watched.look(f"again{at}", request(CHAT, run, count))
        assert (seen.findings, seen.is_repeat) == ((), True)


def test_sub_agents_side_by_side_in_a_run_are_no_loop_of_each_other() -> None:
    """Three of them look at the same files at the same time; each does so once."""
    planter = Planter(9)
    steps = tuple(planter.call() for _ in range(12))
    children = [Run(f"child {at}", steps, f"{planter.text(12)} {at}") for at in range(3)]
    for wire in WIRES:
        watched = RunLoops()
        for count in range(13):
            for child, run in enumerate(children):
                asked = _chained(request(wire, run, count), child)
                assert watched.look(f"{child}-{count}", asked).findings == (), wire
                told = ended(wire, run, count, 1_000)
                watched.ended(replace(told, id=f"{child}-{count}", response_id=f"{child}-resp_{count}"))


def _chained(asked: Request, child: int) -> Request:
    return replace(asked, previous_id=f"{child}-{asked.previous_id}") if asked.previous_id else asked


def test_an_agent_that_is_begun_over_and_over_is_found() -> None:
    watched = RunLoops(replace(LOOPS, stale_nano=0))
    for at in range(LOOPS.openings):
        run = Run("r", (), f"It is 12:{at:02d}. Find out why the build of the parser fails, and mend it, please.")
        found = watched.look(f"c{at}", request(CHAT, run, 0)).findings
        assert [each.rule for each in found] == ([Rule.OPENINGS] if at == LOOPS.openings - 1 else [])


def test_children_with_tasks_of_their_own_are_no_beginnings_over_and_over() -> None:
    planter = Planter(10)
    watched = RunLoops(replace(LOOPS, stale_nano=0))
    for at in range(60):
        run = Run("r", (), f"Research this for the report, and be brief: {planter.text(8)}")
        assert watched.look(f"c{at}", request(CHAT, run, 0)).findings == ()


def test_what_a_run_remembers_is_bounded() -> None:
    watched = RunLoops()
    for at in range(THREADS_MAX * 5):
        run = Run("r", tuple(Planter(at).healthies(60, 60)), f"task {at}")
        for count in range(0, 61, 4):
            watched.look(f"{at}-{count}", request(CHAT, run, count))
    assert len(watched._threads) == THREADS_MAX
    assert max(len(thread.turns) for thread in watched._threads) <= 40
    assert len(watched._observed) <= OBSERVED_MAX


def test_runs_and_tenants_are_apart_and_the_oldest_run_is_forgotten() -> None:
    run, before = planted("row", 12)
    loops = Loops(runs_max=2)
    for count in range(before + LOOPS.row):
        for tenant, name in (("acme", "r"), ("rival", "r")):
            assert loops.look(tenant, name, f"c{count}", request(CHAT, run, count)).findings == ()
            loops.call_ended(replace(ended(CHAT, run, count, STEP_NANO), tenant=tenant, labels={"run": name}))
    assert loops.look("acme", "r", "c", request(CHAT, run, before + LOOPS.row)).step == before + LOOPS.row + 1
    assert loops.look("acme", "new", "c", request(CHAT, run, 0)).step == 1
    assert loops.look("rival", "r", "c", request(CHAT, run, 0)).step == 1, "it was forgotten"


@pytest.mark.parametrize("wire", ["openai.chat", "openai.responses", "anthropic.messages", "gemini.generate"])
@pytest.mark.parametrize(
    "items",
    [None, 7, "words", {}, [], [7, None, "x"], [{}], [{"role": 5, "content": 5, "parts": 5, "type": 5}],
     [{"role": "assistant", "tool_calls": [{"function": 5}], "content": [{"type": "tool_use", "input": [1]}]}],
     [{"role": "tool", "content": {"a": [None, {"b": "\ud800"}]}}, {"type": "function_call", "call_id": 5}],
     [{"role": "model", "parts": [{"functionCall": {"args": 5}}, {"functionResponse": {"response": 5}}]}]],
)  # fmt: skip
def test_a_body_of_any_shape_is_read_without_an_error(wire: str, items: Any) -> None:
    body = {"messages": items, "input": items, "contents": items}
    watched = RunLoops()
    for at in range(3):
        watched.look(f"c{at}", Request(wire, "m", body, False, True, None))


def test_an_api_without_conversations_has_no_loops() -> None:
    watched = RunLoops()
    for at in range(30):
        seen = watched.look(f"c{at}", Request("openai.embeddings", "m", {"input": "words"}, False, True, None))
        watched.ended(ended(CHAT, Run("r", ()), at, 10**9))
        assert seen.findings == ()
