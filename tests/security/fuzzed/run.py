"""All kinds of fuzzing by name, and the long run over them: `python -m tests.security.fuzzed.run [INPUTS] [SEED]`.

Each kind is a function of a source of randomness: it says what became of its input, and raises what it finds.
"""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

from tests.security.fuzzed.answers import check_answer
from tests.security.fuzzed.bodies import BodyFuzz
from tests.security.fuzzed.heads import HeadFuzz
from tests.security.fuzzed.streams import check_stream
from tests.security.fuzzed.texts import check_config, check_price

__all__ = ["Check", "main"]

Check = Callable[[Random], str]
SHARES = {"streams": 0.33, "answers": 0.35, "prices": 0.1, "bodies": 0.15, "heads": 0.04, "config": 0.03}
INPUTS = 1_000_000
ROUND = 5_000
"""Inputs of one kind before its gateway is opened anew."""
FOUND_MOST = 20


@contextlib.contextmanager
def opened(kind: str) -> Iterator[Check]:
    """Open what a kind needs."""
    if kind == "bodies":
        with BodyFuzz() as fuzz:
            yield fuzz.check
    elif kind == "heads":
        with HeadFuzz() as fuzz_heads:
            yield fuzz_heads.check
    else:
        yield {"streams": check_stream, "answers": check_answer, "prices": check_price, "config": check_config}[kind]


def _round(kind: str, seed: int, size: int, counts: Counter[str]) -> int:
    """Run one round; the seed of each input is printed with what it finds, so that it can be run again alone."""
    found = 0
    with opened(kind) as check:
        for number in range(seed, seed + size):
            try:
                counts[check(Random(number))] += 1
            except Exception:  # noqa: BLE001 - whatever it is, it is what we look for
                found += 1
                print(f"{kind}, seed {number}:\n{traceback.format_exc()}", flush=True)
    return found


def main(inputs: int = INPUTS, seed: int | None = None) -> int:
    """Run them all and print the counters; the exit code tells whether something was found."""
    seed = time.time_ns() % 10**9 if seed is None else seed
    print(f"{inputs:,} inputs from seed {seed}", flush=True)
    found, counts = 0, Counter[str]()
    for kind, share in SHARES.items():
        left, began = max(1, round(inputs * share)), time.monotonic()
        done = 0
        while left > done and found < FOUND_MOST:
            size = min(ROUND, left - done)
            found += _round(kind, seed + done, size, counts)
            done += size
        print(f"{kind}: {done:,} inputs in {time.monotonic() - began:.0f} s", flush=True)
    for word, count in sorted(counts.items()):
        print(f"{count:>10,}  {word}")
    print(f"{found} found" if found else "nothing found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*(int(word) for word in sys.argv[1:3])))
