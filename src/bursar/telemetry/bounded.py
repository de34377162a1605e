"""Label values of metrics, bounded: what clients name must not grow a process without end.

Owns the cap on values and on their combinations, and the characters that may leave. A value beyond the cap is
`(other)`; only a call that cost something may bring in a new value, so that made-up names of refused calls take no
place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bursar.core.labels import NONE, OTHER, VALUE_LENGTH_MAX

__all__ = ["BoundedLabels", "clean", "metric_label"]


class BoundedLabels:
    """The values of some labels, at most `values_max` different ones each and `series_max` combinations."""

    def __init__(self, names: Sequence[str], values_max: int, series_max: int) -> None:
        self._names = tuple(names)
        self._values_max = values_max
        self._series_max = series_max
        self._seen: dict[str, set[str]] = {name: set() for name in names}
        self._series: set[tuple[str, ...]] = set()
        self._known: dict[tuple[str, ...], tuple[str, ...]] = {}
        """What was found before for the same values: once it has a place it keeps it. `(other)` is not remembered."""

    def values(self, labels: Mapping[str, str], *, may_add: bool) -> tuple[str, ...]:
        """Give the values under which a call is counted, in the order of the names."""
        given = tuple([labels.get(name) or NONE for name in self._names])
        known = self._known.get(given)
        if known is None:
            known = self._counted(given, may_add=may_add)
            if len(self._known) < self._series_max and OTHER not in known:
                self._known[given] = known
        return known

    def _counted(self, given: tuple[str, ...], *, may_add: bool) -> tuple[str, ...]:
        found = tuple(self._value(*each, may_add=may_add) for each in zip(self._names, given, strict=True))
        if found not in self._series:
            if len(self._series) >= self._series_max:
                return (OTHER,) * len(found)
            self._series.add(found)
        return found

    def _value(self, name: str, value: str, *, may_add: bool) -> str:
        seen, value = self._seen[name], clean(value)
        if value in seen or value == NONE:
            return value
        if not may_add or len(seen) >= self._values_max:
            return OTHER
        seen.add(value)
        return value


def clean(value: str) -> str:
    """Keep what can be printed on one line and encoded, at the length that every label has at most."""
    short = value[:VALUE_LENGTH_MAX]
    if short.isprintable():
        return short
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in short)


def metric_label(name: str) -> str:
    """Write a label's name as metrics allow it: `tag.cost-center` as `tag_cost_center`."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)
