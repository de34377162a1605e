"""What one answer used, as disjoint counters.

Owns the leaves that a rate applies to and their sums. A provider's overlapping counters (input that includes cached
input that includes cached audio) are split before a Usage is made; a negative leaf cannot be constructed.
"""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter

from bursar.core.value import value

__all__ = ["COUNT_MAX", "LEAVES", "Usage"]

COUNT_MAX = 2**63 - 1
"""The largest counter that a ledger column can hold."""


@value
class Usage:
    """Disjoint counts of one answer (or the sum of several), in tokens unless the name says otherwise."""

    input_tokens: int = 0
    """Uncached text (and image) input."""
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    """Written for 5 minutes, or for the provider's only lifetime."""
    cache_write_1h_tokens: int = 0
    input_audio_tokens: int = 0
    cache_read_audio_tokens: int = 0
    output_tokens: int = 0
    """Visible text output; reasoning and audio stand apart."""
    reasoning_tokens: int = 0
    output_audio_tokens: int = 0
    web_searches: int = 0

    def __post_init__(self) -> None:
        total = 0
        for count in (
            self.input_tokens,
            self.cache_read_tokens,
            self.cache_write_tokens,
            self.cache_write_1h_tokens,
            self.input_audio_tokens,
            self.cache_read_audio_tokens,
            self.output_tokens,
            self.reasoning_tokens,
            self.output_audio_tokens,
            self.web_searches,
        ):
            if type(count) is not int or count < 0:
                raise ValueError(_uncountable(self.counts))
            total += count
        # None of them is more than all together.
        if total > COUNT_MAX < max(self.counts):
            raise ValueError(_uncountable(self.counts))

    @property
    def counts(self) -> tuple[int, ...]:
        """Every count, in the order of the fields."""
        found: tuple[int, ...] = _counts(self)
        return found

    @property
    def input_total(self) -> int:
        """All input, cached included, once."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.cache_write_1h_tokens
            + self.input_audio_tokens
            + self.cache_read_audio_tokens
        )

    @property
    def output_total(self) -> int:
        """All output, reasoning included, once."""
        return self.output_tokens + self.reasoning_tokens + self.output_audio_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(*map(sum, zip(self.counts, other.counts, strict=True)))


LEAVES = tuple(each.name for each in fields(Usage))
"""The names of all counts, in their order."""
_counts = attrgetter(*LEAVES)


def _uncountable(counts: tuple[int, ...]) -> str:
    """Name the first of the counts that no answer can have."""
    pairs = zip(LEAVES, counts, strict=True)
    name, count = next(pair for pair in pairs if type(pair[1]) is not int or not 0 <= pair[1] <= COUNT_MAX)
    return f"{name} is {count!r}: a whole number from 0 to 2^63-1 is needed"
