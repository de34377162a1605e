"""A YAML text as a tree that remembers where each value was written.

Owns the limits of a configuration file (size, depth, number of values) and what of YAML is not read: anchors, aliases,
tags, merge keys, duplicate keys, several documents. It must never make a number, a truth value or a date: every value
stays the text that was written, so `on` is `on` and `0.10` is exactly 0.10.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import yaml

from bursar.config.problems import Place, show
from bursar.errors import ConfigError

__all__ = ["DEPTH_MAX", "FILE_BYTES_MAX", "VALUES_MAX", "Items", "Node", "Scalar", "Table", "parse", "read_text"]

FILE_BYTES_MAX = 2**20
DEPTH_MAX = 16
VALUES_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value: its text, without outer spaces. A key without a value has the text ``."""

    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    place: Place
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Keys with values, in the order of the text."""

    place: Place
    entries: Mapping[str, Node]


Node: TypeAlias = Scalar | Items | Table


def read_text(file: Path) -> str:
    """Read a configuration file as text. Raises ConfigError when it cannot be read, is too large or not UTF-8."""
    try:
        with file.open("rb") as stream:
            found = stream.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise ConfigError("there is no such file", file=str(file)) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=str(file)) from error
    if len(found) > FILE_BYTES_MAX:
        raise ConfigError(f"is larger than {FILE_BYTES_MAX:,} bytes", file=str(file))
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = found.count(b"\n", 0, error.start) + 1
        raise ConfigError("is not UTF-8 text; save it as UTF-8", file=str(file), line=line) from error


def parse(text: str, file: str) -> Table:
    """Turn a YAML text into its tree; `file` is the name used in errors. An empty text is an empty table.

    Raises ConfigError, and nothing else, for whatever is not YAML or is more than bursar reads of it.
    """
    if len(text) > FILE_BYTES_MAX:
        raise ConfigError(f"is larger than {FILE_BYTES_MAX:,} bytes", file=file)
    builder = _Builder(text, file)
    try:
        return builder.document()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError("a character here cannot be printed; remove it", file=file, line=line) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(_advice(error), file=file, line=mark.line + 1 if mark else 0) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # The scanner lets chr() refuse an escape such as "\UFFFFFFFF".
        raise ConfigError("not YAML: an escape names no character", file=file, line=builder.line) from error


def _advice(error: yaml.MarkedYAMLError) -> str:
    problem = (error.problem or "").strip()
    if error.context == "while scanning an alias":
        return "a value that begins with * needs quotes: '*'"
    if "'\\t'" in problem:
        return "indent with spaces: YAML takes no tabs"
    if "cannot start any token" in problem:
        return f"not YAML: {problem}; put the value in quotes"
    return f"not YAML: {problem or error.context}"


class _Builder:
    """Build the tree from the parser's events, which it makes one by one: a bomb is refused before it is read."""

    def __init__(self, text: str, file: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
        self._file = file
        self._values = 0
        self.line = 1

    def document(self) -> Table:
        start = Place(self._file, 1, "")
        event = self._next()
        while isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
            event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            return Table(start, {})
        root = self._node(event, Place(self._file, self.line, ""), 1)
        self._next()
        if not isinstance(self._next(), yaml.StreamEndEvent):
            self._refuse("a second document begins; one file holds one configuration")
        if isinstance(root, Scalar) and not root.text:
            return Table(start, {})
        if not isinstance(root, Table):
            raise ConfigError("keys with values are needed, such as `budgets:`", file=self._file, line=root.place.line)
        return root

    def _next(self) -> Any:
        event = next(self._events)
        self.line = event.start_mark.line + 1
        return event

    def _refuse(self, message: str, key: str = "") -> NoReturn:
        raise ConfigError(message, file=self._file, line=self.line, key=key)

    def _node(self, event: Any, place: Place, depth: int) -> Node:
        self._check(event, place, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._table(place, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._items(place, depth)
        return Scalar(place, event.value.strip())

    def _check(self, event: Any, place: Place, depth: int) -> None:
        self._values += 1
        if self._values > VALUES_MAX:
            self._refuse(f"more than {VALUES_MAX:,} values", place.key)
        if depth > DEPTH_MAX:
            self._refuse(f"nested more than {DEPTH_MAX} deep", place.key)
        if isinstance(event, yaml.AliasEvent):
            self._refuse("aliases are not read; put a value that begins with * in quotes", place.key)
        if event.anchor is not None:
            self._refuse("anchors are not read; put a value that begins with & in quotes", place.key)
        if event.tag is not None:
            self._refuse("tags are not read; put a value that begins with ! in quotes", place.key)

    def _items(self, place: Place, depth: int) -> Items:
        nodes: list[Node] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            nodes.append(self._node(event, place.item(len(nodes), self.line), depth + 1))
        return Items(place, tuple(nodes))

    def _table(self, place: Place, depth: int) -> Table:
        entries: dict[str, Node] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            line = self.line
            if not isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
                self._refuse("a key is a plain word", place.key)
            key = self._node(event, place, depth + 1)
            assert isinstance(key, Scalar)
            if not key.text.isprintable():
                self._refuse("a key holds a line break or a character that cannot be printed", place.key)
            if key.text in entries:
                before = entries[key.text].place.line
                self._refuse(f"{show(key.text)} is here twice, first in line {before}; keep one", place.key)
            if key.text in ("", "<<"):
                self._refuse("a key is missing" if not key.text else "merge keys are not read", place.key)
            entries[key.text] = self._node(self._next(), place.child(key.text, line), depth + 1)
        return Table(place, entries)
