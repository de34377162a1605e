"""Holds that go ahead of closes in a SQLite ledger: the straight road of a call whose budgets have ample room.

Owns that verb, the memory of open holds, and the row that a hold is written as. `core/admission.py` and `core/run.py`
decide; where it is not plain, nothing is written and the ordinary verb is asked.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final, NamedTuple

from bursar.core.admission import ample, grant_within
from bursar.core.charge import Amounts
from bursar.core.hold import Hold, State
from bursar.core.ledger import Granted, Reservation
from bursar.stores.compact import encode_labels
from bursar.stores.sqlite_balances import Counted
from bursar.stores.sqlite_book import IDS_MAX
from bursar.stores.sqlite_run import SqliteRuns

__all__ = ["OpenHold", "SqliteAhead", "hold_values"]

_OPEN: Final = State.OPEN
_made = tuple.__new__
"""Makes a named tuple at half the price: the class itself does so in Python."""


class OpenHold(NamedTuple):
    """A hold as it is known, mostly an open one of this process: its row is not read again to close it."""

    hold: Hold
    counted: Counted
    """The balances that it counts against."""
    tenant: str
    run: str
    """The run that counts it as in flight while it is open; "" for none."""
    flags: int = 0
    price: str = ""
    note: str = ""


class SqliteAhead(SqliteRuns):
    """The part of a SqliteLedger that holds ahead of what makes room."""

    def __init__(self, path: Path, *, is_power_safe: bool = False, timeout_s: float = 5.0) -> None:
        self._open_holds: dict[str, OpenHold] = {}
        self._lately: dict[str, None] = {}
        """Ids of calls that ended here lately: one that comes again is no new one."""
        super().__init__(path, is_power_safe=is_power_safe, timeout_s=timeout_s)

    def _forget_sums(self) -> None:
        super()._forget_sums()
        self._open_holds.clear()

    def remember_open(self, known: OpenHold) -> None:
        """Remember an open hold, so that its close need not read it."""
        if len(self._open_holds) >= IDS_MAX:
            self._open_holds.clear()
        self._open_holds[known.hold.id] = known

    def forget_open(self, id_: str) -> None:
        """Take a hold for ended."""
        self._open_holds.pop(id_, None)
        if len(self._lately) >= IDS_MAX:
            self._lately.clear()
        self._lately[id_] = None

    def reserve_ahead(self, asked: Reservation) -> Granted | None:
        """Hold where there is ample room, whatever closes are still to come; None, and nothing written, elsewhere.

        Until its close, a call counts with all that was held for it. So what is granted in full now would be granted
        in full after these closes. It is not told its balances. Its id is one that was just made. It leaves a view
        behind, which its caller lets nobody sleep on (`look_away`).
        """
        with self.lock:
            if self.inside:
                return None  # It is for the transaction around this to say what is seen.
            self.begin_transaction(is_batch=False, is_ahead=True)
            try:
                granted = self._hold_ahead(asked)
                if granted is not None:
                    self.open_view()
            except BaseException as error:
                self.end_transaction(error)
                raise
            self.end_transaction(None)
            return granted

    def _hold_ahead(self, asked: Reservation) -> Granted | None:
        tenant, id_, ask, cover, asking = asked.tenant, asked.id, asked.ask, asked.cover, asked.run
        counted = self.find_counted(tenant, asked.lines)
        if counted is None or id_ in self._open_holds or id_ in self._lately:
            return None
        run, name = None, ""
        if asking is not None:
            entry = self.look_up_run(asked)
            if entry is None:
                return None
            run, _, denial, is_new, _ = entry
            if denial is not None or is_new:
                return None
            name = asking.run
        free = self.free_in(counted)
        held, tokens = ample(cover, ask, free), ask.at_most
        room = tokens
        if held is None:
            verdict = grant_within(cover, ask, free)
            if verdict is None or not ask.is_ample(verdict):
                return None
            tokens, room = verdict.tokens, verdict.room
            held = cover.amounts(tokens)
        try:
            self.pending.insert_hold(hold_values(asked, tokens, counted.packed, name), is_new=True)
        except sqlite3.IntegrityError:
            return None  # The id has a row already.
        self.hold_now(counted, held, None if run is None else self.enter_now(run))
        self.remember_open(_made(OpenHold, (Hold(id_, _OPEN, cover, tokens), counted, tenant, name, 0, "", "")))
        return _made(Granted, (tokens, room, (), run))

    def is_covered(self, hold_id: str, amounts: Amounts) -> bool:
        """Tell whether a hold of this process is open and covers these amounts, as far as is remembered. Any thread."""
        known = self._open_holds.get(hold_id)
        return known is not None and known[0].is_enough(amounts)


def hold_values(asked: Reservation, tokens: int, packed: str, run: str) -> tuple[Any, ...]:
    """Write a new hold as its row, the columns in the order of the query `hold_insert`."""
    cover, ask = asked.cover, asked.ask
    return (
        asked.id,
        asked.tenant,
        asked.process,
        asked.at_ns,
        packed,
        f"{ask.at_least},{ask.at_most},{ask.middle},{ask.share}",
        cover.fixed_pico,
        cover.output_pico,
        cover.input_tokens,
        cover.choices,
        tokens,
        encode_labels(asked.labels),
        run,
    )
