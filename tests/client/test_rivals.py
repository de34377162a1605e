"""A budget of $1 lets four calls of a quarter through, or three of $0.30: however they are made, by which SDK."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SDKS_OLD = ROOT / ".venv" / "sdks-old"
ROWS = Path(__file__).with_name("rows.py")
MAJORS = {"old": ("2", "0"), "new": ("3", "2")}


@pytest.mark.parametrize(("tokens", "fits"), [(5000, 4), (6000, 3)], ids=["$0.25", "$0.30"])
@pytest.mark.parametrize("generation", ["old", "new"])
def test_every_way_of_calling_stops_at_the_budget(tmp_path: Path, generation: str, tokens: int, fits: int) -> None:
    environ = dict(os.environ)
    if generation == "old":
        if not SDKS_OLD.is_dir():
            pytest.skip("the SDKs of the generation before are not in .venv/sdks-old: scripts/test brings them")
        environ["PYTHONPATH"] = str(SDKS_OLD)
    command = [sys.executable, "-W", "error", str(ROWS), str(tmp_path), str(tokens)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert (told["openai"].split(".")[0], told["anthropic"].split(".")[0]) == MAJORS[generation]
    for row, (served, requests, total_nano, spent, calls) in told["rows"].items():
        expected = 0 if "unknown model" in row else fits
        assert (row, served, requests, calls) == (row, expected, expected, expected)
        assert Decimal(spent) == Decimal(total_nano) / 10**9, row
