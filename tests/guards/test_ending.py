"""Streams that run end within a second when somebody says so: of what a pause names, of a run that is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.gateway.house import DOLLAR, House, house, until, usd
from tests.guards.kit import client_of, only

from bursar.cli import main
from bursar.testing import Script
from bursar.testing.gateway import GatewayProcess

PLENTY = [usd(1000 * DOLLAR)]
LONG = Script(output_tokens=100_000, tokens_per_s=50.0)
SOON_S = 2.0
"""Half a second until a process looks, and what the machine of a test is slow by."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path, PLENTY, scripts={"*": LONG}, guards=only(steps="100"), is_process=True) as made:
        yield made


def command(home: House, *words: str) -> None:
    done = CliRunner().invoke(main, [*words, "--store", str(home.ledger_path)])
    assert done.exit_code == 0, done.output


def stream(home: House, run: str, agent: str) -> tuple[list[str], float]:
    """Read a stream to its end: why it ended, and when."""
    answer: Any = client_of(home, run, agent=agent).chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi"}], stream=True
    )
    reasons = [choice.finish_reason for chunk in answer for choice in chunk.choices if choice.finish_reason]
    return reasons, time.monotonic()


def both_end(home: House, other: House, act: Callable[[], None]) -> None:
    """Two streams of two gateway processes end at once, as their API ends a long answer; a third goes on."""
    with ThreadPoolExecutor() as pool:
        mine = [pool.submit(stream, each, "r", "wild") for each in (home, other)]
        others = pool.submit(stream, home, "s", "tame")
        until(lambda: sum(hold.state == 0 for hold in home.holds()) == 3)
        act()
        said = time.monotonic()
        for each in mine:
            reasons, ended = each.result(20)
            assert reasons == ["length"]
            assert ended - said < SOON_S
        assert not others.done()
        command(home, "pause", "--all", "--now")
        others.result(20)
    cut = [hold for hold in home.holds() if "cut" in hold.flags]
    assert len(cut) == 3
    home.assert_sound()


def test_a_pause_with_now_ends_what_streams_in_every_process(home: House) -> None:
    with GatewayProcess(home.process.settings) as second:
        both_end(home, replace(home, gateway=second), lambda: command(home, "pause", "--agent", "wild", "--now"))


def test_a_run_that_is_stopped_ends_in_every_process(home: House) -> None:
    with GatewayProcess(home.process.settings) as second:
        both_end(home, replace(home, gateway=second), lambda: command(home, "runs", "stop", "r"))


def test_a_pause_without_now_lets_what_streams_end_by_itself(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, scripts={"*": Script(output_tokens=100, tokens_per_s=60.0)}) as home:
        with ThreadPoolExecutor() as pool:
            running = pool.submit(stream, home, "r", "wild")
            until(lambda: sum(hold.state == 0 for hold in home.holds()) == 1)
            command(home, "pause", "--agent", "wild")
            assert running.result(20)[0] == ["stop"]
        assert home.ask(headers={"x-bursar-agent": "wild"}).status == 402
