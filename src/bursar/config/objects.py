"""Values of a program, such as parsed JSON, as the same tree that a file gives.

Owns that step and its limits. So what is set by a command or over HTTP passes the same readers as the file, with the
same advice. A float is refused: 0.1 is not what was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bursar.config.problems import Place, Problems
from bursar.config.tree import DEPTH_MAX, VALUES_MAX, Items, Node, Scalar, Table

__all__ = ["plain", "tree_of"]


def tree_of(value: object, problems: Problems, key: str = "") -> Node:
    """Make a tree of texts, whole numbers, truth values, lists and mappings; what else there is becomes a problem."""
    return _Builder(problems).node(value, Place("", 0, key), 1)


def plain(node: Node) -> Any:
    """Give a tree as JSON can keep it, each value the text that was written; `tree_of` makes the same tree again."""
    match node:
        case Scalar():
            return node.text
        case Items():
            return [plain(item) for item in node.nodes]
        case Table():
            return {key: plain(item) for key, item in node.entries.items()}


class _Builder:
    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._left = VALUES_MAX

    def node(self, value: object, place: Place, depth: int) -> Node:
        self._left -= 1
        if self._left < 0 or depth > DEPTH_MAX:
            self._problems.add(place, f"more than {VALUES_MAX:,} values, or nested more than {DEPTH_MAX} deep")
            return Scalar(place, "")
        match value:
            case Mapping():
                return Table(place, self._entries(value, place, depth))
            case list() | tuple():
                items = (self.node(item, place.item(index, 0), depth + 1) for index, item in enumerate(value))
                return Items(place, tuple(items))
            case _:
                return Scalar(place, self._text(value, place))

    def _entries(self, value: Mapping[Any, object], place: Place, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for key, item in value.items():
            if not isinstance(key, str) or not key or not key.isprintable():
                self._problems.add(place, "a key is a word that can be printed")
                continue
            if self._left < 0:
                break
            found[key] = self.node(item, place.child(key), depth + 1)
        return found

    def _text(self, value: object, place: Place) -> str:
        match value:
            case bool():
                return str(value).lower()
            case str():
                return value.strip()
            case int() | Decimal():
                return f"{value:f}" if isinstance(value, Decimal) else str(value)
            case float():
                self._problems.add(place, f'a decimal number is written as text: "{value}"')
            case None:
                self._problems.add(place, "the value is missing")
            case _:
                self._problems.add(place, "a text, a whole number, true, false, a list or keys with values are needed")
        return ""
