"""What is measured: nginx `proxy_pass`, a bare proxy on bursar's server and client, and bursar with five budgets.

Owns how each is started, where it is asked, and whether what it answers is right: one that is fast because it is wrong
does not count.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxies import stream_events, whole_answer
from rig import free_port, running

from upstream import KINDS, body_of, pieces, write_proxy, write_upstream

__all__ = ["SUBJECTS", "Bench", "Subject", "check", "check_ledger", "stalls_of"]

HERE = Path(__file__).parent
SUBJECTS = ("nginx", "bare", "bursar")
BUDGETS = 5
CONFIG = """\
server: {{port: {port}}}
store: {{path: "{path}"}}
providers:
  whole: {{base_url: "http://127.0.0.1:{upstream}/whole/v1", models: [bench-whole, bench-agent], top_speed: 300}}
  stream: {{base_url: "http://127.0.0.1:{upstream}/stream/v1", models: [bench-stream], top_speed: 300}}
prices:
  bench-*: {{input: 2.50, cached_input: 0.25, output: 10}}
models:
  bench-*: {{max_output_tokens: 16384}}
budgets:
  everything: $5000000 total
  each agent: {{per: agent, limit: $5000000 total}}
  each user: {{per: user, limit: $5000000 total}}
  each day: $5000000 / day
  each run: $5000000 / run
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """One of them, running."""

    name: str
    pid: int
    port: int
    ledger: Path | None = None
    stalls: Path | None = None

    def url(self, kind: str) -> str:
        """Say where a kind of request goes."""
        host = f"http://127.0.0.1:{self.port}"
        if self.name in ("nginx", "upstream"):
            return f"{host}/{'stream' if kind == 'stream' else 'whole'}/v1/chat/completions"
        return f"{host}/v1/chat/completions"


class Bench:
    """The upstream and the subjects, each on its core, below one folder that goes away."""

    def __init__(self, folder: Path, core: int, core_load: int) -> None:
        self.folder = folder
        self._core = core
        self._core_load = core_load
        self._count = 0
        self._upstream = 0

    @contextmanager
    def upstream(self) -> Iterator[Subject]:
        port = self._upstream = free_port()
        command = ["nginx", "-c", str(write_upstream(self._place(), port))]
        with running(command, self._core_load, f"http://127.0.0.1:{port}/whole", self.folder / "log") as pid:
            yield Subject("upstream", pid, port)

    @contextmanager
    def subject(self, name: str, beside: Sequence[str] = ()) -> Iterator[Subject]:
        """Start one afresh; `beside` is what `served.py` is to measure in bursar, by itself nothing."""
        place, port = self._place(), free_port()
        url = f"http://127.0.0.1:{port}/healthz"
        ledger = stalls = None
        if name == "nginx":
            command = ["nginx", "-c", str(write_proxy(place, port, self._upstream))]
        elif name == "bare":
            command = [sys.executable, str(HERE / "bare.py"), str(port), str(self._upstream)]
            url = f"http://127.0.0.1:{port}/"
        else:
            ledger, stalls, config = place / "ledger.db", place / "stalls", place / "bursar.yaml"
            config.write_text(CONFIG.format(port=port, path=ledger, upstream=self._upstream))
            arguments = [word.format(stalls=stalls) for word in beside]
            served = [sys.executable, str(HERE / "served.py"), *arguments, "--"]
            own = [str(Path(sys.executable).with_name("bursar"))]
            command = [*(served if beside else own), "serve", "--config", str(config)]
        with running(command, self._core, url, self.folder / "log") as pid:
            yield Subject(name, pid, port, ledger, stalls)

    def _place(self) -> Path:
        self._count += 1
        place = self.folder / str(self._count)
        place.mkdir()
        return place


def check(subject: Subject, kinds: Sequence[str] = KINDS) -> int:
    """Ask once of each kind and compare every byte; gives in how many reads the stream came."""
    parts = 0
    for kind in kinds:
        headers, answer, reads = pieces(subject.url(kind), body_of(kind))
        if kind == "stream":
            parts = reads
            # bursar adds what the call cost, as a comment, which every reader of such streams passes over.
            events, _, comment = answer.decode().partition(": bursar cost-usd=")
            assert events == "".join(f"data: {event}\n\n" for event in stream_events()), f"{subject.name}: {events}"
            assert (subject.name == "bursar") == comment.startswith("0.00"), f"{subject.name}: not priced: {comment}"
        else:
            assert answer == whole_answer().encode(), f"{subject.name}: {answer[:200]!r}"
        if subject.name == "bursar" and kind != "stream":
            assert headers["x-bursar-cost-usd"].strip("0.$"), "not priced"
    return parts


def check_ledger(subject: Subject, least: int) -> None:
    """Look whether every call was written and counted against five budgets."""
    assert subject.ledger is not None
    db = sqlite3.connect(f"file:{subject.ledger}?mode=ro", uri=True)
    try:
        (budgets,) = db.execute("SELECT count(*) FROM budget WHERE is_active").fetchone()
        (settled,) = db.execute("SELECT count(*) FROM hold WHERE state = 1").fetchone()
        (lines,) = db.execute("SELECT length(balances) - length(replace(balances, ',', '')) + 1 FROM hold").fetchone()
        assert budgets == lines == BUDGETS and settled >= least, (budgets, lines, settled, least)
    finally:
        db.close()


def stalls_of(subject: Subject) -> dict[str, float]:
    """Ask the probe for what it found since it was last asked: milliseconds."""
    assert subject.stalls is not None
    subject.stalls.unlink(missing_ok=True)
    os.kill(subject.pid, signal.SIGUSR1)
    ends = time.monotonic() + 10
    while not subject.stalls.exists():
        if time.monotonic() > ends:
            raise SystemExit("the probe does not answer")
        time.sleep(0.01)
    found: dict[str, float] = json.loads(subject.stalls.read_text())
    return found
