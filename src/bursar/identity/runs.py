"""The run above a call's run: what the client says of it.

Owns the one header. It is trusted as far as the label `run` is: a key that may not say its run names no parent either.
"""

from __future__ import annotations

from collections.abc import Mapping

from bursar.core.labels import Labels
from bursar.identity.caller import Caller

__all__ = ["HEADER", "parent_run"]

HEADER = "x-bursar-parent-run"


def parent_run(headers: Mapping[str, str], caller: Caller) -> str:
    """Name the run that began this call's run; empty where nobody says so, or may not."""
    said = headers.get(HEADER, "")
    if not said or (caller.key is not None and not caller.key.allows("run")):
        return ""
    return Labels.of({"run": said}).pairs.get("run", "")
