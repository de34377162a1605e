"""What is wrong with a configuration, and where: collected, so that one run shows it all.

Owns the place of a value, the "did you mean", and how a written value is shown in an error. It must never show a whole
long text, nor a value that may be a key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from bursar.errors import ConfigError

__all__ = ["PROBLEMS_MAX", "Place", "Problems", "guess", "near", "show"]

PROBLEMS_MAX = 20
"""So many are collected before the rest is left unread."""
SHOWN_LENGTH_MAX = 60
WORD_LENGTH_MAX = 64
LISTED_MAX = 20

OTHER_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "amount": "limit",
        "api_key": "api_key_env",
        "cached": "cached_input",
        "database": "store",
        "db": "store",
        "endpoint": "base_url",
        "filter": "match",
        "group_by": "per",
        "key": "api_key_env",
        "key_env": "api_key_env",
        "labels": "match",
        "max_tokens": "max_output_tokens",
        "period": "window",
        "reset": "window",
        "scope": "match",
        "tz": "timezone",
        "upgrade_url": "link",
        "url": "base_url",
    }
)
"""What other tools call these keys."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written: a file (or `environment`, `command line`), its line from 1 (0: none), its key."""

    file: str
    line: int
    key: str

    @property
    def order(self) -> tuple[bool, str, int]:
        """Sort the file first, then what has no lines."""
        return not self.line, self.file, self.line

    def child(self, name: str, line: int | None = None) -> Place:
        """Name the place of a key in here."""
        shown = _cut(name)
        return Place(self.file, self.line if line is None else line, f"{self.key}.{shown}" if self.key else shown)

    def item(self, index: int, line: int) -> Place:
        """Name the place of a list's item, counted from 0."""
        return Place(self.file, line, f"{self.key}[{index}]")


class Problems:
    """Collect what is wrong, in the order of the text."""

    def __init__(self) -> None:
        self._found: list[tuple[Place, str]] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, place: Place, message: str) -> None:
        """Note one problem. Raises ConfigError at once when there are PROBLEMS_MAX."""
        self._found.append((place, message))
        if len(self._found) >= PROBLEMS_MAX:
            self.raise_any()

    def raise_any(self) -> None:
        """Raise one ConfigError for all, a line each; it carries the first one's place. Nothing when all is well."""
        if not self._found:
            return
        (place, message), *others = sorted(self._found, key=lambda problem: problem[0].order)
        lines = [message, *(str(ConfigError(text, file=at.file, line=at.line, key=at.key)) for at, text in others)]
        if len(self._found) >= PROBLEMS_MAX:
            lines.append(f"{place.file}: and perhaps more: reading stopped here")
        raise ConfigError("\n".join(lines), file=place.file, line=place.line, key=place.key)


def near(word: str, known: Iterable[str]) -> str:
    """Say what was probably meant: `did you mean 'x'?`, else which words there are."""
    names = tuple(known)
    meant = guess(word, names)
    if meant is not None:
        return f"did you mean '{meant}'?"
    if len(names) > LISTED_MAX:
        return "there is no such name"
    return f"write one of {', '.join(sorted(names))}"


def guess(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Find the known name that was probably meant. At a likeness of 1 only case and hyphens may differ."""
    names = {name.lower(): name for name in known}
    folded = word.lower().replace("-", "_").replace(" ", "_")
    other = OTHER_WORDS.get(folded)
    if other is not None and other in names:
        return names[other]
    if len(folded) > WORD_LENGTH_MAX:
        return None
    return next((names[found] for found in get_close_matches(folded, names, n=1, cutoff=likeness)), None)


def show(text: str) -> str:
    """Quote a written value, cut where it is long."""
    return repr(_cut(text))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_LENGTH_MAX else text[:SHOWN_LENGTH_MAX] + "…"
