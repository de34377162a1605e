"""Where a program is told that a provider is, by the variable that this provider's own SDK reads.

Owns the reading of those variables. Where a gateway or this library sends a call is the settings' matter.
"""

from __future__ import annotations

import os

__all__ = ["provider_address"]


def provider_address(variable: str, default: str) -> str:
    """Give the base URL that `variable` holds, or the provider's usual one."""
    return os.environ.get(variable, "").strip() or default
