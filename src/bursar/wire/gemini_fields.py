"""Fields of Gemini's messages, whichever of their two spellings a client uses.

Owns that rule: the API reads `maxOutputTokens` and `max_output_tokens` alike, because it parses protocol buffers from
JSON, and one object where a list is meant. A field given twice, or spelled a third way, must never be read one way
here and another way there: it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bursar.errors import BadRequest

__all__ = ["Fields", "items_of"]

_CAPITAL = re.compile(r"[A-Z]")
_NAME_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Fields:
    """One message. Names are asked for in camel case."""

    body: dict[str, Any]
    within: str
    """Where it stands, for `param`: empty, or ending in a dot."""
    _written: dict[str, str]

    @classmethod
    def of(cls, value: object, within: str) -> Fields:
        """Index an object; None is an empty one. Raises BadRequest for anything else, and for fields given twice."""
        if value is None:
            return cls({}, within, {})
        if type(value) is not dict:
            raise BadRequest(f"`{within.rstrip('.')}` must be an object", param=within.rstrip("."))
        written: dict[str, str] = {}
        for name in value:
            known = written.setdefault(_normal(name), name)
            if known != name:
                param = within + name[:_NAME_SHOWN]
                raise BadRequest(f"`{param}` is given twice, in two spellings: send one", param=param)
        return cls(value, within, written)

    def name(self, camel: str) -> str | None:
        """Give the name as it is written; None when the field is absent."""
        written = self._written.get(camel.lower())
        if written is not None and written not in (camel, _snake(camel)):
            raise BadRequest(f"`{self.within}{written}` is spelled oddly: write `{camel}`", param=self.within + camel)
        return written

    def get(self, camel: str) -> Any:
        """Give the value; None when the field is absent or null."""
        written = self.name(camel)
        return None if written is None else self.body[written]

    def inner(self, camel: str) -> Fields:
        """Give the message that stands in a field; an absent one is empty."""
        return Fields.of(self.get(camel), f"{self.within}{camel}.")

    def items(self, camel: str) -> Iterator[Fields]:
        """Give the messages that stand in a field."""
        return items_of(self.get(camel), self.within + camel)

    def others(self, known: frozenset[str]) -> Iterator[tuple[str, Any]]:
        """Give the fields that are not in `known` (lower case, without underscores)."""
        return ((name, self.body[name]) for normal, name in self._written.items() if normal not in known)


def items_of(value: object, where: str) -> Iterator[Fields]:
    """Give the messages of a list; the API also takes one that stands there alone."""
    if value is None:
        return
    if type(value) is dict:
        yield Fields.of(value, f"{where}.")
        return
    if type(value) is not list:
        raise BadRequest(f"`{where}` must be an array of objects", param=where)
    for at, item in enumerate(value):
        if type(item) is not dict:
            raise BadRequest(f"`{where}[{at}]` must be an object", param=f"{where}[{at}]")
        yield Fields.of(item, f"{where}[{at}].")


def _normal(name: str) -> str:
    return name.replace("_", "").lower()


def _snake(camel: str) -> str:
    return _CAPITAL.sub(lambda match: "_" + match.group().lower(), camel)
