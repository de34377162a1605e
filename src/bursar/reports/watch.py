"""The making of live snapshots: what has ended since the last look is added, what is over an hour old goes.

Owns the memory of the last hour, so that a look each second costs what is new and not the hour again. It reads the
ledger a page at a time, never inside a transaction, so it holds no lock between two reads; it must never write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from bursar.core.labels import Labels
from bursar.core.ledger import HoldRow
from bursar.core.window import NS
from bursar.reports.anatomy import amounts_of
from bursar.reports.live import LIVE_LABELS, Filling, LiveCall, Ranked, Snapshot, live_call

__all__ = ["Follower", "Ledger", "Watch", "ended_pages"]

HOUR_NS = 3_600 * NS
MINUTE_NS = 60 * NS
OVERLAP_NS = 10 * NS
"""How far back each look begins again: another process may commit a close a little later than it was timed."""
AHEAD_NS = HOUR_NS
"""How far ahead of this clock a close may be timed (by another machine's) and still be seen at once."""
PAGE = 2_000
KEPT_MAX = 50_000
"""How many calls are remembered; where an hour has more, the ranks count from a later instant, and say so."""
RANKED_MAX = 100
SHOWN_MAX = 50
IN_FLIGHT_MAX = 10_000
"""How many calls in flight are read at once: as many as one gateway takes connections."""


class Ledger(Protocol):
    """What this reads."""

    def in_flight(self, tenant: str, most: int) -> Sequence[HoldRow]: ...
    def ended(self, tenant: str, since_ns: int, until_ns: int, most: int) -> Sequence[HoldRow]: ...


def ended_pages(ledger: Ledger, tenant: str, since_ns: int, until_ns: int, most: int) -> Iterator[HoldRow]:
    """Give at most `most` calls that ended in `[since, until)`, the latest first, a page at a time.

    One that is corrected meanwhile moves ahead of where this looks: it comes with the next look.
    """
    seen: set[str] = set()
    while most > 0:
        size = min(PAGE, most + len(seen))
        page = ledger.ended(tenant, since_ns, until_ns, size)
        fresh = [row for row in page if row.id not in seen][:most]
        yield from fresh
        most -= len(fresh)
        if len(page) < size:
            return
        last_ns = page[-1].closed_ns
        # Where more calls than a page ended at one instant the rest of that instant is passed over.
        until_ns = last_ns + 1 if fresh and page[0].closed_ns != last_ns else last_ns
        seen = {row.id for row in page if row.closed_ns == last_ns}


class Follower:
    """Gives each call once when it ends, and again when it is corrected, in the order of the instants.

    Who finds the ledger replaced puts the other one into `ledger`: what was given stays known.
    """

    def __init__(self, ledger: Ledger, tenant: str, since_ns: int) -> None:
        self.ledger = ledger
        self._tenant = tenant
        self._since_ns = since_ns
        self._known: dict[str, int] = {}

    def last(self, at_ns: int, most: int) -> list[HoldRow]:
        """Give the last calls that ended before this follower began to look, and begin after them."""
        rows = list(ended_pages(self.ledger, self._tenant, 0, at_ns + AHEAD_NS, most))
        self._take(at_ns, rows)
        self.new(at_ns)
        return rows[::-1]

    def new(self, at_ns: int, most: int = KEPT_MAX) -> list[HoldRow]:
        """Give what has ended since the last look; of more than `most` the latest."""
        found = ended_pages(self.ledger, self._tenant, self._since_ns, at_ns + AHEAD_NS, most)
        return self._take(at_ns, [row for row in found if self._known.get(row.id) != row.closed_ns])[::-1]

    def _take(self, at_ns: int, rows: list[HoldRow]) -> list[HoldRow]:
        self._since_ns = max(self._since_ns, at_ns - OVERLAP_NS)
        self._known.update({row.id: row.closed_ns for row in rows})
        self._known = {id_: closed_ns for id_, closed_ns in self._known.items() if closed_ns >= self._since_ns}
        return rows


class _Kept(NamedTuple):
    """What is remembered of one call."""

    closed_ns: int
    cost_nano: int
    tokens: int
    values: tuple[str, ...]
    is_correction: bool


class Watch:
    """Makes snapshots of one tenant's ledger. `standings` says how full the budgets are at an instant."""

    def __init__(self, ledger: Ledger, tenant: str, standings: Callable[[int], Sequence[Filling]]) -> None:
        self._ledger = ledger
        self._tenant = tenant
        self._standings = standings
        self._follower: Follower | None = None
        self._kept: dict[str, _Kept] = {}
        self._sums: dict[str, dict[str, tuple[int, int, int]]] = {label: {} for label in LIVE_LABELS}
        self._cut_ns = 0

    def read(self, at_ns: int, shown: int = SHOWN_MAX) -> Snapshot:
        """Look at the ledger now. Raises StoreUnavailable; then nothing is forgotten, and the next look goes on."""
        ledger, since_ns = self._ledger, at_ns - HOUR_NS
        if self._follower is None:
            self._follower = Follower(ledger, self._tenant, since_ns)
        fresh = self._follower.new(at_ns, KEPT_MAX)
        for row in fresh:
            if not row.is_carve:
                self._keep(row)
        if len(fresh) == KEPT_MAX:
            self._cut_ns = max(self._cut_ns, fresh[0].closed_ns)
        self._forget(max(since_ns, self._cut_ns))
        open_rows = ledger.in_flight(self._tenant, IN_FLIGHT_MAX)
        in_flight = [live_call(row) for row in open_rows if not row.is_carve and not row.is_unused]
        budgets = tuple(self._standings(at_ns))
        ranks, total = self._ranks(in_flight)
        return Snapshot(
            at_ns,
            max(since_ns, self._cut_ns),
            self._spent_since(at_ns - MINUTE_NS),
            self._spent_since(at_ns - 5 * MINUTE_NS),
            total,
            tuple(in_flight[:shown]),
            tuple(live_call(row) for row in ledger.ended(self._tenant, 0, at_ns + AHEAD_NS, shown)),
            budgets[:shown],
            len(budgets),
            ranks,
        )

    def _keep(self, row: HoldRow) -> None:
        self._drop(row.id)
        labels, amounts = Labels(row.labels), amounts_of(row)
        kept = _Kept(
            row.closed_ns,
            amounts.cost_nano,
            amounts.input_tokens + amounts.output_tokens,
            tuple(labels[name] for name in LIVE_LABELS),
            "corrected" in row.flags,
        )
        self._kept[row.id] = kept
        self._add(kept, 1)

    def _drop(self, call_id: str) -> None:
        kept = self._kept.pop(call_id, None)
        if kept is not None:
            self._add(kept, -1)

    def _add(self, kept: _Kept, sign: int) -> None:
        for label, value in zip(LIVE_LABELS, kept.values, strict=True):
            sums = self._sums[label]
            calls, cost, tokens = sums.get(value, (0, 0, 0))
            if calls + sign:
                sums[value] = (calls + sign, cost + sign * kept.cost_nano, tokens + sign * kept.tokens)
            else:
                del sums[value]

    def _forget(self, since_ns: int) -> None:
        """Drop what is too old, or too much; calls stand nearly in the order in which they ended."""
        for call_id in [id_ for id_, kept in self._until(since_ns)]:
            self._drop(call_id)
        if len(self._kept) > KEPT_MAX:
            for call_id in list(self._kept)[:-KEPT_MAX]:
                self._cut_ns = max(self._cut_ns, self._kept[call_id].closed_ns)
                self._drop(call_id)

    def _until(self, since_ns: int) -> Iterator[tuple[str, _Kept]]:
        for id_, kept in self._kept.items():
            if kept.closed_ns >= since_ns + OVERLAP_NS:
                return
            if kept.closed_ns < since_ns:
                yield id_, kept

    def _spent_since(self, since_ns: int) -> int:
        """Sum what ended lately. A correction is no spending of this minute, whenever it is made."""
        spent = 0
        for kept in reversed(self._kept.values()):
            if kept.closed_ns < since_ns - OVERLAP_NS:
                break
            if kept.closed_ns >= since_ns and not kept.is_correction:
                spent += kept.cost_nano
        return spent

    def _ranks(self, in_flight: Sequence[LiveCall]) -> tuple[Mapping[str, tuple[Ranked, ...]], Ranked]:
        ranks = {label: self._rank(label, in_flight) for label in LIVE_LABELS}
        every = ranks[LIVE_LABELS[0]]
        total = Ranked(
            "",
            sum(row.calls for row in every),
            sum(row.cost_nano for row in every),
            sum(row.tokens for row in every),
            sum(row.in_flight for row in every),
            sum(row.held_nano for row in every),
        )
        return {label: rows[:RANKED_MAX] for label, rows in ranks.items()}, total

    def _rank(self, label: str, in_flight: Sequence[LiveCall]) -> tuple[Ranked, ...]:
        rows = {value: Ranked(value, *sums) for value, sums in self._sums[label].items()}
        for call in in_flight:
            value = Labels(call.labels)[label]
            row = rows.get(value, Ranked(value))
            rows[value] = replace(row, in_flight=row.in_flight + 1, held_nano=row.held_nano + call.held_nano)
        return tuple(sorted(rows.values(), key=lambda row: (-row.cost_nano, -row.held_nano, row.value)))
