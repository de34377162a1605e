"""The library's accounts: what a call came to is written behind the program's back.

Owns that step. A program has its answer at once; its true cost is written by the ledger's thread, or by whoever asks
the ledger for anything next in this process, in that one's own transaction and before it. So nobody here can see a
ledger that lacks it. Until then the hold stands, which is never less: a process that is killed in that moment leaves
it to be presumed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from bursar.core.charge import Charge
from bursar.core.ledger import Closed, Note, Reservation
from bursar.errors import NotFound, StoreUnavailable
from bursar.pipeline.account import Account, Accounts
from bursar.pipeline.call import Call
from bursar.pipeline.quote import Quote
from bursar.pipeline.unclosed import Unclosed
from bursar.stores.joined import InlineStore
from bursar.stores.threaded import DirectStore
from bursar.wiring.driving import drive

__all__ = ["AccountsBehind", "QuietAccounts"]

log = logging.getLogger("bursar.library")


class QuietAccount(Account):
    """An account that writes no headers for an answer: the program gets the provider's own. A refusal has them all."""

    def head(self, given: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        return ()


class QuietAccounts(Accounts):
    """Opens such accounts."""

    def open(self, call: Call, quote: Quote) -> Account:
        return QuietAccount(self, call, quote)


@dataclass(frozen=True, slots=True)
class AccountsBehind(QuietAccounts):
    """Accounts that leave their closes to a queue."""

    queue: InlineStore = field(kw_only=True)

    async def close(self, unclosed: Unclosed) -> Closed | None:
        """Queue a close; None, since what the ledger says to it comes later."""
        asked, verb, at_ns, charge, note = unclosed
        work = partial(self.queue.ledger.end, asked.id, verb, at_ns, charge, note)
        try:
            self.queue.later(work, partial(self._failed, unclosed), is_freeing=self._is_freeing(asked, charge, note))
        except StoreUnavailable:
            self.unclosed.append(unclosed)
        return None

    def _is_freeing(self, asked: Reservation, charge: Charge | None, note: Note) -> bool:
        """Tell whether a close only makes room. A run counts tool calls, and a truth may be beyond the hold."""
        if asked.run is not None and note.tool_calls:
            return False
        return charge is None or self.queue.ledger.is_covered(asked.id, charge.amounts)

    def _failed(self, unclosed: Unclosed, error: Exception) -> None:
        """Hear that a close could not be written as it was asked for."""
        if isinstance(error, StoreUnavailable):
            self.unclosed.append(unclosed)
        elif isinstance(error, NotFound):
            # By a setting it went on without a ledger: the way for that is the ordinary one.
            drive(Accounts.close(replace(self, store=DirectStore(self.queue.ledger)), unclosed))
        else:
            log.error("call %s could not be closed: %s", unclosed.asked.id, error)
