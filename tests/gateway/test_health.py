"""The pages about the gateway itself say one word, and cost little however often they are asked (S53)."""

from __future__ import annotations

from bursar import __version__
from bursar.gateway.health import READY_S, Readiness, health, metrics
from bursar.pipeline.call import Reply


class Probe:
    """A ledger that is up or down, and counts how often it was looked at."""

    def __init__(self) -> None:
        self.is_up = True
        self.count = 0

    async def __call__(self) -> bool:
        self.count += 1
        return self.is_up


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def assert_says_nothing_else(reply: Reply) -> None:
    assert reply.body in (b"ok\n", b"ready\n", b"not ready\n")
    assert __version__ not in str(reply.headers)
    assert {name for name, _ in reply.headers} == {"content-type", "cache-control"}


async def test_a_process_that_answers_is_alive() -> None:
    reply = await health()
    assert (reply.status, reply.body) == (200, b"ok\n")
    assert_says_nothing_else(reply)


async def test_ready_is_a_ledger_that_answers() -> None:
    probe, clock = Probe(), Clock()
    ready = Readiness(probe, clock)
    assert (await ready()).status == 200
    probe.is_up = False
    clock.now += READY_S
    reply = await ready()
    assert reply.status == 503
    assert_says_nothing_else(reply)


async def test_asking_often_looks_at_the_ledger_seldom() -> None:
    probe = Probe()
    ready = Readiness(probe, Clock())
    for _ in range(1_000):
        assert (await ready()).status == 200
    assert probe.count == 1


async def test_a_gateway_that_stops_is_alive_and_not_ready() -> None:
    ready = Readiness(Probe(), Clock())
    assert (await ready()).status == 200
    ready.stop()
    assert (await ready()).status == 503
    assert (await health()).status == 200


async def test_metrics_that_are_off_have_no_page() -> None:
    async def off() -> bytes | None:
        return None

    async def some() -> bytes | None:
        return b"bursar_calls_in_flight 0\n"

    assert await metrics(off) is None
    reply = await metrics(some)
    assert reply is not None
    assert dict(reply.headers)["content-type"].startswith("text/plain; version=0.0.4")
