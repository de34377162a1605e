"""What a child process of a race or crash test does: `python -m tests.race.workers VERB PATH ...`.

Speaks over its pipes only: `ready` when it has opened the ledger, then waits for a line before it begins.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from tests.conformance.kit import call, charge, cost, line

from bursar.core.budget import Unit
from bursar.core.control import Change, Condition, Kind
from bursar.core.hold import Verb
from bursar.core.ledger import Granted
from bursar.errors import HoldConflict, StoreUnavailable
from bursar.failpoints import arm
from bursar.stores.sqlite import SqliteLedger
from bursar.testing.clock import START_NS


def say(text: object) -> None:
    print(text, flush=True)


def begin() -> None:
    say("ready")
    sys.stdin.readline()


def reserve(path: Path, name: str, count: int, limit: int, seed: int) -> None:
    """Try `count` calls: of one request each, or with a seed of a random cost. Tell what was admitted."""
    ledger = SqliteLedger(path, timeout_s=60)
    chance = random.Random(f"{seed}-{name}")
    begin()
    admitted = 0
    smallest_refused = limit + 1
    for number in range(count):
        size = chance.randint(1, 9) if seed else 1
        asked = call(line("usd", limit, Unit.USD), id=f"{name}-{number}", cover=cost(size), process=name)
        if isinstance(ledger.reserve(asked), Granted):
            admitted += size
        else:
            smallest_refused = min(smallest_refused, size)
    say(f"{admitted} {smallest_refused}")


def lapse(path: Path) -> None:
    """Presume what a dead process left open, in competition with others doing the same."""
    ledger = SqliteLedger(path, timeout_s=60)
    begin()
    total = 0
    while count := ledger.lapse("dead", START_NS):
        total += count
    say(total)


def open_new(path: Path) -> None:
    """Open a file that does not exist yet at the same moment as others, write, and read."""
    begin()
    try:
        ledger = SqliteLedger(path, timeout_s=60)
        for number in range(5):
            ledger.reserve(call(line(limit=1000), id=f"{random.SystemRandom().random()}-{number}"))
        ledger.close_store()
    except StoreUnavailable as error:
        say(error.message)
    else:
        say("fine")


def open_and_close(path: Path, count: int) -> None:
    """Open and close the ledger over and over: the last to close takes the log away, the next makes it anew."""
    begin()
    for number in range(count):
        ledger = SqliteLedger(path, timeout_s=60)
        asked = call(line(limit=10_000), id=f"{random.SystemRandom().random()}-{number}")
        ledger.reserve(asked)
        ledger.close(asked.id, Verb.SETTLE, START_NS, charge())
        ledger.close_store()
    say("fine")


def change(path: Path, name: str, count: int) -> None:
    """Set documents in competition with others; tell how many that may be set only once were ours."""
    ledger = SqliteLedger(path, timeout_s=60)
    begin()
    ours = 0
    for number in range(count):
        new = Change(Kind.KEY, "default", f"{number}", "{}", name, "race", name, 1, Condition.NEW)
        mine = Change(Kind.BUDGET, "default", name, f"{number}", f"{number}", "race", name, 1)
        try:
            ledger.change([mine, new])
            ours += 1
        except HoldConflict:
            ledger.change([mine])
    say(ours)
    ledger.close_store()


def add_up(path: Path, count: int) -> None:
    """Add one to a document so many times, deciding on what was seen."""
    ledger = SqliteLedger(path, timeout_s=60)
    begin()
    done = 0
    while done < count:
        seen = ledger.control_version()
        body = str(int(next((each.body for each in ledger.documents()), "0")) + 1)
        if ledger.change([Change(Kind.BUDGET, "default", "sum", body, body, "race", "x", 1)], seen):
            done += 1
    say(done)
    ledger.close_store()


def migrate(path: Path) -> None:
    """Open an old ledger, and die in the commit that brings it to the version of today."""
    arm("in_commit")
    SqliteLedger(path)


if __name__ == "__main__":
    verb, path, *rest = sys.argv[1:]
    if verb == "reserve":
        reserve(Path(path), rest[0], int(rest[1]), int(rest[2]), int(rest[3]))
    elif verb == "lapse":
        lapse(Path(path))
    elif verb == "open":
        open_new(Path(path))
    elif verb == "change":
        change(Path(path), rest[0], int(rest[1]))
    elif verb == "add-up":
        add_up(Path(path), int(rest[0]))
    elif verb == "migrate":
        migrate(Path(path))
    else:
        open_and_close(Path(path), int(rest[0]))
