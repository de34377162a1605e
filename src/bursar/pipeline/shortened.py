"""Answers that end before they are whole since a budget or a guard lets them go no further: whose matter that is.

Owns finding the line that has no more room, and the words. The client is told in its API's own way, as of any answer
that reached its cap; whoever watches a run hears of it here.
"""

from __future__ import annotations

from collections.abc import Callable

from bursar.core.admission import Balance, Line, line_without_room, room_for
from bursar.core.ledger import Granted
from bursar.core.run import RunRow
from bursar.pipeline.call import Call
from bursar.pipeline.quote import Quote
from bursar.pipeline.refusals import refuse_more, refuse_share
from bursar.wire.base import Refusal

__all__ = ["OnShort", "tell_capped", "tell_short"]

OnShort = Callable[[Call, Refusal, int], None]
"""Called with a call whose answer was ended and what a refusal would say. It must neither wait nor raise.

The last is when it ended, where the budget had more, of which one answer gets a share: then the program can go on, and
only where nothing follows was it the budget that ended it. It is 0 where the budget had no more.
"""


def tell_short(
    hearing: OnShort | None, call: Call, quote: Quote, line: Line | None, overdue: RunRow | None = None
) -> None:
    """Tell, where somebody hears of it, that a budget's line ended an answer, or what ended its run (`overdue`)."""
    if hearing is None or (line is None and overdue is None):
        return
    if overdue is None:
        hearing(call, refuse_more(quote.budgets, line, "which ends here"), 0)
    else:
        words = f"Run {overdue.run!r} was ended by a guard or a person in the middle of an answer"
        hearing(call, Refusal(402, "run_stopped", f"{words}; what may be billed of it is counted."), 0)


def tell_capped(
    hearing: OnShort | None, call: Call, quote: Quote, granted: Granted | None, cap: int | None, at_ns: int
) -> None:
    """Tell, where somebody hears of it, of an answer that came to its cap now, where that was a budget's."""
    most = quote.terms.cap_most
    if hearing is None or granted is None or cap is None or (most is not None and cap >= most):
        return
    if cap == granted.room:
        tell_short(hearing, call, quote, _line_of_room(quote, granted, cap))
    elif cap == granted.tokens:
        line = _line_of_share(quote, granted)
        if line is not None:
            hearing(call, refuse_share(quote.budgets, line), at_ns)


def _line_of_room(quote: Quote, granted: Granted, cap: int) -> Line | None:
    """Find the line whose room is the cap that was sent."""
    others = _without(quote, granted)
    return line_without_room(quote.reservation.cover, quote.reservation.lines[: len(others)], others, cap + 1)


def _line_of_share(quote: Quote, granted: Granted) -> Line | None:
    """Find the line whose share is smallest, of those that are not enough for all that the call asked for."""
    asked = quote.reservation
    found: list[tuple[int, Line]] = []
    for line, balance in zip(asked.lines, _without(quote, granted), strict=False):
        used = sum(balance)
        shared = line._replace(limit=used + max(0, line.limit - used) // asked.ask.share)
        room = room_for(asked.cover, (shared,), (balance,))
        if room < asked.ask.at_most:
            found.append((room, line))
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _without(quote: Quote, granted: Granted) -> list[Balance]:
    """Give the balances as they were before the call's own hold."""
    held = quote.reservation.cover.amounts(granted.tokens)
    return [
        balance._replace(held=balance.held - held.amount(line.unit))
        for line, balance in zip(quote.reservation.lines, granted.balances, strict=False)
    ]
