"""The house stays as it is drawn: no long files, no long functions, the rooms of the architecture page."""

from __future__ import annotations

import ast
from pathlib import Path

SRC = Path(__file__).parents[2] / "src" / "bursar"
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60


def test_no_file_and_no_function_is_over_its_size() -> None:
    files = sorted(SRC.rglob("*.py"))
    assert len(files) > 50
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert text.count("\n") <= FILE_LINES_MAX, file
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno < FUNCTION_LINES_MAX, f"{file}:{node.lineno} {node.name}"


def test_every_room_is_on_the_architecture_page() -> None:
    page = (SRC.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = [path.name for path in SRC.iterdir() if (path / "__init__.py").is_file()]
    assert len(rooms) > 10
    for room in rooms:
        assert f"`{room}/`" in page, room
