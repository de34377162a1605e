"""Fall-back: another provider is asked inside the same hold, on its own terms; whatever may be billed counts."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.rig import Rig, data_of

from bursar.config.settings import PriceRow, Settings, StoreSettings
from bursar.core.budget import Budget, Limit, Policy, Unit
from bursar.core.hold import State
from bursar.core.provider import Auth, Deadlines, Provider
from bursar.core.window import Window, WindowKind
from bursar.testing import Rates, Script, ScriptedProvider
from bursar.wiring.engine import Engine

DOLLAR = 10**9
WIRES = ("openai.chat", "anthropic.messages")
CHEAP = Rates(input=0, cache_read=0, output=1_000_000)
DEAR = Rates(input=0, cache_read=0, output=50_000_000)
PRICES = (
    PriceRow("*", "first", False, (("input", "0"), ("output", "1"))),
    PriceRow("*", "second", False, (("input", "0"), ("output", "50"))),
    PriceRow("*", "third", False, (("input", "0"), ("output", "50"))),
)
SHORT = Deadlines(connect_s=1, first_byte_s=0.3, idle_s=5, total_s=10)


def usd(nano: int, **more: Any) -> Budget:
    return Budget("one", (Limit(Unit.USD, nano),), Window(WindowKind.TOTAL), **more)


@dataclass
class Two(Rig):
    """A rig with a second provider behind the first."""

    second: ScriptedProvider

    def invoice_nano(self) -> int:
        return sum(int(provider.invoice(calls=0)["total_nano"]) for provider in (self.provider, self.second))


@asynccontextmanager
async def two(
    path: Path,
    first: Script,
    second: Script,
    budgets: Sequence[Budget] = (),
    *,
    prices: tuple[PriceRow, ...] = PRICES,
    is_there: bool = True,
    fallback: tuple[str, ...] = ("second",),
    second_model: str = "m",
    **more: Any,
) -> AsyncIterator[Two]:
    """Start an engine before two scripted providers; `more` goes to the first one's entry."""
    own = {"api_key": "key-of-the-second", "attempts": 1} | more.pop("second_more", {})
    with ScriptedProvider({"m": first}) as one, ScriptedProvider({second_model: second}) as other, nobody() as port:
        base = one.url if is_there else f"http://127.0.0.1:{port}"
        settings = Settings(
            store=StoreSettings(path=path / "bursar.db"),
            providers=(
                Provider("first", base, WIRES, fallback=fallback, **more),
                Provider("second", other.url, WIRES, deadlines=SHORT, **own),
            ),
            prices=prices,
            budgets=tuple(budgets),
        )
        # Both APIs of a scripted provider stand below one address.
        settings = replace(
            settings, providers=tuple(replace(item, base_url=item.base_url + "/v1") for item in settings.providers)
        )
        engine = Engine(settings)
        await engine.start()
        try:
            yield Two(engine, one, other)
        finally:
            await engine.stop()


@contextmanager
def nobody() -> Iterator[int]:
    """A port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
async def test_a_refusal_that_says_nothing_of_the_request_goes_to_the_next(
    tmp_path: Path, status: int, is_stream: bool
) -> None:
    failing = Script(fault="status", fault_status=status, rates=CHEAP)
    async with two(tmp_path, failing, Script(output_tokens=10, rates=DEAR), [usd(DOLLAR)]) as made:
        reply, body = await made.run(made.call(max_tokens=100, stream=is_stream or None))
        assert reply.status == 200
        assert dict(reply.headers)["x-bursar-answered-by"] == "second/m"
        if is_stream:
            assert data_of(body)
        (hold,) = made.holds()
        assert (hold.state, hold.settled.requests, hold.flags) == (State.SETTLED, 1, frozenset())
        assert hold.settled.cost_nano == made.invoice_nano() == 10 * 50_000
        assert (hold.labels["provider"], hold.labels["model"], hold.note.answered_by) == ("first", "m", "second/m")
        await made.assert_sound()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
async def test_a_refusal_of_the_request_itself_stays_a_refusal(tmp_path: Path, status: int) -> None:
    failing = Script(fault="status", fault_status=status, rates=CHEAP)
    async with two(tmp_path, failing, Script(rates=DEAR), [usd(DOLLAR)]) as made:
        reply, _ = await made.run(made.call(max_tokens=100))
        assert reply.status == status
        assert "x-bursar-answered-by" not in dict(reply.headers)
        assert made.second.invoice()["requests"] == 0
        (hold,) = made.holds()
        assert (hold.state, hold.note.answered_by) == (State.RELEASED, "")


async def test_a_provider_that_is_not_there_costs_nothing_and_the_next_is_asked(tmp_path: Path) -> None:
    async with two(tmp_path, Script(), Script(output_tokens=10, rates=DEAR), [usd(DOLLAR)], is_there=False) as made:
        reply, _ = await made.run(made.call(max_tokens=100))
        assert reply.status == 200
        (hold,) = made.holds()
        assert hold.settled.cost_nano == made.invoice_nano() == 10 * 50_000
        await made.assert_sound()


async def test_an_attempt_that_may_have_been_billed_stays_counted_at_its_own_price(tmp_path: Path) -> None:
    silent = Script(output_tokens=100, fault="slow", fault_after_s=60, rates=CHEAP)
    answering = Script(output_tokens=10, rates=DEAR)
    async with two(tmp_path, silent, answering, [usd(DOLLAR)], deadlines=SHORT) as made:
        reply, _ = await made.run(made.call(max_tokens=100))
        assert reply.status == 200
        (hold,) = made.holds()
        assert hold.flags == {"attempts", "estimated"}
        assert hold.settled.requests == 2
        assert hold.settled.cost_nano == 100 * 1_000 + 10 * 50_000
        assert made.invoice_nano() <= hold.settled.cost_nano
        assert hold.held.cost_nano == 2 * 100 * 50_000
        await made.assert_sound()


async def test_a_fall_back_that_does_not_fit_beside_what_may_be_billed_is_not_asked(tmp_path: Path) -> None:
    silent = Script(output_tokens=100, fault="slow", fault_after_s=60, rates=CHEAP)
    budget = usd(100 * 50_000)  # One attempt at the dearer price, no second one.
    async with two(tmp_path, silent, Script(rates=DEAR), [budget], deadlines=SHORT) as made:
        reply, _ = await made.run(made.call(max_tokens=100))
        assert reply.status == 504
        assert made.second.invoice()["requests"] == 0
        (hold,) = made.holds()
        assert hold.state is State.PRESUMED
        balance = await made.assert_sound()
        assert balance.settled + balance.presumed <= budget.limits[0].amount


async def test_the_hold_covers_the_dearest_from_the_start(tmp_path: Path) -> None:
    """A cheap provider with a dear fall-back is admitted only where the dear one fits."""
    async with two(tmp_path, Script(rates=CHEAP), Script(rates=DEAR), [usd(100 * 50_000)]) as made:
        assert (await made.run(made.call(max_tokens=101)))[0].status == 402
        assert (await made.run(made.call(max_tokens=100)))[0].status == 200
        (hold,) = made.holds()
        assert hold.held.cost_nano == 100 * 50_000
        assert hold.settled.cost_nano == made.invoice_nano() == 40 * 1_000
        await made.assert_sound()


async def test_no_burst_of_a_fall_back_without_known_speed_passes_the_hold(tmp_path: Path) -> None:
    """The first one's stream could be extended; a fall-back that may answer at once makes the cap the hold."""
    failing = Script(fault="status", fault_status=503)
    burst = Script(output_tokens=20_000, rates=DEAR)
    limit = 5_000 * 50_000
    async with two(tmp_path, failing, burst, [usd(limit)], top_speed=100) as made:
        reply, _ = await made.run(made.call(stream=True))
        assert reply.status == 200
        balance = await made.assert_sound()
        assert made.invoice_nano() <= balance.settled + balance.presumed <= limit


@pytest.mark.parametrize(("speed", "is_extendable"), [(None, False), (500, True)])
async def test_a_stream_begins_small_only_where_every_top_speed_is_known(
    tmp_path: Path, speed: int | None, is_extendable: bool
) -> None:
    more: dict[str, Any] = {"second_more": {"top_speed": speed}, "top_speed": 100}
    async with two(tmp_path, Script(), Script(), [usd(DOLLAR)], **more) as made:
        stage: Any = made.engine._stage
        terms = stage.quoter.quote(made.call(stream=True)).terms
        assert (terms.is_extendable, terms.top_speed) == (is_extendable, speed)


async def test_a_fall_back_without_a_key_is_not_shown_the_clients(tmp_path: Path) -> None:
    failing = Script(fault="status", fault_status=503)
    async with two(tmp_path, failing, Script(), [usd(DOLLAR)], second_more={"api_key": ""}) as made:
        call = made.call(max_tokens=100)
        of_the_client = {"authorization": "Bearer mine", "x-api-key": "mine", "user-agent": "sdk/1"}
        reply, _ = await made.run(replace(call, headers={**call.headers, **of_the_client}))
        assert reply.status == 200
        (asked,) = made.second.requests()
        told = dict(asked["headers"])
        assert told["user-agent"] == "sdk/1"
        assert not {"authorization", "x-api-key"} & set(told)


async def test_another_model_of_the_same_provider_is_shown_the_same_key(tmp_path: Path) -> None:
    failing = Script(fault="status", fault_status=503)
    async with two(tmp_path, failing, Script(), [usd(DOLLAR)], fallback=("first/other",)) as made:
        made.provider.set("other", Script())
        call = made.call(max_tokens=100)
        reply, _ = await made.run(replace(call, headers={**call.headers, "authorization": "Bearer mine"}))
        assert (reply.status, dict(reply.headers)["x-bursar-answered-by"]) == (200, "first/other")
        assert dict(made.provider.requests()[-1]["headers"])["authorization"] == "Bearer mine"


async def test_the_first_is_tried_as_often_as_it_says_before_the_next(tmp_path: Path) -> None:
    failing = Script(fault="status", fault_status=503, rates=CHEAP)
    async with two(tmp_path, failing, Script(output_tokens=10, rates=DEAR), [usd(DOLLAR)], attempts=3) as made:
        reply, _ = await made.run(made.call(max_tokens=100))
        assert reply.status == 200
        assert len(made.provider.requests()) == 3
        assert len(made.second.requests()) == 1


async def test_when_all_fail_the_last_ones_word_is_handed_on(tmp_path: Path) -> None:
    first = Script(fault="status", fault_status=503)
    second = Script(fault="status", fault_status=429, retry_after_s=7)
    async with two(tmp_path, first, second, [usd(DOLLAR)]) as made:
        reply, _ = await made.run(made.call(max_tokens=100))
        headers = dict(reply.headers)
        assert (reply.status, headers["retry-after"], headers["x-bursar-answered-by"]) == (429, "7", "second/m")
        (hold,) = made.holds()
        assert hold.state is State.RELEASED
        await made.assert_sound()


async def test_each_is_spoken_to_in_its_own_way(tmp_path: Path) -> None:
    """Model, name of the cap, key and extra headers are the second's own; the client's key stays with the first."""
    failing = Script(fault="status", fault_status=503)
    more = {"cap_parameter": "max_tokens", "auth": Auth.API_KEY, "headers": (("x-team", "blue"),)}
    async with two(
        tmp_path,
        failing,
        Script(rates=DEAR),
        [usd(DOLLAR)],
        fallback=("second/other",),
        second_model="other",
        second_more={**more, "query": (("api-version", "1"),)},
    ) as made:
        call = made.call()
        call = replace(call, headers={**call.headers, "authorization": "Bearer of-the-client", "openai-project": "p"})
        reply, _ = await made.run(call)
        assert reply.status == 200
        (asked,) = made.provider.requests()
        told = dict(asked["headers"])
        assert told["authorization"] == "Bearer of-the-client"
        (asked,) = made.second.requests()
        told = dict(asked["headers"])
        assert (told["api-key"], told["x-team"]) == ("key-of-the-second", "blue")
        assert not {"authorization", "openai-project"} & set(told)
        assert (asked["path"], asked["query"]) == ("/v1/chat/completions", "api-version=1")
        body = json.loads(asked["body"])
        assert body["model"] == "other"
        assert "max_tokens" in body and "max_completion_tokens" not in body


async def test_a_fall_back_that_knows_a_smaller_maximum_is_asked_for_no_more(tmp_path: Path) -> None:
    failing = Script(fault="status", fault_status=503)
    async with two(tmp_path, failing, Script(max_output_tokens=500, rates=DEAR), [usd(DOLLAR)]) as made:
        reply, _ = await made.run(made.call(max_tokens=1000))  # It says so in a 400, and is asked once more.
        assert reply.status == 200
        assert len(made.second.requests()) == 2
        reply, _ = await made.run(made.call(max_tokens=1000))  # Learnt, for the second alone.
        assert reply.status == 200
        assert len(made.second.requests()) == 3
        assert [hold.note.cap for hold in made.holds()] == [500, 500]
        made.provider.set("m", Script(rates=CHEAP))
        await made.run(made.call(max_tokens=1000))
        assert made.holds()[-1].note.cap == 1000


async def test_a_fall_back_without_a_price_is_none_where_that_is_denied(tmp_path: Path) -> None:
    failing = Script(fault="status", fault_status=503)
    for policy, status in ((Policy.DENY, 503), (Policy.ALLOW, 200)):
        path = tmp_path / policy
        path.mkdir()
        async with two(path, failing, Script(), [usd(DOLLAR, on_unknown_price=policy)], prices=PRICES[:1]) as made:
            reply, _ = await made.run(made.call(max_tokens=100))
            assert reply.status == status
            if status == 200:
                assert "unpriced" in made.holds()[0].flags


async def test_a_name_that_is_configured_nowhere_is_passed_over(tmp_path: Path) -> None:
    failing = Script(fault="status", fault_status=503)
    async with two(tmp_path, failing, Script(rates=DEAR), [usd(DOLLAR)], fallback=("third", "second")) as made:
        reply, _ = await made.run(made.call(max_tokens=100))
        assert reply.status == 200


async def test_what_a_stream_has_begun_to_say_is_never_said_anew_by_another(tmp_path: Path) -> None:
    cut = Script(output_tokens=100, fault="cut", fault_after_tokens=20, rates=CHEAP)
    async with two(tmp_path, cut, Script(rates=DEAR), [usd(DOLLAR)]) as made:
        _, body = await made.run(made.call(max_tokens=100, stream=True))
        assert b"broke off" in body
        assert made.second.requests() == []
        await made.assert_sound()


async def test_an_answer_of_the_second_teaches_nothing_of_the_first(tmp_path: Path) -> None:
    """After a restart neither: the ledger says who answered."""
    failing = Script(fault="status", fault_status=503)
    async with two(tmp_path, failing, Script(input_tokens=5_000, rates=DEAR), [usd(100 * DOLLAR)]) as made:
        for _ in range(2):
            await made.run(made.call(max_tokens=100))
            await made.flushed()
            stage: Any = made.engine._stage
            first, second = stage.quoter.quote(made.call(max_tokens=100)).offers
            assert first.cover.input_tokens < 2_000 < 5_000 <= second.cover.input_tokens
            await made.engine.stop()
            await made.engine.start()
