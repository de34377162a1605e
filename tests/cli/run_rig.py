"""`bursar run` as a process: in a directory of its own, before a scripted provider."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.client.house import PRICES, House, house

import bursar

PROGRAMS = Path(__file__).parent / "programs"
RUNAWAY = str(PROGRAMS / "runaway.py")
WAIT_S = 120
SOURCE = str(Path(bursar.__file__).parents[1])


def environment(home: House, **more: str) -> dict[str, str]:
    """What the one who runs it has: an address and nothing of bursar's."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("BURSAR_", "PYTHON", "COV_"))}
    kept |= {"OPENAI_BASE_URL": home.url, "NO_COLOR": "1", "TMPDIR": str(home.path / "tmp"), **more}
    return kept


@contextmanager
def running(home: House, *words: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Start `bursar run WORDS`."""
    (home.path / "tmp").mkdir(exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-m", "bursar.cli", "run", *words],
        cwd=home.path,
        env=environment(home, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def ran(home: House, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `bursar run WORDS` to its end; nothing may be left behind."""
    with running(home, *words, **more) as process:
        out, told = process.communicate(timeout=WAIT_S)
    assert list((home.path / "tmp").glob("bursar-*")) == []
    return subprocess.CompletedProcess([], process.returncode, out, told)


__all__ = ["PRICES", "PROGRAMS", "RUNAWAY", "House", "environment", "house", "ran", "running"]
