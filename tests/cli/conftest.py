"""A ledger with a few calls of known cost, and a configuration with budgets over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.filled import Filled

from bursar.config.load import load
from bursar.core.charge import Amounts
from bursar.core.hold import Verb

CONFIG = """\
budgets:
  - {{name: everything, limit: $1 / month, warn_at: [50]}}
  - {{name: users, per: user, limit: 10k tokens / month}}
store:
  path: {path}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file whose ledger is beside it; the working directory is there, too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BURSAR_CONFIG", raising=False)
    file = tmp_path / "bursar.yaml"
    file.write_text(CONFIG.format(path=tmp_path / "bursar.db"))
    return file


@pytest.fixture
def filled(config: Path) -> Iterator[Filled]:
    """Three settled calls ($0.30), a presumed one ($0.02) and a released one."""
    settings = load(config, {})
    book = Filled(settings.store.path, settings.budgets)
    settled = Amounts(100_000_000, 1000, 200, 0, 300, 100, 1)
    book.call({"agent": "research", "user": "ada"}, settled)
    book.call({"agent": "research", "user": "bob"}, settled)
    book.call({"user": "ada", "model": "=HYPERLINK(1)"}, settled, flags={"estimated"})
    book.call({"agent": "support", "user": "cy"}, verb=Verb.PRESUME)
    book.call({"agent": "support", "user": "cy"}, verb=Verb.RELEASE)
    yield book
    book.ledger.close_store()
