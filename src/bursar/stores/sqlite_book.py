"""The file under a SQLite ledger: connection, transactions, and the balances' rows.

Owns `BEGIN IMMEDIATE`, the schema, and the memory of which row is which line. It knows no verb of the ledger.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bursar.core.admission import Balance, Line
from bursar.core.budget import Unit
from bursar.core.charge import ZERO, Amounts
from bursar.core.labels import OTHER
from bursar.errors import StoreUnavailable
from bursar.failpoints import failpoint
from bursar.stores.queries import load_queries, load_script

__all__ = ["SqliteBook"]

SCHEMA_VERSION = 1
BALANCE_IDS_MAX = 100_000
"""How many line → balance ids are remembered; beyond it the memory starts anew."""


class SqliteBook:
    """The file at `path`, made when it is missing.

    `is_power_safe` syncs every commit to the disk (survives a power cut); without it commits survive `kill -9`.
    Raises StoreUnavailable when the file cannot be opened, is no ledger, or stays locked for `timeout_s`.
    """

    def __init__(self, path: Path, *, is_power_safe: bool = False, timeout_s: float = 5.0) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._ids: dict[tuple[str, str, str, int, Unit], int] = {}
        self._rows: dict[int, tuple[Unit, int]] = {}
        self._is_open = False
        self.q = load_queries("queries.sql")
        try:
            self.db = sqlite3.connect(
                path, timeout=timeout_s, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            self._prepare(is_power_safe)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the ledger {path} cannot be opened: {error}") from error

    def _prepare(self, is_power_safe: bool) -> None:
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute(f"PRAGMA synchronous = {'FULL' if is_power_safe else 'NORMAL'}")
        self.db.execute("PRAGMA foreign_keys = ON")
        with self.transaction():
            (version,) = self.db.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA_VERSION:
                raise StoreUnavailable(f"{self.path} was written by a newer bursar (ledger version {version})")
            if version == 0:
                for statement in load_script("schema.sql").split(";\n"):
                    if statement.strip():
                        self.db.execute(statement)
                self.db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run what is inside as one atomic write; inside another transaction it joins that one."""
        with self._lock:
            if self._is_open:
                yield
                return
            try:
                self.db.execute("BEGIN IMMEDIATE")
                self._is_open = True
                yield
                failpoint("in_commit")
                self.db.execute("COMMIT")
            except sqlite3.Error as error:
                raise StoreUnavailable(f"the ledger {self.path} cannot be written: {error}") from error
            finally:
                self._is_open = False
                if self.db.in_transaction:
                    # Ids of balances that this transaction opened are gone with it.
                    self._ids.clear()
                    self._rows.clear()
                    self.db.execute("ROLLBACK")

    def run(self, query: str, **values: Any) -> sqlite3.Cursor:
        """Run a named query with bound parameters."""
        return self.db.execute(self.q[query], values)

    def balance_id(self, tenant: str, line: Line) -> int:
        """Find the balance of a line, or open it; beyond `values_max` scopes that is the shared `(other)`."""
        key = (tenant, line.identity, line.scope, line.starts_ns, line.unit)
        number = self._ids.get(key)
        if number is None:
            number = self._find_or_open(tenant, line)
            if len(self._ids) >= BALANCE_IDS_MAX:
                self._ids.clear()
            self._ids[key] = number
        return number

    def _find_or_open(self, tenant: str, line: Line) -> int:
        named = {"tenant": tenant, "identity": line.identity, "unit": str(line.unit)}
        found = self.run("budget_find", **named).fetchone()
        budget_id = found[0] if found else self.run("budget_insert", name=line.budget, **named).lastrowid
        place = {"budget_id": budget_id, "starts_ns": line.starts_ns}
        row = self.run("balance_find", scope=line.scope, **place).fetchone()
        if row is not None:
            return int(row[0])
        if line.values_max and line.scope != OTHER:
            (count,) = self.run("balance_count", **place).fetchone()
            if count >= line.values_max:
                return self._find_or_open(tenant, replace(line, scope=OTHER))
        opened = self.run("balance_insert", scope=line.scope, ends_ns=line.ends_ns, **place).lastrowid
        assert opened is not None
        return opened

    def unit_of(self, number: int) -> Unit:
        """Tell the unit that a balance counts."""
        return self._row_of(number)[0]

    def budget_of(self, number: int) -> int:
        """Tell the row of the budget that a balance belongs to."""
        return self._row_of(number)[1]

    def _row_of(self, number: int) -> tuple[Unit, int]:
        row = self._rows.get(number)
        if row is None:
            if len(self._rows) >= BALANCE_IDS_MAX:
                self._rows.clear()
            unit, budget_id = self.run("balance_budget", id=number).fetchone()
            row = self._rows[number] = (Unit(unit), budget_id)
        return row

    def move(self, number: int, held: Amounts = ZERO, settled: Amounts = ZERO, presumed: Amounts = ZERO) -> Balance:
        """Move amounts between the sides of one balance."""
        unit = self.unit_of(number)
        row = self.run(
            "balance_move",
            id=number,
            held=held.amount(unit),
            settled=settled.amount(unit),
            presumed=presumed.amount(unit),
        ).fetchone()
        return Balance(*row)

    def close_store(self) -> None:
        """Let go of the file."""
        with self._lock:
            self.db.close()
