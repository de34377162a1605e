"""Read the named queries of a .sql file. Owns the file's tiny grammar: `-- name: x`, a line of purpose, a statement."""

from __future__ import annotations

import re
from importlib.resources import files

__all__ = ["load_queries", "load_script"]

_NAMED = re.compile(r"^-- name: (\w+)\n((?:--[^\n]*\n)+)(.*?);\s*$", re.MULTILINE | re.DOTALL)


def load_script(name: str) -> str:
    """Read one SQL file of this package."""
    return files("bursar.stores").joinpath("sql", name).read_text(encoding="utf-8")


def load_queries(name: str) -> dict[str, str]:
    """Read the queries of one SQL file by name."""
    return {found.group(1): found.group(3) for found in _NAMED.finditer(load_script(name))}
