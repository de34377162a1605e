"""Split a whole into parts that add up to it.

Owns the largest-remainder rule, for money and for tokens alike. No part is ever negative, no unit is lost.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["shares"]


def shares(total: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Split `total` (not negative) in proportion to `weights`, by largest remainder; the parts add up exactly.

    Equal remainders go to the earlier part. Where every weight is 0 the first part takes all.
    """
    if not weights or total < 0 or min(weights) < 0:
        raise ValueError("a total that is not negative is split by weights that are not negative")
    whole = sum(weights)
    if not whole:
        return (total, *(0 for _ in weights[1:]))
    parts = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    for index in sorted(range(len(weights)), key=lambda index: -remainders[index])[: total - sum(parts)]:
        parts[index] += 1
    return tuple(parts)
