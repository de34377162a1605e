"""What a call came to: money, tokens and requests, and how sure that is.

Owns the sums that budgets and entries count, and the flags that say where a figure came from.
"""

from __future__ import annotations

from typing import NamedTuple

from bursar.core.budget import Unit
from bursar.core.money import Nano
from bursar.core.usage import Usage
from bursar.core.value import value

__all__ = ["AMOUNT_COUNTABLE_MAX", "FLAGS", "ZERO", "Amounts", "Charge"]

AMOUNT_COUNTABLE_MAX = 2**53
"""The most that one call may come to, in nano-USD (9 M$) or tokens: a thousand such calls fit a 64-bit sum."""

FLAGS = (
    "estimated",  # the provider told no usage: an upper estimate
    "cut",  # bursar ended the stream at the cap
    "hangup",  # the client went away in mid-stream
    "unpriced",  # nobody knows the price and a setting allowed it
    "input_over",  # more input than was estimated; the estimate is recalibrated
    "bound_violation",  # the true amount is above what was held
    "late",  # the truth came after the hold had been released
    "attempts",  # an earlier attempt that may have been billed is included
    "corrected",  # a person corrected it
)
_FLAGS = frozenset(FLAGS)
_WHOLE = {int}
_made = tuple.__new__
"""Makes Amounts at half the price: the class itself does so in Python, and a call makes several."""
_USD, _TOKENS, _REQUESTS, _INPUT_TOKENS = Unit.USD, Unit.TOKENS, Unit.REQUESTS, Unit.INPUT_TOKENS
assert set(Unit) == {_USD, _TOKENS, _REQUESTS, _INPUT_TOKENS, Unit.OUTPUT_TOKENS}
"""Names of their own: an enum finds its members in Python, and every balance of a call asks for some."""


class Amounts(NamedTuple):
    """What the ledger adds up: nano-USD, tokens (input with cached, output with reasoning, each once), requests.

    Negative only in entries that take back what an earlier one recorded. A tuple, since a call makes a dozen of them;
    `+` and `-` add and take away field by field.
    """

    cost_nano: Nano = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    requests: int = 0

    @classmethod
    def of(cls, cost_nano: Nano, usage: Usage, requests: int = 1) -> Amounts:
        """Sum the leaves of a usage beside its cost."""
        cached = usage.cache_read_tokens + usage.cache_read_audio_tokens
        written = usage.cache_write_tokens + usage.cache_write_1h_tokens
        read = usage.input_tokens + usage.input_audio_tokens + cached + written
        reasoning = usage.reasoning_tokens
        output = usage.output_tokens + usage.output_audio_tokens + reasoning
        return _made(cls, (cost_nano, read, cached, written, output, reasoning, requests))

    def amount(self, unit: Unit) -> int:
        """Count this in one unit of a limit."""
        cost, read, _, _, output, _, requests = self
        if unit is _USD:
            return cost
        if unit is _TOKENS:
            return read + output
        if unit is _REQUESTS:
            return requests
        return read if unit is _INPUT_TOKENS else output

    def __add__(self, other: Amounts) -> Amounts:  # type: ignore[override]
        return Amounts(
            self.cost_nano + other.cost_nano,
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.output_tokens + other.output_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.requests + other.requests,
        )

    def __neg__(self) -> Amounts:
        return ZERO - self

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts(
            self.cost_nano - other.cost_nano,
            self.input_tokens - other.input_tokens,
            self.cached_tokens - other.cached_tokens,
            self.cache_write_tokens - other.cache_write_tokens,
            self.output_tokens - other.output_tokens,
            self.reasoning_tokens - other.reasoning_tokens,
            self.requests - other.requests,
        )

    def as_dict(self) -> dict[str, int]:
        """Give the amounts by name, as rows and reports keep them."""
        return self._asdict()


ZERO = Amounts()


@value
class Charge:
    """The amounts of one call, never negative; flags out of FLAGS; and the source and version of the price:
    `genai-prices 0.2.3`, `override 1f0c…`, `provider`, `free`, or `` when unknown."""

    amounts: Amounts
    flags: frozenset[str] = frozenset()
    price: str = ""

    def __post_init__(self) -> None:
        amounts = self.amounts
        # Mostly they are far from too many, and then their sum is as well.
        if {*map(type, amounts)} != _WHOLE or min(amounts) < 0 or sum(amounts) >= AMOUNT_COUNTABLE_MAX:
            self._refuse_uncountable()
        if self.flags and not self.flags <= _FLAGS:
            raise ValueError(f"unknown flags {sorted(self.flags - _FLAGS)}")

    def _refuse_uncountable(self) -> None:
        """Raise ValueError with the first of the amounts that no charge can have, if there is one."""
        for name, amount in zip(Amounts._fields, self.amounts, strict=True):
            if type(amount) is not int or not 0 <= amount <= AMOUNT_COUNTABLE_MAX:
                raise ValueError(f"{name} of a charge is {amount!r}: a whole number from 0 to 2^53 is needed")
