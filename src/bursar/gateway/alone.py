"""What is set up in a process that does nothing but serve.

Owns how often Python looks for cycles and at what, and how long a thread may keep the interpreter from the event loop.
Not for a process with other work: an application in a test leaves both as they are.
"""

from __future__ import annotations

import gc
import sys

__all__ = ["settle_in"]

YOUNG_MAX = 20_000
"""New containers before the youngest are looked at: a body of 600 kB makes some thousands, which die with its call."""
MIDDLE_MAX = 50
OLD_MAX = 100
"""How many looks at the younger ones come before the next older ones are looked at."""
SWITCH_S = 0.001
"""How long the ledger's thread, or one that parses, works on while the loop waits: five times less than by default."""


def settle_in() -> None:
    """Take what is there for granted, and let nothing keep the loop long. Once, when a process begins to serve.

    A look at everything for cycles stopped the loop for 23 ms with one agent's body in work and for 50 with sixteen,
    most of it spent on modules that live as long as the process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, MIDDLE_MAX, OLD_MAX)
    sys.setswitchinterval(SWITCH_S)
