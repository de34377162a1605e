"""Reading a node of the tree: the few shapes that every section is made of.

Owns "unknown key", "a list is needed here" and the step from a ValueError to a problem with a place. A reader takes a
node, notes what is wrong, and gives None for what it could not read; nothing is used once a problem was noted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from bursar.config.problems import Place, Problems, near, show
from bursar.config.tree import Items, Node, Scalar, Table

__all__ = ["Fields", "Read", "at", "entries", "fields", "many", "place_of", "scalar", "tried"]

T = TypeVar("T")
A = TypeVar("A")

Read: TypeAlias = Callable[[Node, Problems], Any]
Fields: TypeAlias = dict[str, Any]
"""Checked values by key, for the constructor of one dataclass. Here the types of a file become those of the domain."""


def tried(place: Place, problems: Problems, parse: Callable[[A], T], argument: A) -> T | None:
    """Run `parse`; a ValueError becomes a problem at `place`."""
    try:
        return parse(argument)
    except ValueError as error:
        problems.add(place, str(error))
        return None


def scalar(parse: Callable[[str], T]) -> Callable[[Node, Problems], T | None]:
    """Make a reader of one value."""

    def read(node: Node, problems: Problems) -> T | None:
        if not isinstance(node, Scalar):
            problems.add(node.place, f"one value is needed here, not {_kind(node)}")
            return None
        if not node.text:
            problems.add(node.place, "the value is missing")
            return None
        if not node.text.isprintable():
            problems.add(node.place, "holds a line break or a character that cannot be printed; write it on one line")
            return None
        return tried(node.place, problems, parse, node.text)

    return read


def many(parse: Callable[[str], T], least: int = 1) -> Callable[[Node, Problems], tuple[T, ...]]:
    """Make a reader of one value or a list of different ones, at least `least`."""
    read_one = scalar(parse)

    def read(node: Node, problems: Problems) -> tuple[T, ...]:
        nodes = node.nodes if isinstance(node, Items) else (node,)
        if len(nodes) < least:
            problems.add(node.place, f"at least {least} value is needed")
        found: dict[T, None] = {}
        for item in nodes:
            value = read_one(item, problems)
            if value is not None and value in found:
                problems.add(item.place, f"{show(str(value))} is here twice")
            if value is not None:
                found[value] = None
        return tuple(found)

    return read


def entries(node: Node, problems: Problems) -> Mapping[str, Node]:
    """Give the keys and values of a table; a key with nothing under it is an empty one."""
    if isinstance(node, Table):
        return node.entries
    if not (isinstance(node, Scalar) and not node.text):
        problems.add(node.place, f"keys with values are needed here, not {_kind(node)}")
    return {}


def at(node: Node, key: str) -> Node | None:
    """Look a key up; None where it is not, or where there are no keys."""
    return node.entries.get(key) if isinstance(node, Table) else None


def place_of(node: Node, key: str) -> Place:
    """Find where a key was written, else where it would be."""
    found = at(node, key)
    return node.place.child(key) if found is None else found.place


def fields(node: Node, keys: Mapping[str, Read], problems: Problems) -> Fields:
    """Read a table with these keys and no others; keys that were not given, or are wrong, are left out."""
    found: Fields = {}
    for key, value in entries(node, problems).items():
        read = keys.get(key)
        if read is None:
            problems.add(value.place, f"unknown key; {near(key, keys)}")
            continue
        result = read(value, problems)
        if result is not None:
            found[key] = result
    return found


def _kind(node: Node) -> str:
    match node:
        case Items():
            return "a list"
        case Table():
            return "keys with values"
        case Scalar():
            return show(node.text)
