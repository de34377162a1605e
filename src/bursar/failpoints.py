"""Named points at which a crash test kills this very process, as `kill -9` would.

Owns the names and the one armed point. Nothing is armed unless a test sets BURSAR_FAILPOINT (`config/` reads it); an
unarmed point costs one comparison.
"""

from __future__ import annotations

import os
import signal

__all__ = ["NAMES", "arm", "armed", "failpoint"]

NAMES = ("after_hold", "before_send", "mid_stream", "before_settle", "in_commit", "in_giving_back")

armed = ""
"""The point that is armed. What every call passes looks here first, and calls nothing."""
_hits_left = 0


def arm(spec: str) -> None:
    """Arm `name` or `name:N`: the Nth time it is reached, the process is killed. `` disarms."""
    global armed, _hits_left
    name, _, count = spec.partition(":")
    if name and name not in NAMES:
        raise ValueError(f"no failpoint {name!r}: one of {', '.join(NAMES)}")
    armed, _hits_left = name, int(count or 1)


def failpoint(name: str) -> None:
    """Die here if this point is armed and its count has come."""
    global _hits_left
    if name != armed:
        return
    _hits_left -= 1
    if _hits_left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
