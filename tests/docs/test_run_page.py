"""The page of `bursar run`, tried: its commands are run as written, with programs of these names that do nothing."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.cli.run_rig import house, ran

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "run.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) == 5


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_starts_its_program_as_written(tmp_path: Path, line: str) -> None:
    bursar, run, *words = shlex.split(line)
    assert (bursar, run) == ("bursar", "run")
    program = words[words.index("--") + 1]
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin" / program
    stub.write_text('#!/bin/bash\necho "${@: -1}"\nexit 7\n')
    stub.chmod(0o700)
    with house(tmp_path) as home:
        told = ran(home, *words, PATH=f"{stub.parent}:/usr/bin:/bin")
    assert (told.returncode, told.stdout) == (7, f"{words[-1]}\n"), told.stderr
