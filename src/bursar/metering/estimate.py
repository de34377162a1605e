"""How much input a request has, before the provider counts it.

Owns the estimate and its calibration. Base = bytes of text / 4 (images by formula); the last base and the truth beside
it are kept per shape of request and correct the next. No tokenizer runs on the path of a call.

A correction is believed only as far as one call can speak for another: upwards in proportion to size (or the few
thousand tokens that a provider may add unseen), downwards by an eighth at most, which the margin outweighs. Otherwise
one odd call, of white space or of Chinese, would set free or lock out all that come after it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

__all__ = ["EstimateKey", "InputEstimates", "Shape"]

KEYS_MAX = 20_000
OVERHEAD_MOST = 2000
"""What a provider may add to a request of any size: tool prompts, framing."""
COLD_SLACK = 1500
"""First call of a shape: bytes/2 + 1,500 covered 99.4 % of real calls."""


class EstimateKey(NamedTuple):
    """What makes two requests alike enough to calibrate each other."""

    tenant: str
    provider: str
    wire: str
    model: str
    shape: str
    """Hash of system prompt, tools and schema."""


class Shape:
    """Requests of one shape, and the truth of the last of them. Safe from several threads."""

    __slots__ = ("_last", "_teach")

    def __init__(self, teach: Callable[[int, int], None] | None = None) -> None:
        self._last: tuple[int, int] | None = None
        """Its base and its true count: put in place together."""
        self._teach = teach
        """Where nothing was known, what it learns is for those who ask next."""

    @property
    def is_new(self) -> bool:
        """Tell whether nothing was known of such requests; then it is to be asked for again."""
        return self._teach is not None

    def estimate(self, text_bytes: int) -> int:
        """Expect this many input tokens at most: calibrated × 1.15 + 32 (held for 98 % of real follow-up calls)."""
        last = self._last
        if last is None:
            return -(-text_bytes // 2) + COLD_SLACK
        base = -(-text_bytes // 4)
        last_base, expected = last
        # The same size again, and not below its bytes: the last truth, as it was.
        if base != last_base or expected < base:
            expected = _corrected(base, last_base, expected)
        return -(-expected * 115 // 100) + 32

    def learn(self, text_bytes: int, actual: int) -> None:
        """Take the true count (tokens, cached included) of a request that had this many bytes of text."""
        if self._teach is not None:
            self._teach(text_bytes, actual)
        else:
            self._last = (-(-text_bytes // 4), actual)


class InputEstimates:
    """Estimates of input tokens; learns from every settled call. Bounded: the least recently used shapes go first."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self._shapes: OrderedDict[EstimateKey, Shape] = OrderedDict()
        self._keys_max = keys_max
        self._lock = threading.RLock()

    def shape(self, key: EstimateKey) -> Shape:
        """Give what is known of a shape, to be asked and told of its calls without being looked up each time."""
        with self._lock:
            shape = self._shapes.get(key)
            if shape is None:
                # Only what has learnt something has a place here: names come from clients.
                return Shape(partial(self.learn, key))
            self._shapes.move_to_end(key)
            return shape

    def estimate(self, key: EstimateKey, text_bytes: int) -> int:
        """Expect this many input tokens at most, of a request of this shape."""
        return self.shape(key).estimate(text_bytes)

    @staticmethod
    def ceiling(text_bytes: int, overhead: int) -> int:
        """Give the hard ceiling that `strict` budgets use: a token is at least one byte of text."""
        return text_bytes + COLD_SLACK + overhead

    def learn(self, key: EstimateKey, text_bytes: int, actual: int) -> None:
        """Take the true count of a request of this shape."""
        with self._lock:
            shape = self._shapes.get(key)
            if shape is None:
                shape = self._shapes[key] = Shape()
            self._shapes.move_to_end(key)
            shape.learn(text_bytes, actual)
            while len(self._shapes) > self._keys_max:
                self._shapes.popitem(last=False)


def _corrected(base: int, last_base: int, last_actual: int) -> int:
    """Correct a base by the last truth of its shape."""
    residual = last_actual - last_base
    # The same size again needs no proportion, which a body without text would not have.
    in_proportion = residual if base == last_base else -(-residual * base // max(1, last_base))
    if residual < 0:
        return base + max(residual, in_proportion, -(base // 8))
    return base + max(in_proportion, min(residual, OVERHEAD_MOST))
