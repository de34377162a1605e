"""A process that writes to a ledger until it is killed, and tells over a pipe what has been acknowledged.

`python -m tests.crash.worker PATH NAME FACE FAILPOINT`: FACE is `direct`, or `threaded` for sixteen callers whose
operations share transactions, or `begin` for one that begins BUDGET a few calls at a time. Each line is one
acknowledged verb: `reserved ID`, `settled ID NANO`, or `begun`.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from tests.conformance.kit import call, charge, cost, line

from bursar.core.budget import Budget, Limit, Unit
from bursar.core.hold import Verb
from bursar.core.window import Window, WindowKind
from bursar.failpoints import arm
from bursar.stores.sqlite import SqliteLedger
from bursar.stores.threaded import ThreadedStore
from bursar.testing.clock import START_NS

LIMIT = 10**12
BUDGET = Budget("late", (Limit(Unit.USD, LIMIT), Limit(Unit.REQUESTS, LIMIT)), Window(WindowKind.TOTAL), per=("user",))


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def direct(ledger: SqliteLedger, name: str) -> None:
    for number in itertools.count():
        asked = call(*lines(number), id=f"{name}-{number}", cover=cost(50), process=name)
        ledger.reserve(asked)
        say("reserved", asked.id)
        if number % 3:
            ledger.close(asked.id, Verb.SETTLE, START_NS, charge(number % 50))
            say("settled", asked.id, number % 50)


async def threaded(ledger: SqliteLedger, name: str) -> None:
    store = ThreadedStore(ledger)

    async def caller(who: int) -> None:
        for number in itertools.count():
            asked = call(*lines(number), id=f"{name}-{who}-{number}", cover=cost(50), process=name)
            await store.reserve(asked)
            say("reserved", asked.id)
            if number % 3:
                await store.close(asked.id, Verb.SETTLE, START_NS, charge(number % 50))
                say("settled", asked.id, number % 50)

    await asyncio.gather(*(caller(who) for who in range(16)))


def begin(ledger: SqliteLedger) -> None:
    ledger.declare([BUDGET])
    place = ledger.begin([BUDGET], START_NS, None, 7)
    while place is not None:
        say("begun")
        place = ledger.begin([BUDGET], START_NS, place, 7)
    ledger.finish([BUDGET])


def lines(number: int) -> tuple:  # type: ignore[type-arg]
    return (line("usd", LIMIT, Unit.USD), line("users", LIMIT, Unit.TOKENS, scope=f"user=u{number % 7}"))


if __name__ == "__main__":
    path, name, face, failpoint = sys.argv[1:]
    opened = SqliteLedger(Path(path))
    say("opened")
    arm(failpoint)
    if face == "direct":
        direct(opened, name)
    elif face == "begin":
        begin(opened)
    else:
        asyncio.run(threaded(opened, name))
