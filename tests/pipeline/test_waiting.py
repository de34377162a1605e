"""The waiting room: contended is not exhausted. First in, first out; nobody passes; nobody waits for ever."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.gateway.house import House, body_of, house, until, usd

from bursar.config.settings import Limits
from bursar.core.admission import Balance, Line
from bursar.core.budget import Unit
from bursar.core.ledger import Granted, Refused
from bursar.pipeline.waiting import WaitingRoom
from bursar.testing import ProviderProcess, Script
from bursar.testing.gateway import GatewayProcess

FOREVER = 2**62


def line(scope: str = "") -> Line:
    return Line("one", "one", scope, 0, FOREVER, Unit.REQUESTS, 1)


class Till:
    """Money of one line: so many calls fit at once. It notes who was let in, in order."""

    def __init__(self, room: WaitingRoom, fits: int = 0, scope: str = "") -> None:
        self.room, self.fits, self.lines = room, fits, (line(scope),)
        self.let_in: list[str] = []
        self.attempts = 0

    def attempt(self, name: str) -> Callable[[], Awaitable[Granted | Refused]]:
        async def attempt() -> Granted | Refused:
            self.attempts += 1
            await asyncio.sleep(0)
            if self.fits <= 0:
                return Refused(self.lines[0], Balance(held=1), is_exhausted=False)
            self.fits -= 1
            self.let_in.append(name)
            return Granted(1, 1, (Balance(held=1),))

        return attempt

    async def enter(self, name: str, is_gone: Callable[[], bool] = lambda: False) -> Granted | Refused:
        return await self.room.admit(self.lines, self.attempt(name), is_gone)

    def free(self, count: int = 1) -> None:
        self.fits += count
        self.room.freed(self.lines)


async def settled(ticks: int = 30) -> None:
    """Let every task run until it waits."""
    for _ in range(ticks):
        await asyncio.sleep(0)


async def test_whoever_came_first_goes_first() -> None:
    till = Till(WaitingRoom(30, 100))
    tasks = []
    for name in "abcdefgh":
        tasks.append(asyncio.create_task(till.enter(name)))
        await settled()
    for _ in tasks:
        till.free()
        await settled()
    await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert "".join(till.let_in) == "abcdefgh"


async def test_a_newcomer_does_not_pass_those_who_wait() -> None:
    till = Till(WaitingRoom(30, 100))
    first = asyncio.create_task(till.enter("first"))
    await settled()
    till.fits += 1  # Free, but nobody was told yet: only looking again would find it.
    second = asyncio.create_task(till.enter("second"))
    await settled()
    assert "second" not in till.let_in
    await asyncio.wait_for(first, 10)
    till.free()
    await asyncio.wait_for(second, 10)
    assert till.let_in == ["first", "second"]


async def test_a_newcomer_does_not_pass_a_full_room() -> None:
    till = Till(WaitingRoom(30, waiting_max=2))
    waiting = [asyncio.create_task(till.enter(name)) for name in ("a", "b")]
    await settled()
    till.fits = 1
    verdict = await till.enter("c")
    assert isinstance(verdict, Refused) and not verdict.is_exhausted
    till.free(1)
    await asyncio.wait_for(asyncio.gather(*waiting), 10)
    assert till.let_in == ["a", "b"]


async def test_money_that_comes_back_wakes_the_first_at_once() -> None:
    till = Till(WaitingRoom(30, 100))
    task = asyncio.create_task(till.enter("a"))
    await settled()
    tries = till.attempts
    till.free()
    await settled()
    assert task.done() and till.attempts == tries + 1


async def test_money_of_another_process_is_found_by_looking_again() -> None:
    till = Till(WaitingRoom(30, 100))
    task = asyncio.create_task(till.enter("a"))
    await settled()
    till.fits = 1
    await asyncio.wait_for(task, 10)


async def test_whoever_has_waited_long_enough_gets_the_refusal() -> None:
    till = Till(WaitingRoom(0.05, 100))
    verdicts = await asyncio.gather(*(till.enter(name) for name in "abc"))
    assert all(isinstance(verdict, Refused) and not verdict.is_exhausted for verdict in verdicts)
    assert not till.room._queues.waiting and till.room.count == 0


async def test_an_exhausted_budget_is_not_waited_for() -> None:
    room = WaitingRoom(30, 100)

    async def attempt() -> Refused:
        return Refused(line(), Balance(settled=1), is_exhausted=True)

    verdict = await asyncio.wait_for(room.admit((line(),), attempt, lambda: False), 5)
    assert isinstance(verdict, Refused)
    assert not room._queues.waiting


async def test_queues_of_other_lines_do_not_wait_for_each_other() -> None:
    room = WaitingRoom(30, 100)
    full, free = Till(room, scope="user=a"), Till(room, fits=1, scope="user=b")
    waiting = asyncio.create_task(full.enter("a"))
    await settled()
    assert isinstance(await asyncio.wait_for(free.enter("b"), 5), Granted)
    full.free()
    await asyncio.wait_for(waiting, 5)


async def test_one_who_leaves_gives_the_turn_to_the_next() -> None:
    till = Till(WaitingRoom(30, 100))
    tasks = [asyncio.create_task(till.enter(name)) for name in "abc"]
    await settled()
    tasks[0].cancel()
    await settled()
    till.free()
    await asyncio.wait_for(tasks[1], 10)
    till.free()
    await asyncio.wait_for(tasks[2], 10)
    assert till.let_in == ["b", "c"]
    assert not till.room._queues.waiting and till.room.count == 0


async def test_whether_the_client_is_still_there_is_asked_from_the_beginning() -> None:
    """A door begins to watch when it is first asked; asked only at the end, it could not know yet."""
    till = Till(WaitingRoom(30, 100))
    asked = 0

    def is_gone() -> bool:
        nonlocal asked
        asked += 1
        return False

    first = asyncio.create_task(till.enter("a"))
    await settled()
    second = asyncio.create_task(till.enter("b", is_gone))
    await settled()
    assert asked >= 1
    till.free(2)
    await asyncio.wait_for(asyncio.gather(first, second), 10)


# --- through the gateway ---------------------------------------------------------------------------------------------

ONE_CALL = 1000 * 10_000 + 1510 * 2_500
"""Room for one call of 1,000 tokens at a time, and never for two."""
SLOW = Script(output_tokens=10, first_byte_s=0.3)


def sent_raw(home: House, **fields: object) -> bytes:
    body = body_of("openai", **fields)
    return b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_calls_that_only_do_not_fit_beside_each_other_all_succeed(tmp_path: Path) -> None:
    budget = usd(ONE_CALL + 5 * 1_000_000)
    with (
        house(tmp_path, [budget], scripts={"m": Script(output_tokens=10)}) as home,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        got = list(pool.map(lambda _: home.ask(max_tokens=1000), range(8)))
        assert [one.status for one in got] == [200] * 8
        assert home.assert_sound().settled == home.invoice_nano()


def test_contention_that_lasts_is_429_with_a_short_wait_and_harmless_words(tmp_path: Path) -> None:
    scripts = {"m": Script(output_tokens=1000, tokens_per_s=10)}
    with house(tmp_path, [usd(ONE_CALL)], scripts=scripts, limits=Limits(hold_wait_s=0.2)) as home:
        sock = home.raw(sent_raw(home, stream=True, max_tokens=1000))
        home.provider.wait(open_calls=1)
        got = home.ask(max_tokens=1000)
        assert got.status == 429
        assert 1 <= int(got.headers["retry-after"]) <= 60
        assert "rate limit" not in got.message.lower() and "429" not in got.message
        assert got.json["error"]["code"] == "contended"
        assert "x-should-retry" not in got.headers
        assert home.provider.invoice()["requests"] == 1
        sock.close()


@pytest.mark.parametrize("behind", [0, 1, 3], ids=["first", "second", "fourth"])
def test_a_client_that_leaves_while_it_waits_never_reaches_the_provider(tmp_path: Path, behind: int) -> None:
    scripts = {"m": Script(output_tokens=1000, tokens_per_s=100_000, first_byte_s=0.5), "gone": Script()}
    scripts["quick"] = Script(output_tokens=1)
    with house(tmp_path, [usd(3 * ONE_CALL + 5_000_000)], scripts=scripts, limits=Limits(hold_wait_s=20)) as home:
        working = [home.raw(sent_raw(home, stream=True, max_tokens=1000)) for _ in range(3)]
        home.provider.wait(open_calls=3)
        waiting = [home.raw(sent_raw(home, model="quick", max_tokens=1000)) for _ in range(behind)]
        app = home.gateway.app  # type: ignore[union-attr]
        room = app._engine._stage.waiting
        until(lambda: room.count == behind)
        leaving = home.raw(sent_raw(home, model="gone", max_tokens=1000))
        until(lambda: room.count == behind + 1)
        leaving.close()
        home.provider.wait(ended=3 + behind)
        until(lambda: room.count == 0 and home.balance().held == 0)
        models = [call["model"] for call in home.provider.invoice()["calls"]]
        assert "gone" not in models
        assert len(models) == len(waiting) + len(working)
        home.assert_sound()


@pytest.mark.slow
def test_money_that_another_process_gives_back_lets_a_waiting_call_in(tmp_path: Path) -> None:
    from tests.gateway.house import send, settings_for

    with ProviderProcess({"m": SLOW}) as provider:
        settings = settings_for(provider.url, tmp_path / "bursar.db", [usd(ONE_CALL + 3_000_000)])
        with (
            GatewayProcess(settings) as one,
            GatewayProcess(settings) as two,
            concurrent.futures.ThreadPoolExecutor(6) as pool,
        ):
            body = body_of("openai", max_tokens=1000)
            urls = [one.url, two.url] * 3
            got = list(pool.map(lambda url: send(url, "POST", "/v1/chat/completions", body), urls))
            assert [each.status for each in got] == [200] * 6
