"""bursar's own server with a measure beside it that no installation has: the event loop's lateness, or a profile.

Owns that measure. Everything else is `bursar serve` as it is; the command's arguments come after `--`:

    python bench/served.py [--stalls FILE] [--profile FILE] -- serve --config bench.yaml

SIGUSR1 writes what was found since the last one into FILE, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from bursar.cli import main as bursar
from bursar.gateway import server
from bursar.gateway.app import App
from bursar.stores.threaded import ThreadedStore

EVERY_S = 0.002


class Probe:
    """Wakes every 2 ms and notes how late it was: how long nobody else could have been served."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._forget()
        gc.callbacks.append(self._collected)

    def _forget(self) -> None:
        self._late_s = self._worked_s = self._collected_s = 0.0

    def _collected(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self._collected_s = max(self._collected_s, time.perf_counter() - self._began)

    async def run(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._write)
        while True:
            due, spent = time.perf_counter() + EVERY_S, time.thread_time()
            await asyncio.sleep(EVERY_S)
            late, worked = time.perf_counter() - due, time.thread_time() - spent
            if late > self._late_s:
                # What the loop's thread itself worked meanwhile; the rest is the ledger's thread, or another process.
                self._late_s, self._worked_s = late, min(worked, late)

    def _write(self) -> None:
        found = {"late": self._late_s * 1e3, "worked": self._worked_s * 1e3, "collected": self._collected_s * 1e3}
        self._forget()
        written = self._file.with_suffix(".new")
        written.write_text(json.dumps(found))
        written.replace(self._file)


def with_probe(file: Path) -> None:
    """Let the server's application start a probe when its loop starts."""

    class ProbedApp(App):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                self._probing = asyncio.create_task(Probe(file).run())
            await super().__call__(scope, receive, send)

    setattr(server, "App", ProbedApp)  # noqa: B010 - no name that the server gives away


def with_profile(file: Path) -> cProfile.Profile:
    """Profile the ledger's thread into FILE.ledger; gives the profile of this thread, still to be begun."""
    work = ThreadedStore._work

    def profiled(self: ThreadedStore) -> None:
        profile = cProfile.Profile()
        try:
            profile.runcall(work, self)
        finally:
            profile.dump_stats(f"{file}.ledger")

    ThreadedStore._work = profiled  # type: ignore[method-assign]
    return cProfile.Profile()


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--stalls", type=Path)
    words.add_argument("--profile", type=Path)
    words.add_argument("arguments", nargs="*")
    asked = words.parse_args()
    sys.argv = ["bursar", *asked.arguments]
    if asked.stalls:
        with_probe(asked.stalls)
    if not asked.profile:
        bursar()
        return
    profile = with_profile(asked.profile)
    try:
        profile.runcall(bursar)
    finally:
        profile.dump_stats(asked.profile)


if __name__ == "__main__":
    main()
