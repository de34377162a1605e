"""docs/security.md has every case of the list, and each test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (S\d\d) \| (.*) \|$", TEXT, re.MULTILINE))
CASES = [f"S{number:02}" for number in range(1, 65)]


def test_every_case_has_one_row_in_its_order() -> None:
    assert re.findall(r"^\| (S\d\d) \|", TEXT, re.MULTILINE) == CASES


@pytest.mark.parametrize("case", CASES)
def test_a_case_names_tests_that_are_there_or_says_why_it_cannot(case: str) -> None:
    _, _, proof = ROWS[case].rpartition(" | ")
    if proof.startswith("not there yet: "):
        assert len(proof) > len("not there yet: ") + 10
        return
    files = re.findall(r"`(tests/[^`]+\.py)`", proof)
    assert files and proof == ", ".join(f"`{file}`" for file in files)
    for file in files:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(r"^(?:async )?def test_", text, re.MULTILINE), file


def test_every_test_of_security_proves_some_case() -> None:
    beside = {"test_table.py", "test_fuzz.py"}
    for file in Path(__file__).parent.glob("test_*.py"):
        assert file.name in beside or f"`tests/security/{file.name}`" in TEXT, file.name
