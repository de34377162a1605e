"""`bursar top`: the screen by its keys, in a pilot and in a real terminal; the plain forms; the gateway as source."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.cli.filled import Filled, run

from bursar.cli.remote import GatewayFailed, live
from bursar.cli.table import width_of
from bursar.cli.top_app import TopApp
from bursar.cli.top_view import SORTS, Kind, Line, View, draw, press
from bursar.cli.top_words import HELP, age
from bursar.core.window import NS
from bursar.errors import StoreUnavailable, UsageError
from bursar.reports.live import LIVE_LABELS, Filling, LiveCall, Ranked, Snapshot, as_json

UTC = ZoneInfo("UTC")
T = 1_800_000_000 * NS
HOSTILE = "e\x1b[2J\r\n\u202e\u200b\x07"
WIDE = "研究エージェント" * 9


def a_call(number: int, **changes: Any) -> LiveCall:
    labels = {"agent": f"agent-{number}", "model": "m", "user": "u"}
    made = LiveCall(f"id-{number}", "settled", T - 9 * NS, T - NS, labels, 10**9, 0, 5, 6, (), "complete", 200, 800)
    return replace(made, **changes)


def a_snapshot(**changes: Any) -> Snapshot:
    rows = tuple(Ranked(f"agent-{number}", 10 - number, (number + 1) * 10**9, number) for number in range(9))
    users = (Ranked("ada", 1, 2, 3, 1, 4), Ranked(WIDE, 1, 1, 1), Ranked(HOSTILE, 1, 1, 1))
    made = Snapshot(
        T,
        T - 3600 * NS,
        42 * 10**7,
        10**9,
        Ranked("", 55, 9 * 10**9, 1234, 1, 5 * 10**7),
        (a_call(100, state="open", closed_ns=0, held_nano=5 * 10**7),),
        tuple(a_call(number) for number in range(30)),
        (
            Filling("team", "", "usd", 10**10, 10**10, 0, 100, "exceeded", 2**62),
            Filling("each", f"user={HOSTILE}", "tokens", 1000, 850, 100, 85, "warned", T),
            Filling("each", f"user={WIDE}", "tokens", 0, 0, 0, 100, "exceeded", T),
        ),
        3,
        {label: rows if label == "agent" else users for label in LIVE_LABELS},
    )
    return replace(made, **changes)


def texts(lines: list[Line]) -> str:
    return "\n".join(line.text for line in lines)


def pressed(*keys: str, view: View | None = None, snapshot: Snapshot | None = None) -> View:
    found, shot = view or View(), snapshot or a_snapshot()
    for key in keys:
        found = press(found, key, shot)
    return found


VIEWS = [
    (),
    ("right",),
    ("2",),
    ("3", "s"),
    ("question_mark",),
    ("enter",),
    ("right", "down", "enter"),
    ("2", "end", "enter"),
]


@pytest.mark.parametrize("keys", VIEWS)
@pytest.mark.parametrize("size", [(80, 24), (40, 12), (61, 17), (200, 60), (39, 24), (10, 3), (1, 1)])
def test_every_screen_has_its_size_whatever_stands_in_the_labels(size: tuple[int, int], keys: tuple[str, ...]) -> None:
    view = pressed(*keys)
    for shot in (
        a_snapshot(),
        None,
        a_snapshot(in_flight=(), ended=(), budgets=(), ranks={}),
    ):
        lines = draw(view, shot, size, UTC, trouble=HOSTILE)
        assert len(lines) == size[1]
        for line in lines:
            assert width_of(line.text) <= size[0], line
            assert line.text.isprintable(), line


def test_80_by_24_tells_rates_budgets_ranks_calls_and_keys() -> None:
    text = texts(draw(View(), a_snapshot(), (80, 24), UTC))
    for words in (
        "$0.4200/min now",
        "$0.2000/min over 5 min",
        "1 in flight, $0.0500 held",
        "last hour: $9.0000, 55 calls, 1,234 tokens",
        "100 %  $10.0000 of $10.0000  EXCEEDED",
        "AGENT  by cost",
        "agent-8",
        "in flight",
        "q quit",
    ):
        assert words in text
    assert texts(draw(View(), a_snapshot(since_ns=T - 600 * NS), (80, 24), UTC)).count("last 10 min:") == 1


def test_no_meaning_is_in_a_style_alone() -> None:
    lines = draw(View(is_paused=True), a_snapshot(), (80, 24), UTC)
    for line in lines:
        assert (line.kind is Kind.EXCEEDED) == ("EXCEEDED" in line.text)
        assert (line.kind is Kind.CURSOR) == line.text.startswith("> ")
        if line.kind is Kind.WARNED:
            assert "warned" in line.text or "PAUSED" in line.text


def test_a_bar_shows_what_is_used_and_what_is_held_on_top() -> None:
    text = texts(draw(View(), a_snapshot(), (120, 30), UTC))
    assert "[##########]  100 %" in text
    assert "[########+.]   85 %" in text


def test_the_cursor_stays_on_its_row_when_the_order_changes() -> None:
    view = pressed("down", "down")
    assert view.value == "agent-6"
    assert "> agent-6" in texts(draw(replace(view, sort="calls"), a_snapshot(), (80, 24), UTC))
    assert pressed("up", "up", "up", view=view).value == "agent-8"
    assert pressed("end").value == "agent-0"
    assert pressed("end", "down", "pagedown").value == "agent-0"
    assert pressed("end", "home").value == "agent-8"


def test_the_list_scrolls_to_the_cursor() -> None:
    view = pressed("right", *["down"] * 25)
    text = texts(draw(view, a_snapshot(), (80, 24), UTC))
    assert text.count("> ") == 1
    assert "> agent-24 m" in text


def test_keys_choose_label_and_order() -> None:
    assert [pressed(key).label for key in "12345"] == list(LIVE_LABELS)
    assert pressed("tab").label == LIVE_LABELS[1]
    assert pressed("shift+tab").label == LIVE_LABELS[-1]
    assert pressed(*["tab"] * 5).label == LIVE_LABELS[0]
    assert [pressed(*["s"] * count).sort for count in range(len(SORTS) + 1)] == [*SORTS, SORTS[0]]
    first = texts(draw(pressed("s"), a_snapshot(), (80, 24), UTC))
    assert first.index("agent-0 ") < first.index("agent-1 ")


def test_enter_opens_details_and_enter_or_escape_closes_them() -> None:
    assert "agent agent-8" in texts(draw(pressed("enter"), a_snapshot(), (80, 24), UTC))
    call = texts(draw(pressed("right", "down", "enter"), a_snapshot(), (80, 24), UTC))
    assert "call id-0" in call and "complete (HTTP 200)" in call
    held = texts(draw(pressed("right", "enter"), a_snapshot(), (80, 24), UTC))
    assert "call id-100" in held and "held      $0.05" in held
    assert not pressed("enter", "escape").has_details
    assert not pressed("enter", "enter").has_details
    gone = draw(pressed("right", "enter"), a_snapshot(in_flight=()), (80, 24), UTC)
    assert "no longer listed: `bursar call id-100`" in texts(gone)


def test_help_fits_the_smallest_usual_screen_and_any_key_closes_it() -> None:
    assert len(HELP) < 24 and max(map(len, HELP)) <= 80
    assert pressed("question_mark").has_help
    assert not pressed("question_mark", "down").has_help


def test_ages_are_short() -> None:
    lengths = (0, 59, 60, 599, 600, 3599, 3600, 86_400, 200_000)
    told = ["0 s", "59 s", "1:00 min", "9:59 min", "10 min", "59 min", "1:00 h", "24:00 h", "2 d"]
    assert [age(seconds * NS) for seconds in lengths] == told


class Looks:
    """What the app looks at: it counts, and fails when it is told to."""

    def __init__(self) -> None:
        self.count, self.error = 0, ""

    def __call__(self) -> Snapshot:
        self.count += 1
        if self.error:
            raise StoreUnavailable(self.error)
        return a_snapshot(total=Ranked("", self.count))


async def seen(app: TopApp, pilot: Any, words: str) -> str:
    """Wait until the screen says something."""
    ends = time.monotonic() + 20
    while words not in texts(app.board.lines):
        assert time.monotonic() < ends, texts(app.board.lines)
        await pilot.pause(0.02)
    return texts(app.board.lines)


async def test_the_app_is_driven_by_its_keys() -> None:
    app = TopApp(Looks(), UTC, every_s=0.05)
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(app, pilot, "> agent-8")
        for keys, words in (
            (("2",), "USER  by cost"),
            (("tab",), "MODEL  by cost"),
            (("s",), "MODEL  by calls"),
            (("1", "down"), "> agent-1"),
            (("right", "j", "j", "k"), "> agent-0 m"),
            (("enter",), "call id-0"),
            (("escape", "question_mark"), "Ctrl-C       quit"),
            (("x", "p"), "PAUSED"),
        ):
            await pilot.press(*keys)
            assert words in texts(app.board.lines), keys
        shown = app.board.render_line(0).text
        assert len(shown) == 80
        await pilot.press("q")
    assert app.return_code == 0


async def test_a_paused_screen_stands_still_and_goes_on_at_once() -> None:
    looks = Looks()
    app = TopApp(looks, UTC, every_s=3600)
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(app, pilot, ", 1 calls")
        await pilot.press("p")
        assert looks.count == 1
        await pilot.press("p")
        await seen(app, pilot, ", 2 calls")
        await pilot.press("ctrl+c")
    assert not app.is_running


async def test_when_the_ledger_is_away_the_figures_stay_and_the_first_line_says_so() -> None:
    looks = Looks()
    app = TopApp(looks, UTC, every_s=0.02)
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(app, pilot, "agent-8")
        looks.error = "the ledger is away"
        assert "agent-8" in await seen(app, pilot, "NOT UPDATED: the ledger is away")
        looks.error = ""
        ends = time.monotonic() + 20
        while "NOT UPDATED" in texts(app.board.lines):
            assert time.monotonic() < ends
            await pilot.pause(0.02)


async def test_the_screen_follows_the_size_of_the_terminal() -> None:
    app = TopApp(Looks(), UTC, every_s=3600)
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(app, pilot, "agent-8")
        await pilot.resize_terminal(50, 14)
        await pilot.pause()
        assert len(app.board.lines) == 14
        await pilot.resize_terminal(20, 5)
        await pilot.pause()
        assert "too small" in texts(app.board.lines)


def test_one_plain_snapshot_where_stdout_is_no_terminal(filled: Filled) -> None:
    filled.call({"agent": "flying"}, verb=None)
    for words in ((), ("--once",)):
        out = run("top", *words).stdout
        assert "\x1b" not in out and "> " not in out
        for expected in ("AGENT  by cost", "research", "flying", "in flight", "BUDGETS", "everything"):
            assert expected in out
    assert "USER  by cost" in run("top", "--once", "--by", "user").stdout


def test_json_has_every_label_and_exact_money(filled: Filled) -> None:
    told = json.loads(run("top", "--json", "--once").stdout)
    assert set(told["ranks"]) == set(LIVE_LABELS)
    assert told["total"]["cost_usd"] == "0.32"
    assert [row["value"] for row in told["ranks"]["user"]] == ["ada", "bob", "cy"]
    assert json.loads(run("top", "--json").stdout)["total"] == told["total"]


def test_without_a_ledger_it_is_one_line_and_exit_code_1(config: Path) -> None:
    result = run("top")
    assert result.exit_code == 1
    assert result.stderr.startswith("bursar: there is no ledger at")


@contextmanager
def in_terminal(*words: str, size: tuple[int, int] = (80, 24)) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run `bursar` in a real terminal of this size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "bursar.cli", *words]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal: int, words: bytes, timeout_s: float = 60) -> bytes:
    found, ends = b"", time.monotonic() + timeout_s
    while words not in found:
        assert time.monotonic() < ends, found[-2000:]
        if select.select([terminal], [], [], 0.2)[0]:
            found += os.read(terminal, 65_536)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_in_a_real_terminal_it_draws_takes_keys_and_leaves_the_terminal_as_it_was(filled: Filled, key: bytes) -> None:
    filled.ledger.db.execute("UPDATE ended_hold SET labels = replace(labels, 'support', 'sup\\u001b[5mport')")
    with in_terminal("--no-color", "top") as (process, terminal):
        drawn = read_until(terminal, b"q quit")
        assert b"\x1b[?1049h" in drawn, "a screen of its own"
        os.write(terminal, b"2")
        read_until(terminal, b"USER  by cost")
        os.write(terminal, key)
        drawn += read_until(terminal, b"\x1b[?1049l")
        assert b"\x1b[5m" not in drawn
        assert process.wait(30) == 0


class Gateway(BaseHTTPRequestHandler):
    """A gateway that answers what the test has laid ready, and notes what was asked."""

    answer: tuple[int, bytes] = (200, b"")
    asked: tuple[str, str | None] = ("", None)

    def do_GET(self) -> None:
        type(self).asked = (self.path, self.headers["authorization"])
        status, body = self.answer
        self.send_response(status)
        if status == 302:
            self.send_header("location", "http://127.0.0.1:1/elsewhere")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def gateway() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_gateway_is_asked_with_the_key_of_the_environment(gateway: str, config: Path) -> None:
    Gateway.answer = (200, json.dumps(as_json(a_snapshot())).encode())
    result = run("top", "--once", "--url", f"{gateway}/", env={"BURSAR_KEY": "secret-1"})
    assert result.exit_code == 0, result.output
    assert "agent-8" in result.stdout
    assert Gateway.asked == ("/bursar/v1/live", "Bearer secret-1")
    assert live(gateway, "") == a_snapshot()
    assert Gateway.asked[1] is None


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b"", "wants a key"),
        (403, b"", "may not read"),
        (404, b"{}", "is this a bursar gateway"),
        (302, b"", "answers 302"),
        (200, b"hello", "no JSON"),
        (200, b"[" * 100_000, "no JSON"),
        (200, b'{"at_ns": "x"}', "something else than a live view"),
    ],
)
def test_what_a_gateway_answers_wrong_is_one_line_without_the_key(
    gateway: str, config: Path, status: int, body: bytes, words: str
) -> None:
    Gateway.answer = (status, body)
    result = run("top", "--once", "--url", gateway, "--key", "secret-2")
    assert result.exit_code == 1
    assert words in result.stderr and result.stderr.count("\n") == 1
    assert "secret-2" not in result.output


def test_a_gateway_that_is_not_there_is_one_line(config: Path) -> None:
    with pytest.raises(GatewayFailed, match="cannot be reached"):
        live("http://127.0.0.1:1", "k")


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://h", "http://", "http://u:p@h", "http://h:99999", "http://h/?a=1", "http://h/\n"]
)
def test_an_address_that_is_none_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError):
        live(url, "k")


@pytest.mark.parametrize("key", ["a b", "a\r\nx: y", "ä"])
def test_a_key_that_cannot_stand_in_a_header_is_a_usage_error(key: str) -> None:
    with pytest.raises(UsageError):
        live("http://127.0.0.1:1", key)
