"""A program's house: a truthful provider, a configuration in an empty directory, a ledger file, and the library."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bursar
from bursar.core.admission import Balance
from bursar.core.budget import Unit
from bursar.core.hold import State
from bursar.core.ledger import HoldRow
from bursar.stores.sqlite import SqliteLedger
from bursar.testing import Rates, Script, ScriptedProvider

QUARTER = Script(output_tokens=5000, rates=Rates(input=0, cache_read=0, output=50_000_000))
"""What costs a quarter of a dollar."""
PRICES = "prices:\n  m: {input: 0, output: 50}\n"
HELLO: Any = [{"role": "user", "content": "hello"}]
ASKED: dict[str, Any] = {"model": "m", "max_tokens": 5000, "messages": HELLO}


@dataclass
class House:
    """What a test sees beside the library: the provider's bill, and the ledger's file."""

    provider: ScriptedProvider
    path: Path

    @property
    def url(self) -> str:
        return f"{self.provider.url}/v1"

    @property
    def chat_url(self) -> str:
        return f"{self.url}/chat/completions"

    @property
    def requests(self) -> int:
        return int(self.provider.invoice(calls=0)["requests"])

    @contextmanager
    def ledger(self) -> Iterator[SqliteLedger]:
        ledger = SqliteLedger(self.path / "bursar.db")
        try:
            yield ledger
        finally:
            ledger.close_store()

    def holds(self) -> list[HoldRow]:
        """All calls, oldest first."""
        with self.ledger() as ledger:
            return list(reversed(ledger.holds("default", tuple(State), 10_000)))

    def assert_sound(self) -> None:
        """Nothing is held at rest, and every balance is the fold of its entries."""
        with self.ledger() as ledger:
            assert list(ledger.verify()) == []
            assert all(row.balance.held == 0 for row in ledger.balances("default"))

    def spent(self) -> Balance:
        """The one balance in USD."""
        with self.ledger() as ledger:
            (found,) = [row.balance for row in ledger.balances("default") if row.unit is Unit.USD]
        return found


@contextmanager
def house(path: Path, script: Script = QUARTER, *, configuration: str = PRICES) -> Iterator[House]:
    """Live in an empty directory with a configuration; afterwards nothing of the library is left."""
    was = Path.cwd()
    (path / "bursar.yaml").write_text(configuration)
    os.chdir(path)
    try:
        with ScriptedProvider({"*": script}) as provider:
            try:
                yield House(provider, path)
            finally:
                bursar.close()
    finally:
        os.chdir(was)
