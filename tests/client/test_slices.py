"""A program that calls again and again: what is set aside for it is counted while it runs, and when it is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest
from tests.client.house import ASKED, House

import bursar
from bursar.core.hold import State
from bursar.core.ledger import calls_in
from bursar.stores.sqlite_slices import SLICE_CALLS

PROGRAM = f"""
import os, signal, sys
import httpx2, bursar
from bursar.client.runtime import runtime
from bursar.stores import joined, threaded

threaded.DOZE_S = 60  # the ledger's thread writes nothing: the program is faster
joined.InlineStore._look = lambda self: None
sent, taken = 0, int(sys.argv[2])

def answer(request):
    global sent
    sent += 1
    slices = runtime.engine()._face.ledger.slices.values()
    if [len(each.taken) for each in slices] == [taken]:
        print(sent, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    usage = {{"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}
    message = {{"role": "assistant", "content": "ok"}}
    choice = {{"index": 0, "message": message, "finish_reason": "stop"}}
    said = {{"id": "x", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}}
    return httpx2.Response(200, json=said)

with bursar.budget("$1000", run="r") as budget, httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
    for _ in range(40):
        client.post(sys.argv[1], json={ASKED!r}).raise_for_status()
    print(budget.calls, budget.spent)
"""


def run(home: House, taken: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, home.chat_url, str(taken)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_in_a_run_to_its_end_each_call_is_there_and_nothing_else(home: House) -> None:
    done = run(home, -1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("40 ")
    assert [hold.state for hold in home.holds()] == [State.SETTLED] * 40
    home.assert_sound()


@pytest.mark.parametrize("taken", [0, 1, SLICE_CALLS])
def test_killed_in_the_midst_what_was_set_aside_is_presumed(home: House, taken: int) -> None:
    done = run(home, taken)
    assert done.returncode == -signal.SIGKILL, done.stderr
    sent = int(done.stdout)
    left = {calls_in(hold.id) for hold in home.holds() if hold.state is State.OPEN}
    assert left == {1, SLICE_CALLS}
    with bursar.budget("$1"):
        until_presumed = threading.Event()
        for _ in range(500):
            if State.OPEN not in {hold.state for hold in home.holds()}:
                break
            until_presumed.wait(0.02)
    rows = home.holds()
    presumed = [hold for hold in rows if hold.state is State.PRESUMED]
    assert sum(hold.held.requests for hold in presumed) == 1 + SLICE_CALLS
    counted = sum(hold.settled.requests + hold.held.requests * (hold.state is State.PRESUMED) for hold in rows)
    assert counted == sent + SLICE_CALLS - taken, "never too little, and no more than was set aside"
    home.assert_sound()
