"""Start many child processes, let them go at once, and hear what each has to say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120


def child(module: str, *words: object) -> subprocess.Popen[str]:
    """Start `python -m module words` with pipes."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def run_at_once(commands: Sequence[Sequence[object]]) -> list[str]:
    """Start all, wait until each is ready, let all go, and give the last line of each."""
    children = [child("tests.race.workers", *words) for words in commands]
    try:
        for one in children:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        for one in children:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        said = [one.communicate(timeout=TIMEOUT_S)[0].strip() for one in children]
    finally:
        for one in children:
            one.kill()
            one.wait()
    assert [one.returncode for one in children] == [0] * len(children)
    return said
