"""What a parent process hands down in the environment.

Owns that one variable's reading; its form is the library's matter.
"""

from __future__ import annotations

import os

from bursar.config.environment import SCOPES

__all__ = ["inherited_text"]


def inherited_text() -> str:
    """Give the budgets that this process has inherited, as its parent wrote them; "" for none."""
    return os.environ.get(SCOPES, "").strip()
