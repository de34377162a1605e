"""Holds that go ahead of closes in a SQLite ledger: the straight road of a call whose budgets have ample room.

Owns that verb, the memory of open holds, and the row that a hold is written as. `core/admission.py` and `core/run.py`
decide; where it is not plain, nothing is written and the ordinary verb is asked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from bursar.core.admission import Cover, ample, grant_within
from bursar.core.charge import FLAGS, Amounts
from bursar.core.hold import Effect, Hold, State
from bursar.core.ledger import Granted, Note, Reservation
from bursar.errors import NotFound
from bursar.stores.compact import encode_labels, encode_note
from bursar.stores.sqlite_balances import Counted
from bursar.stores.sqlite_book import IDS_MAX
from bursar.stores.sqlite_run import SqliteRuns

__all__ = ["OpenHold", "SqliteAhead", "hold_values", "numbers_of"]

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

    def _find(self, hold_id: str) -> OpenHold:
        known = self._open_holds.get(hold_id)
        if known is not None:
            return known
        row = self.run("hold_find", id=hold_id).fetchone()
        if row is None:
            raise NotFound(f"no call {hold_id}")
        hold = Hold(hold_id, State(row[0]), Cover(*row[1:5]), row[5], row[6], Amounts(*row[7:14]))
        ids = numbers_of(row[14])
        return OpenHold(hold, Counted(tuple(ids), tuple(map(self.unit_of, ids)), (0,) * len(ids), row[14]), *row[15:20])

    def _record(self, effect: Effect, known: OpenHold, at_ns: int, note: Note | None) -> None:
        hold_id, flags, price, entries = known.hold.id, known.flags, known.price, []
        for posting in effect.postings:
            book, amounts, names, posted = posting
            bits = flag_bits(names) if names else 0
            flags, price = flags | bits, posted or price
            entries.append((hold_id, str(book), at_ns, *amounts, bits, posted))
        written, response_id = (known.note, "") if note is None else (encode_note(note), note.response_id)
        row = (hold_id, int(effect.state), at_ns, *effect.settled, flags, price, written)
        self.pending.close_hold(row, entries, response_id, is_open=known.hold.state is _OPEN)
        self.forget_open(hold_id)


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


def flag_bits(flags: Iterable[str]) -> int:
    """Pack flags into the integer that rows keep; the order of FLAGS is part of the format."""
    return sum(1 << FLAGS.index(flag) for flag in flags)


def numbers_of(packed: str) -> list[int]:
    """Read the ids of balances as the row of a hold keeps them."""
    return [int(number) for number in packed.split(",")] if packed else []
