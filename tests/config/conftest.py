"""A configuration file made of a text, loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest

from bursar.config.load import Flags, load
from bursar.config.settings import Settings


class Load(Protocol):
    def __call__(self, text: str, environ: Mapping[str, str] | None = None, flags: Flags | None = None) -> Settings: ...


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    def loaded(text: str, environ: Mapping[str, str] | None = None, flags: Flags | None = None) -> Settings:
        file = tmp_path / "bursar.yaml"
        file.write_text(text, encoding="utf-8")
        return load(file, environ or {}, flags or {})

    return loaded
