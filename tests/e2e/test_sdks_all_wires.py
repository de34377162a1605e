"""The real SDKs of every wire through a gateway: answered, settled as invoiced, cut cleanly, refused once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from google.genai import errors
from tests.e2e.sdk_ways import STREAMED, WAYS, Way
from tests.e2e.test_refusal import LINK, CountingProxy
from tests.gateway.house import OPENAI_WIRES, GatewayThread, House, settings_for, usd

from bursar.core.budget import Budget
from bursar.core.hold import State
from bursar.core.provider import Provider
from bursar.testing import Script, ScriptedProvider

# google-genai makes a class of aiohttp's session, which aiohttp does not like.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Inheritance class Aiohttp:DeprecationWarning")]

LIMIT = 120_000_000
"""$0.12: nearly 12,000 output tokens at $10 per million."""
SPEED = 3000
PACE: dict[str, Any] = {"tokens_per_s": SPEED, "tokens_per_event": 20, "run_ahead_tokens": 200}
LABS = {"openai": "lab", "anthropic": "lab-messages", "gemini": "lab-gemini"}
"""A provider with a name of its own for each API."""


@contextlib.contextmanager
def labs(path: Path, budgets: Sequence[Budget], script: Script, **more: Any) -> Iterator[House]:
    """Open a gateway that has, beside the providers of each API, one with a name of its own."""
    with ScriptedProvider({"*": script}) as provider:
        settings = settings_for(provider.url, path / "bursar.db", budgets, **more)
        own = (
            Provider(LABS["openai"], f"{provider.url}/v1", OPENAI_WIRES),
            Provider(LABS["anthropic"], provider.url, ("anthropic.messages",)),
            Provider(LABS["gemini"], provider.url, ("gemini.generate",)),
        )
        with GatewayThread(replace(settings, providers=settings.providers + own)) as gateway:
            yield House(provider, gateway, settings.store.path)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A gateway with money enough for all that one module asks."""
    script = Script(output_tokens=60, reasoning_tokens=12)
    with labs(tmp_path_factory.mktemp("all-wires"), [usd(10**12)], script) as made:
        yield made


@pytest.fixture(scope="module")
def broke(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A gateway whose budget pays for nothing."""
    with labs(tmp_path_factory.mktemp("broke"), [usd(1, name="tiny", link=LINK)], Script()) as made:
        yield made


def address(way: Way, prefix: str) -> str:
    """What stands before the path: nothing, the name of the API, or a provider's own name."""
    return {"": "", "family": f"/{way.family}", "own": f"/{LABS[way.family]}"}[prefix]


@pytest.mark.parametrize("prefix", ["", "family", "own"])
@pytest.mark.parametrize("name", WAYS)
def test_an_sdk_is_answered_and_the_call_settled_as_invoiced(home: House, name: str, prefix: str) -> None:
    way = WAYS[name]
    before_nano, before = home.invoice_nano(), len(home.holds())
    read = way.ask(home.url + address(way, prefix))
    assert read.end == way.end
    assert read.text or way.wire == "openai.embeddings"
    *_, hold = home.holds()
    assert len(home.holds()) == before + 1
    assert hold.state is State.SETTLED and not hold.flags
    assert hold.settled.cost_nano == home.invoice_nano() - before_nano > 0
    assert (hold.settled.input_tokens, hold.settled.output_tokens) == (read.input, read.output)
    assert hold.labels["wire"] == way.wire
    assert hold.labels["provider"] == (LABS[way.family] if prefix == "own" else way.family)
    assert read.headers["x-bursar-call"] == hold.id
    assert read.headers["x-bursar-budget"] == "one"
    assert Decimal(read.headers["x-bursar-remaining-usd"]) > 0
    # What a stream costs is not known when its headers are sent.
    told = read.headers.get("x-bursar-cost-usd")
    assert told is None if name in STREAMED else Decimal(told or 0) * 10**9 == hold.settled.cost_nano


@pytest.mark.parametrize("name", STREAMED)
def test_streams_that_share_a_budget_are_cut_as_their_api_ends_a_full_answer(tmp_path: Path, name: str) -> None:
    way, script = STREAMED[name], Script(output_tokens=40_000, **PACE)
    with labs(tmp_path, [usd(LIMIT)], script, top_speed=SPEED) as made:
        with ThreadPoolExecutor(2) as pool:
            reads = list(pool.map(way.ask, [made.url, made.url]))
        assert {read.end for read in reads} == {way.cut}
        assert all(read.text and 0 < read.output < 12_000 for read in reads)
        holds = made.holds()
        assert {hold.note.ended for hold in holds} <= {"cut", "capped"}
        cut = [hold for hold in holds if hold.note.ended == "cut"]
        assert cut and all(hold.flags >= {"cut", "estimated"} for hold in cut)
        made.provider.wait(open_calls=0)
        balance = made.assert_sound()
        assert balance.settled + balance.presumed <= LIMIT


@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_alone_is_capped_at_what_the_budget_has_left(tmp_path: Path, name: str) -> None:
    way, script = STREAMED[name], Script(output_tokens=40_000, **PACE)
    with labs(tmp_path, [usd(LIMIT // 2)], script, top_speed=SPEED) as made:
        read = way.ask(made.url)
        (hold,) = made.holds()
        assert (read.end, hold.note.ended, hold.note.cap) == (way.cut, "capped", read.output)
        assert hold.settled.output_tokens == read.output
        assert made.assert_sound().settled == made.invoice_nano()


@pytest.mark.parametrize("prefix", ["", "family", "own"])
@pytest.mark.parametrize("name", WAYS)
async def test_a_refused_call_is_tried_once_and_raises_the_sdks_own_error(broke: House, name: str, prefix: str) -> None:
    way = WAYS[name]
    async with CountingProxy(broke.url) as proxy:
        with pytest.raises((openai.APIStatusError, anthropic.APIStatusError, errors.ClientError)) as caught:
            await asyncio.to_thread(way.ask, proxy.url + address(way, prefix))
        assert proxy.count == 1
    assert status_of(caught.value) == 402
    assert "'tiny'" in str(caught.value) and LINK in str(caught.value)
    assert (broke.provider.invoice()["requests"], broke.holds()) == (0, [])


def status_of(error: Exception) -> int:
    assert isinstance(error, openai.APIStatusError | anthropic.APIStatusError | errors.ClientError)
    return error.code if isinstance(error, errors.ClientError) else error.status_code
