"""How a ledger behaves when it has grown: the cost of a pair, and the bytes of an entry, from 10^4 to 10^7 entries.

Owns the large ledgers: one real call, copied with new ids and instants, and its balances multiplied, so that every sum
is what so many real calls would have left. It knows rows and columns by name alone.
"""

from __future__ import annotations

import sqlite3
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bursar.ids import new_id
from bursar.stores.sqlite import SqliteLedger

__all__ = ["grown", "tell_growth"]

BATCH = 50_000
GAP_NS = 1_000_000


def grown(path: Path, entries: int, first: Callable[[SqliteLedger], None]) -> None:
    """Make a ledger of so many calls, each like the one that `first` makes."""
    ledger = SqliteLedger(path)
    first(ledger)
    ledger.close_store()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -200000")
    names, hold = _row(db, "hold")
    entry_names, entry = _row(db, "entry")
    opened_ns = hold[names.index("opened_ns")]
    for start in range(1, entries, BATCH):
        numbers = range(start, min(start + BATCH, entries))
        ids = [new_id(opened_ns + GAP_NS * number) for number in numbers]
        db.execute("BEGIN")
        _copy(db, "hold", names, _rows(names, hold, ids, numbers))
        _copy(db, "entry", entry_names, _rows(entry_names, entry, ids, numbers))
        db.execute("COMMIT")
    db.execute("UPDATE balance SET settled = settled * ?", (entries,))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def _row(db: sqlite3.Connection, table: str) -> tuple[list[str], tuple[Any, ...]]:
    cursor = db.execute(f"SELECT * FROM {table}")
    return [column[0] for column in cursor.description], cursor.fetchone()


def _rows(names: Sequence[str], row: Sequence[Any], ids: Sequence[str], numbers: range) -> Iterator[list[Any]]:
    """Copy a row; only ids and instants differ."""
    key = names.index("id" if "id" in names else "hold_id")
    instants = [at for at, name in enumerate(names) if name.endswith("_ns")]
    counter = names.index("seq") if "seq" in names else None
    for one, number in zip(ids, numbers, strict=True):
        copy = list(row)
        copy[key] = one
        for at in instants:
            copy[at] += GAP_NS * number
        if counter is not None:
            copy[counter] = None
        yield copy


def _copy(db: sqlite3.Connection, table: str, names: Sequence[str], rows: Iterator[list[Any]]) -> None:
    places = ",".join("?" * len(names))
    db.executemany(f"INSERT INTO {table} ({','.join(names)}) VALUES ({places})", rows)


def bytes_of(path: Path) -> dict[str, float]:
    """Give the bytes that a call takes in the file, indexes included, and where SQLite tells it by table."""
    db = sqlite3.connect(path)
    (calls,) = db.execute("SELECT count(*) FROM hold").fetchone()
    found = {"whole file": path.stat().st_size / calls}
    try:
        for name, size in db.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 6"):
            found[name] = size / calls
    except sqlite3.OperationalError:
        found["(by table: this SQLite has no dbstat)"] = 0
    db.close()
    return found


def tell_growth(
    folder: Path,
    sizes: Sequence[int],
    rounds: int,
    first: Callable[[SqliteLedger], None],
    measure: Callable[[SqliteLedger], Sequence[float]],
) -> None:
    """Fill a ledger of each size, measure pairs on all of them in turn, and print."""
    ledgers = {}
    for size in sizes:
        path = folder / f"grown-{size}.db"
        grown(path, size, first)
        ledgers[size] = SqliteLedger(path)
    found: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
    for number in range(rounds + 1):
        for size, ledger in ledgers.items():
            times = statistics.quantiles(measure(ledger), n=100)
            if number:  # The first round warms the caches.
                found[size].append((times[49] * 1e6, times[98] * 1e6))
    print("\n| entries | µs a pair, p50 | × the smallest | p99 | bytes a call in the file |")
    print("|---|---|---|---|---|")
    smallest = statistics.median(p50 for p50, _ in found[sizes[0]])
    for size, times_us in found.items():
        ledgers[size].close_store()
        p50, p99 = (statistics.median(one) for one in zip(*times_us, strict=True))
        told = ", ".join(f"{name} {count:.0f}" for name, count in bytes_of(folder / f"grown-{size}.db").items())
        print(f"| {size:,} | {p50:.0f} | {p50 / smallest:.2f} | {p99:.0f} | {told} |")
