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
from typing import NamedTuple

__all__ = ["EstimateKey", "InputEstimates"]

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


class InputEstimates:
    """Estimates of input tokens; learns from every settled call. Bounded: the least recently used shapes go first."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self._last: OrderedDict[EstimateKey, tuple[int, int]] = OrderedDict()
        self._keys_max = keys_max
        self._lock = threading.RLock()

    def estimate(self, key: EstimateKey, text_bytes: int) -> int:
        """Expect this many input tokens at most: calibrated × 1.15 + 32 (held for 98 % of real follow-up calls)."""
        last = self._last.get(key)
        if last is None:
            return -(-text_bytes // 2) + COLD_SLACK
        try:  # noqa: SIM105 - dearer than what it holds
            self._last.move_to_end(key)
        except KeyError:
            pass  # Another thread has let it go meanwhile: reading takes no lock.
        base = -(-text_bytes // 4)
        last_base, last_actual = last
        residual = last_actual - last_base
        # The same size again needs no proportion, which a body without text would not have.
        in_proportion = residual if base == last_base else -(-residual * base // max(1, last_base))
        if residual < 0:
            corrected = base + max(residual, in_proportion, -(base // 8))
        else:
            corrected = base + max(in_proportion, min(residual, OVERHEAD_MOST))
        return -(-corrected * 115 // 100) + 32

    @staticmethod
    def ceiling(text_bytes: int, overhead: int) -> int:
        """Give the hard ceiling that `strict` budgets use: a token is at least one byte of text."""
        return text_bytes + COLD_SLACK + overhead

    def learn(self, key: EstimateKey, text_bytes: int, actual: int) -> None:
        """Take the true count (tokens, cached included) of a request that had this many bytes of text."""
        with self._lock:
            kept = self._last
            kept[key] = (-(-text_bytes // 4), actual)
            kept.move_to_end(key)
            if len(kept) > self._keys_max:
                kept.popitem(last=False)
