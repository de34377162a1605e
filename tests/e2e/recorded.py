"""The recorded traffic before a gateway: where it lies, who replays it, and what the ledger says of a call.

The recordings are not part of the project; without them a test that asks for the stage is skipped.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from tests.e2e.world import usd

from bursar.config.settings import PriceRow, ServerSettings, Settings, StoreSettings
from bursar.core.budget import Policy
from bursar.core.ledger import HoldRow
from bursar.core.provider import Provider
from bursar.stores.sqlite import SqliteLedger
from bursar.testing.gateway import GatewayProcess

RECORDED = Path(__file__).parents[3] / "shared" / "recorded"
TRAFFIC, REPLAY = RECORDED / "traffic.jsonl.gz", RECORDED / "replay.py"


@dataclass(frozen=True)
class Stage:
    """The replayed provider, the gateway before it, and the recordings by wire."""

    replay_url: str
    gateway_url: str
    ledger: Path
    rows: tuple[dict[str, Any], ...]

    def of(self, wire: str, *, is_stream: bool) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["wire"] == wire and row["stream"] == is_stream]

    def hits(self) -> dict[str, int]:
        """How often each recording was asked for, by its id."""
        with contextlib.closing(urlopen(f"{self.replay_url}/hits")) as answer:
            return {name: hit["count"] for name, hit in json.load(answer).items()}

    def hold(self, call_id: str) -> HoldRow:
        ledger = SqliteLedger(self.ledger)
        try:
            return ledger.hold("default", call_id)
        finally:
            ledger.close_store()


@contextlib.contextmanager
def staged(directory: Path, wires: Sequence[str]) -> Iterator[Stage]:
    """Replay the recordings of some wires behind a gateway; each recording is a provider of its own."""
    if not TRAFFIC.is_file():
        pytest.skip("no recorded traffic beside the project")
    with gzip.open(TRAFFIC, "rt", encoding="utf-8") as file:
        rows = tuple(row for row in map(json.loads, file) if row["wire"] in wires)
    assert {row["wire"] for row in rows} == set(wires)
    words = [sys.executable, str(REPLAY)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as replay:
        assert replay.stdout is not None
        url = replay.stdout.readline().strip()
        ledger = directory / "bursar.db"
        settings = Settings(
            server=ServerSettings(port=0),
            store=StoreSettings(path=ledger),
            providers=tuple(Provider(row["id"], f"{url}/{row['id']}", (row["wire"],)) for row in rows),
            prices=(PriceRow("*", "*", False, (("input", "1"), ("output", "2"))),),
            budgets=(usd(10**15, on_unknown_price=Policy.ALLOW),),
        )
        try:
            with GatewayProcess(settings) as gateway:
                yield Stage(url, gateway.url, ledger, rows)
        finally:
            replay.terminate()
