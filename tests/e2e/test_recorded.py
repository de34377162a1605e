"""Real recorded traffic through the gateway and the real SDKs: equal answers, equal usage.

The recordings are not part of the project; without them these tests are skipped.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from tests.e2e.world import usd

from bursar.config.settings import PriceRow, ServerSettings, Settings, StoreSettings
from bursar.core.budget import Policy
from bursar.core.hold import State
from bursar.core.ledger import HoldRow
from bursar.core.provider import Provider
from bursar.stores.sqlite import SqliteLedger
from bursar.testing.gateway import GatewayProcess

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")]

RECORDED = Path(__file__).parents[3] / "shared" / "recorded"
WIRES = ("openai.chat", "anthropic.messages")
REFUSED_MOST = 1
"""One recording asks for web searches without saying how many: it cannot be bounded and is refused."""


@dataclass(frozen=True)
class Stage:
    """The replayed provider, the gateway before it, and the recordings by wire."""

    replay_url: str
    gateway_url: str
    ledger: Path
    rows: tuple[dict[str, Any], ...]

    def of(self, wire: str, *, is_stream: bool) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["wire"] == wire and row["stream"] == is_stream]

    def hold(self, call_id: str) -> HoldRow:
        ledger = SqliteLedger(self.ledger)
        try:
            return ledger.hold("default", call_id)
        finally:
            ledger.close_store()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    if not (RECORDED / "traffic.jsonl.gz").is_file():
        pytest.skip("no recorded traffic beside the project")
    with gzip.open(RECORDED / "traffic.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = tuple(row for row in map(json.loads, file) if row["wire"] in WIRES)
    assert len(rows) > 400
    words = [sys.executable, str(RECORDED / "replay.py")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as replay:
        assert replay.stdout is not None
        url = replay.stdout.readline().strip()
        ledger = tmp_path_factory.mktemp("recorded") / "bursar.db"
        settings = Settings(
            server=ServerSettings(port=0),
            store=StoreSettings(path=ledger),
            # Each recording is a provider of its own; `id/model` names it.
            providers=tuple(Provider(row["id"], f"{url}/{row['id']}", (row["wire"],)) for row in rows),
            prices=(PriceRow("*", "*", False, (("input", "1"), ("output", "2"))),),
            budgets=(usd(10**15, on_unknown_price=Policy.ALLOW),),
        )
        with GatewayProcess(settings) as gateway:
            yield Stage(url, gateway.url, ledger, rows)
        replay.terminate()


def ask(row: dict[str, Any], url: str, *, model: str) -> tuple[str, Any]:
    """Send a recorded request through its SDK; give the call's id and what the SDK made of the answer."""
    body = {name: value for name, value in row["request"].items() if name not in ("model", "messages", "max_tokens")}
    messages = row["request"]["messages"]
    try:
        if row["wire"] == "openai.chat":
            if "max_tokens" in row["request"]:
                body["max_tokens"] = row["request"]["max_tokens"]
            body.pop("stream", None)
            with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as openai_client:
                raw = openai_client.chat.completions.with_raw_response.create(
                    model=model, messages=messages, stream=row["stream"], extra_body=body
                )
                return raw.headers.get("x-bursar-call", ""), seen(raw.parse())
        body.pop("stream", None)
        most = row["request"]["max_tokens"]
        with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0) as client:
            answer = client.messages.with_raw_response.create(
                model=model, messages=messages, max_tokens=most, stream=row["stream"], extra_body=body
            )
            return answer.headers.get("x-bursar-call", ""), seen(answer.parse())
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        return error.response.headers.get("x-bursar-call", ""), (error.status_code, error.body)
    except (openai.APIError, anthropic.APIError) as error:
        return "", (type(error).__name__, str(error))


def seen(parsed: Any) -> Any:
    """What the SDK's user sees: one object, or the list of a stream's (and the error that ended it)."""
    if hasattr(parsed, "model_dump"):
        return parsed.model_dump(mode="json", warnings=False)
    if isinstance(parsed, str):
        return parsed
    chunks: list[Any] = []
    try:
        chunks.extend(chunk.model_dump(mode="json", warnings=False) for chunk in parsed)
    except (openai.APIError, anthropic.APIError) as error:
        chunks.append((type(error).__name__, str(error)))
    return chunks


def without_hidden(answer: Any, row: dict[str, Any]) -> Any:
    """Leave out the usage chunk that a client did not ask for."""
    options = row["request"].get("stream_options") or {}
    if row["wire"] != "openai.chat" or not isinstance(answer, list) or options.get("include_usage"):
        return answer
    return [chunk for chunk in answer if not (isinstance(chunk, dict) and not chunk["choices"] and chunk["usage"])]


def usage_told(answer: Any, wire: str) -> tuple[int, int] | None:
    """Input (cached included) and output tokens as the SDK parses them; a stream's last word counts."""
    # Groq tells a stream's usage under a name of its own.
    usages = [
        item.get("usage") or (item.get("message") or item.get("x_groq") or {}).get("usage") for item in as_list(answer)
    ]
    if wire == "openai.chat":
        last = next((usage for usage in reversed(usages) if usage), None)
        return None if last is None else (last["prompt_tokens"], last["total_tokens"] - last["prompt_tokens"])
    merged: dict[str, Any] = {}
    for usage in usages:
        merged.update({name: count for name, count in (usage or {}).items() if count is not None})
    if not merged:
        return None
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return sum(merged.get(name, 0) for name in names), merged["output_tokens"]


def as_list(answer: Any) -> list[dict[str, Any]]:
    return [item for item in (answer if isinstance(answer, list) else [answer]) if isinstance(item, dict)]


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_every_recorded_interaction_passes_with_equal_answers_and_usage(
    stage: Stage, wire: str, is_stream: bool
) -> None:
    rows = stage.of(wire, is_stream=is_stream)
    refused = estimated = equal = 0
    for row in rows:
        direct = ask(row, f"{stage.replay_url}/{row['id']}", model=row["request"]["model"])[1]
        call_id, through = ask(row, stage.gateway_url, model=f"{row['id']}/{row['request']['model']}")
        if isinstance(through, tuple) and not call_id and through != direct:
            refused += 1
            continue
        assert through == without_hidden(direct, row), row["id"]
        hold = stage.hold(call_id)
        told = usage_told(direct, wire)
        if row["status"] >= 400 or (isinstance(direct, dict) and "error" in direct):
            assert hold.state is State.RELEASED, row["id"]
        elif told is None:
            estimated += 1
            assert hold.state is State.PRESUMED or "estimated" in hold.flags, row["id"]
            assert hold.settled.output_tokens + hold.held.output_tokens > 0
        else:
            equal += 1
            assert hold.state is State.SETTLED, row["id"]
            assert (hold.settled.input_tokens, hold.settled.output_tokens) == told, row["id"]
            assert "estimated" not in hold.flags
    print(f"{wire} stream={is_stream}: {len(rows)} rows, {equal} equal, {estimated} estimated, {refused} refused")
    assert refused <= REFUSED_MOST
    assert equal > 0
