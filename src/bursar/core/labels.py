"""The labels of a call: who it is for, as short strings under known names.

Owns the names, the limits on their values, and the two stand-ins: `(none)` for a label that is missing, `(other)` for
values beyond a budget's `values_max`. Where labels come from is `identity/`'s matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bursar.core.value import value

__all__ = ["LABEL_NAMES", "NONE", "OTHER", "VALUE_LENGTH_MAX", "Labels", "is_label"]

NONE = "(none)"
OTHER = "(other)"
LABEL_NAMES = (
    "agent",
    "task",
    "task_type",
    "run",
    "step",
    "user",
    "session",
    "team",
    "key",
    "provider",
    "model",
    "wire",
)
TAG_PREFIX = "tag."
TAGS_MAX = 16
VALUE_LENGTH_MAX = 128


def is_label(name: str) -> bool:
    """Tell whether a budget or a report may name this label."""
    return name in LABEL_NAMES or (name.startswith(TAG_PREFIX) and len(name) > len(TAG_PREFIX) and name.isprintable())


@value
class Labels(Mapping[str, str]):
    """An immutable set of labels; reading a missing one gives `(none)`."""

    pairs: Mapping[str, str]

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Labels:
        """Keep the known names with a printable, non-empty value, cut to VALUE_LENGTH_MAX characters."""
        kept: dict[str, str] = {}
        tags = 0
        for name, text in values.items():
            if not is_label(name) or not text:
                continue
            if name.startswith(TAG_PREFIX):
                tags += 1
                if tags > TAGS_MAX:
                    continue
            clean = text[:VALUE_LENGTH_MAX].strip()
            if not clean.isprintable():
                clean = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in clean)
            if clean and clean not in (NONE, OTHER):
                kept[name[:VALUE_LENGTH_MAX]] = clean
        return cls(kept)

    def __getitem__(self, name: str) -> str:
        return self.pairs.get(name, NONE)

    def __iter__(self) -> Iterator[str]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)
