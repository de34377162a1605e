"""Answers that end before they are whole since a budget or a guard lets them go no further: whose matter that is.

Owns finding the line that has no more room, and the words. The client is told in its API's own way, as of any answer
that reached its cap; whoever watches a run hears of it here.
"""

from __future__ import annotations

from collections.abc import Callable

from bursar.core.admission import Line, line_without_room
from bursar.core.ledger import Granted
from bursar.core.run import RunRow
from bursar.pipeline.call import Call
from bursar.pipeline.quote import Quote
from bursar.pipeline.refusals import refuse_more
from bursar.wire.base import Refusal

__all__ = ["OnShort", "tell_capped", "tell_short"]

OnShort = Callable[[Call, Refusal], None]
"""Called with a call whose answer was ended and what a refusal would say. It must neither wait nor raise."""


def tell_short(
    hearing: OnShort | None, call: Call, quote: Quote, line: Line | None, overdue: RunRow | None = None
) -> None:
    """Tell, where somebody hears of it, that a budget's line ended an answer, or what ended its run (`overdue`)."""
    if hearing is None or (line is None and overdue is None):
        return
    if overdue is None:
        hearing(call, refuse_more(quote.budgets, line, "which ends here"))
    else:
        words = f"Run {overdue.run!r} was ended by a guard or a person in the middle of an answer"
        hearing(call, Refusal(402, "run_stopped", f"{words}; what may be billed of it is counted."))


def tell_capped(hearing: OnShort | None, call: Call, quote: Quote, granted: Granted | None, cap: int | None) -> None:
    """Tell, where somebody hears of it, of an answer that came to its cap, where that was a budget's room."""
    if hearing is not None and granted is not None:
        tell_short(hearing, call, quote, _line_of_cap(quote, granted, cap))


def _line_of_cap(quote: Quote, granted: Granted, cap: int | None) -> Line | None:
    """Find the line whose room is the cap that was sent; None where the client or the model allows no more anyway."""
    most, asked = quote.terms.cap_most, quote.reservation
    if cap is None or cap != granted.room or (most is not None and cap >= most):
        return None
    held = asked.cover.amounts(granted.tokens)
    others = [
        balance._replace(held=balance.held - held.amount(line.unit))
        for line, balance in zip(asked.lines, granted.balances, strict=False)
    ]
    return line_without_room(asked.cover, asked.lines[: len(others)], others, cap + 1)
