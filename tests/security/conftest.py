"""The same houses as in `tests/gateway`."""

from __future__ import annotations

from tests.gateway.conftest import broke, home

__all__ = ["broke", "home"]
