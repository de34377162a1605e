"""What a parent process hands down in the environment, and the environment that a program gets which is started.

Owns the reading of those variables; the forms of what stands in them are `wiring/handed.py`'s.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from bursar.config.environment import HANDED, SCOPES

__all__ = ["handed_text", "inherited_text", "whole_environment"]


def inherited_text() -> str:
    """Give the budgets that this process has inherited, as its parent wrote them; "" for none."""
    return os.environ.get(SCOPES, "").strip()


def handed_text() -> str:
    """Give what `bursar run` told this process; "" outside of a run."""
    return os.environ.get(HANDED, "").strip()


def whole_environment() -> Mapping[str, str]:
    """Give a copy of this process's environment, to start a program with."""
    return dict(os.environ)
