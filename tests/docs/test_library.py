"""The page of the library, tried: its programs are taken from its text and run, one after the other, as one program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bursar.testing import Script, ScriptedProvider

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run(directory: Path, page: str, first: int = 0) -> str:
    code = "\n".join(FENCE.findall((ROOT / page).read_text(encoding="utf-8"))[first:])
    with ScriptedProvider({"*": Script(output_tokens=20)}) as provider:
        environ = {**os.environ, "OPENAI_BASE_URL": f"{provider.url}/v1", "OPENAI_API_KEY": "none"}
        command = [sys.executable, "-W", "error", "-c", f"{code}\nif 'client' in globals():\n    client.close()\n"]
        done = subprocess.run(
            command, env=environ, cwd=directory, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_programs_of_the_page_run_as_written(tmp_path: Path) -> None:
    told = run(tmp_path, "docs/library.md")
    assert re.search(r"left, 1 calls\nresearcher: \$0\.00\d+ of \$5\.00, 1 call \(run \w{26}\)", told)
    assert all(f"researcher {step}: 1 x gpt-4o-mini" in told for step in ("plan", "search", "write"))
    assert re.search(r"^0\.4\d* left for others\nTrue 1(\.0+)?$", told, re.MULTILINE)
    assert "reader: 1 x sandbox" in told
    assert "$0.01  reader: 1 x search" in told
    assert "True True\n[('t-19', 1)]\n" in told
    assert "never reached" not in told


def test_the_program_of_the_readme_runs_as_written(tmp_path: Path) -> None:
    told = run(tmp_path, "README.md", first=1)
    assert told.splitlines()[:3] == ["0", "5", "0"]
