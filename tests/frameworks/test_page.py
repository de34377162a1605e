"""The page of the frameworks says what the examples do, and which versions were run."""

from __future__ import annotations

import re

from tests.frameworks.rig import EXAMPLES, FRAMEWORKS, ROOT

PAGE = (ROOT / "docs" / "frameworks.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([^|]+) \| `(from bursar[^`]+)`<br>`([^`]+)` \|", re.MULTILINE)


def test_the_two_lines_of_each_framework_stand_in_its_example() -> None:
    rows = ROW.findall(PAGE)
    adapters = {line.split(" import ")[0].rpartition(".")[2] for _, line, _ in rows}
    assert adapters == {each.lock.replace("-", "_") for each in FRAMEWORKS}
    for _, first, second in rows:
        name = first.split(" import ")[0].rpartition(".")[2]
        example = (EXAMPLES / f"with_{name}.py").read_text(encoding="utf-8")
        assert first in example.splitlines(), name
        assert second.removeprefix("with …, ") in example, name


def test_every_framework_has_its_example_its_plain_program_its_adapter_and_its_list() -> None:
    names = {each.lock for each in FRAMEWORKS}
    files = {name.replace("-", "_") for name in names}
    assert {path.stem.removeprefix("with_") for path in EXAMPLES.glob("with_*.py")} == files
    assert {path.stem.removeprefix("with_") for path in (ROOT / "tests/frameworks/plain").glob("*.py")} == files
    adapters = {path.stem for path in (ROOT / "src/bursar/client/adapters").glob("*.py")}
    assert adapters - {"__init__", "naming"} == files
    assert {path.stem for path in (ROOT / "requirements/frameworks").glob("*.txt")} == names


def test_the_versions_that_the_page_names_are_those_that_are_pinned() -> None:
    pinned = "\n".join(path.read_text() for path in (ROOT / "requirements/frameworks").glob("*.txt"))
    table = PAGE.rpartition("| framework | version |")[2]
    versions = re.findall(r"\d+\.\d+\.\d+", table)
    assert len(versions) == 10
    for version in versions:
        assert f"=={version}" in pinned, version
