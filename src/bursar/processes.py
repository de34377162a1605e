"""Which processes are alive on this machine.

Owns the name of a process in the ledger: machine, pid name space, pid, start. A name whose process is certainly gone
need not wait for its heartbeat to lapse.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

__all__ = ["is_gone", "process_name"]


def process_name() -> str:
    """Name this process so that no other process, now or later, has the same name."""
    return f"{_place()}:{os.getpid()}:{_started(os.getpid())}"


def is_gone(name: str) -> bool:
    """Tell whether a named process certainly no longer runs; False when that cannot be known from here."""
    place, _, rest = name.rpartition(":")[0].rpartition(":")
    started = name.rpartition(":")[2]
    if place != _place() or not rest.isdecimal():
        return False
    return _started(int(rest)) != started


def _place() -> str:
    """Name this machine and its pid name space, since a pid means nothing in another one."""
    try:
        space = str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        space = "-"
    return f"{socket.gethostname()}/{space}"


def _started(pid: int) -> str:
    """Tell when a process began (clock ticks since boot), "" when there is none, "0" where that cannot be read."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return stat.rpartition(")")[2].split()[19]
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "0"
