"""The price list is the one that was installed (S47)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest

from bursar.errors import ConfigError
from bursar.pricing import listed


@dataclass
class InstalledFile:
    """Stand in for a file that a package's record lists."""

    path: Path
    hash: SimpleNamespace | None

    def as_posix(self) -> str:
        return str(PurePosixPath("genai_prices/data.py"))

    def locate(self) -> Path:
        return self.path


def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recorded: str | None) -> None:
    path = tmp_path / "data.py"
    path.write_bytes(b"prices\n")
    file = InstalledFile(path, SimpleNamespace(mode="sha256", value=recorded) if recorded else None)
    monkeypatch.setattr(listed, "distribution", lambda name: SimpleNamespace(version="9.9", files=[file]))


def test_the_installed_list_is_what_was_recorded() -> None:
    assert listed.edition.__wrapped__().startswith("genai-prices 0.")


def test_a_list_that_was_changed_after_it_was_installed_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, tmp_path, "AAAA")
    with pytest.raises(ConfigError, match="changed after it was installed"):
        listed.edition.__wrapped__()


def test_a_list_without_a_record_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path, None)
    assert listed.edition.__wrapped__() == "genai-prices 9.9"
