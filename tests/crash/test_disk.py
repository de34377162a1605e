"""A disk that is full, a file that is not ours, not whole, or not to be written: denied clearly, nothing half done."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.conformance.kit import call, charge, cost, line
from tests.race.crowd import child

from bursar.core.admission import Line
from bursar.core.budget import Unit
from bursar.core.hold import Verb
from bursar.core.ledger import Granted
from bursar.errors import NotFound, StoreUnavailable
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.sqlite_book import SCHEMA_VERSION
from bursar.stores.threaded import ThreadedStore
from bursar.testing.clock import START_NS

LONG = {"model": "m", "tag.long": "x" * 2000}


@contextmanager
def few_pages(folder: Path) -> Iterator[tuple[SqliteLedger, Callable[[], None]]]:
    """A file that may not grow, until it may."""
    ledger = SqliteLedger(folder / "ledger.db")
    ledger.db.execute("PRAGMA max_page_count = 60")

    def make_room() -> None:
        ledger.db.execute("PRAGMA max_page_count = 100000")

    yield ledger, make_room
    ledger.close_store()


@contextmanager
def small_disk(folder: Path) -> Iterator[tuple[SqliteLedger, Callable[[], None]]]:
    """A disk of its own with a ballast on it, which is thrown off to make room."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=900k", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        ledger = SqliteLedger(folder / "ledger.db")
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(300_000))
        yield ledger, ballast.unlink
        ledger.close_store()
    finally:
        subprocess.run(["umount", str(folder)], check=True)


DISKS = pytest.mark.parametrize("disk", [few_pages, small_disk])


def fill(ledger: SqliteLedger, usd: Line) -> int:
    """Hold until nothing fits any more; give how many there are."""
    for number in range(5_000):
        try:
            ledger.reserve(call(usd, id=f"{number}", cover=cost(10), labels=LONG))
        except StoreUnavailable:
            return number
    raise AssertionError("the disk was never full")


@DISKS
def test_a_full_disk_denies_and_recovers_and_keeps_no_half_of_anything(disk: Callable, tmp_path: Path) -> None:  # type: ignore[type-arg]
    """R20"""
    with disk(tmp_path) as (ledger, make_room):
        usd = line("usd", 10**9, Unit.USD)
        kept = fill(ledger, usd)
        assert kept > 10
        with pytest.raises(NotFound):
            ledger.hold("default", str(kept))
        assert ledger.verify() == []
        assert ledger.balances("default")[0].balance.held == 10 * kept
        make_room()
        assert isinstance(ledger.reserve(call(usd, id=f"{kept}", cover=cost(10), labels=LONG)), Granted)
        ledger.close("0", Verb.SETTLE, START_NS, charge(4))
        assert ledger.verify() == []
        assert ledger.db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@DISKS
async def test_a_full_disk_fails_only_what_does_not_fit_of_a_batch(disk: Callable, tmp_path: Path) -> None:  # type: ignore[type-arg]
    with disk(tmp_path) as (ledger, make_room):
        store = ThreadedStore(ledger)
        calls = [call(line(limit=10**6), id=f"{n:05}", labels=LONG) for n in range(800)]
        answers = await asyncio.gather(*(store.reserve(one) for one in calls), return_exceptions=True)
        granted = [one.id for one, answer in zip(calls, answers, strict=True) if isinstance(answer, Granted)]
        assert all(isinstance(answer, Granted | StoreUnavailable) for answer in answers)
        assert 10 < len(granted) < 800
        assert sorted(row.id for row in ledger.holds("default", (0,), 10_000)) == granted
        assert ledger.verify() == []
        make_room()
        assert isinstance(await store.reserve(call(line(limit=10**6), id="after")), Granted)
        await asyncio.to_thread(store.stop)


def refused(path: Path) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        SqliteLedger(path, timeout_s=0.05)
    return caught.value.message


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 1000)
    assert "not a database" in refused(path)
    assert path.read_text() == "dear diary, " * 1000


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mail.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE mail (id INTEGER)")
    other.close()
    before = path.read_bytes()
    assert "not a ledger" in refused(path)
    assert path.read_bytes() == before


def test_a_ledger_of_a_newer_bursar_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path)
    ledger.db.execute("PRAGMA user_version = 99")
    ledger.close_store()
    assert "newer" in refused(path)


def test_a_truncated_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path)
    ledger.reserve(call(line()))
    ledger.close_store()
    path.write_bytes(path.read_bytes()[:5000])
    assert "malformed" in refused(path) or "disk image" in refused(path)


def test_a_file_that_another_process_is_just_preparing_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R22: two that switch to the log at once would wait for each other, so SQLite refuses one of them at once."""
    refusals = [1, 2]
    switch = SqliteLedger._is_logged
    monkeypatch.setattr(SqliteLedger, "_is_logged", lambda self: not refusals and switch(self))
    monkeypatch.setattr("bursar.stores.sqlite_book.time.sleep", lambda _: refusals.pop())
    SqliteLedger(tmp_path / "ledger.db").close_store()
    assert refusals == []


@pytest.mark.parametrize("place", ["missing/ledger.db", "."])
def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path, place: str) -> None:
    assert "cannot be opened" in refused(tmp_path / place)


def test_a_ledger_whose_log_was_deleted_is_refused(tmp_path: Path) -> None:
    """R21: its last calls were in the log; going on without them would allow their money a second time."""
    path = tmp_path / "ledger.db"
    process = child("tests.crash.worker", path, "p", "direct", "in_commit:9")
    process.communicate(timeout=60)
    Path(f"{path}-wal").rename(tmp_path / "elsewhere")
    assert "ledger.db-wal is gone" in refused(path)
    (tmp_path / "elsewhere").rename(f"{path}-wal")
    ledger = SqliteLedger(path)
    assert ledger.verify() == []
    assert ledger.latest_ns() == START_NS
    ledger.close_store()


def test_a_new_ledger_is_in_the_file_itself_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path)
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    ledger.close_store()
    found = sqlite3.connect(copy)
    assert found.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    found.close()


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root's right to write everywhere."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_a_file_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    """R21"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        SqliteLedger(path).close_store()
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        with as_nobody():
            assert "readonly" in (message := refused(path)) or "unable to open" in message
        Path(folder).chmod(0o755)
