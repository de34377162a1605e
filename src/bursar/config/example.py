"""The configuration to begin with: what `bursar init` writes.

Owns nothing but the way to `example.yaml`; that it loads is tested.
"""

from __future__ import annotations

from importlib.resources import files

__all__ = ["starter"]


def starter() -> str:
    """Give the text of a commented bursar.yaml that loads as it is."""
    return files("bursar.config").joinpath("example.yaml").read_text(encoding="utf-8")
