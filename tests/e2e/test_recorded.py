"""Real recorded traffic through the gateway and the real SDKs: equal answers, equal usage.

The recordings are not part of the project; without them these tests are skipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.e2e.recorded import Stage, staged
from tests.e2e.recorded_sdks import WIRES, Sdks, Told, sdks, usage_told, without_hidden

from bursar.core.hold import State

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")]

ROWS = 637


@dataclass(frozen=True)
class Bound:
    """How many of a wire's recordings may fall short of an answer with equal usage, and why."""

    rows: int
    released: int = 0
    """The provider answered with an error."""
    estimated: int = 0
    """The recorded provider told no usage: the ledger has an estimate, and says so."""
    refused: dict[str, int] = field(default_factory=dict)
    """How the gateway's words begin, and how often."""

    def reason(self, message: str) -> str:
        return next((known for known in self.refused if message.startswith(known)), message)


BOUNDS = {
    ("openai.chat", False): Bound(285, released=5),
    # Recorded before the clients asked for `include_usage`; the gateway asks, but a recording cannot answer anew.
    ("openai.chat", True): Bound(123, released=1, estimated=87),
    # Web searches are billed by the piece, and this request does not say how many there may be.
    ("openai.responses", False): Bound(57, released=1, refused={"a web search needs `max_tool_calls`": 1}),
    ("openai.responses", True): Bound(41),
    # One is Ollama's own API (`/api/embeddings`, a `prompt` and no `input`), which is another wire.
    ("openai.embeddings", False): Bound(34, released=3, refused={"`input` is required": 1}),
    ("anthropic.messages", False): Bound(23),
    # The same of web searches.
    ("anthropic.messages", True): Bound(47, refused={"a web search needs `max_uses`": 1}),
    # A picture at somebody else's address has no size that could be known before it is billed.
    ("gemini.generate", False): Bound(23, released=3, refused={"a file by reference has no known length": 1}),
    ("gemini.generate", True): Bound(4),
}
"""As tight as the data: no recording continues an earlier response, none runs in the background."""


@dataclass
class Tally:
    """What became of a wire's recordings."""

    equal: int = 0
    estimated: int = 0
    released: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("recorded"), WIRES) as made:
        yield made


@pytest.fixture(scope="module")
def clients() -> Iterator[Sdks]:
    with sdks() as opened:
        yield opened


def test_every_recording_is_played(stage: Stage) -> None:
    assert len(stage.rows) == sum(bound.rows for bound in BOUNDS.values()) == ROWS


@pytest.mark.parametrize(("wire", "is_stream"), BOUNDS)
def test_every_recorded_interaction_passes_with_equal_answers_and_usage(
    stage: Stage, clients: Sdks, wire: str, is_stream: bool
) -> None:
    rows, bound, tally = stage.of(wire, is_stream=is_stream), BOUNDS[wire, is_stream], Tally()
    for row in rows:
        play(stage, clients, row, tally)
    print(f"{wire} stream={is_stream}: {len(rows)} rows, {tally}")
    assert len(rows) == bound.rows
    # One chat answer is an error under status 200.
    assert tally.released == bound.released >= sum(row["status"] >= 400 for row in rows)
    assert tally.estimated <= bound.estimated
    assert not Counter(map(bound.reason, tally.refused.elements())) - Counter(bound.refused)
    assert tally.equal + tally.estimated + tally.released + tally.refused.total() == len(rows)


def play(stage: Stage, clients: Sdks, row: dict[str, Any], tally: Tally) -> None:
    """Send one recorded request to the provider and through the gateway, and compare what comes of it."""
    wire = row["wire"]
    direct, through = clients.direct(row, stage.replay_url), clients.through(row, stage.gateway_url)
    if isinstance(through.answer, tuple) and through.answer != direct.answer:
        # The gateway's own words, and nobody but the direct call was at the provider.
        assert through.answer[0] == 400, row["id"]
        assert stage.hits()[row["id"]] == 1, row["id"]
        tally.refused[through.message] += 1
        return
    assert through.answer == without_hidden(direct.answer, row), row["id"]
    hold, told = stage.hold(through.call_id), usage_told(direct.answer, wire)
    if direct.is_error:
        assert hold.state is State.RELEASED, row["id"]
        tally.released += 1
    elif told is None:
        assert hold.state is State.PRESUMED or "estimated" in hold.flags, row["id"]
        assert hold.settled.output_tokens + hold.held.output_tokens > 0
        tally.estimated += 1
    else:
        assert hold.state is State.SETTLED, row["id"]
        counted = hold.settled
        assert told == Told(
            counted.input_tokens, counted.output_tokens, counted.cached_tokens, counted.reasoning_tokens
        ), row["id"]
        assert "estimated" not in hold.flags
        tally.equal += 1
