"""The account of one call: its metered machine, its hold in the store, what it has cost so far.

Owns the store verbs of a call and the learning that follows a close. A close that the store cannot take now is kept
and tried again by a job: the truth is never dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field, replace

from bursar.core.admission import UNBOUNDED, Balance, Line
from bursar.core.budget import Budget
from bursar.core.charge import ZERO, Amounts, Charge
from bursar.core.hold import Verb
from bursar.core.ledger import Closed, Extension, Granted, Note, Refused
from bursar.core.meter import Cut, Extend, MeteredCall, Phase
from bursar.errors import HoldConflict, NotFound, StoreUnavailable
from bursar.guards.board import RunBoard
from bursar.pipeline.attempts import NONE_BEFORE, Before
from bursar.pipeline.call import Call
from bursar.pipeline.heads import call_headers
from bursar.pipeline.offer import Offer
from bursar.pipeline.ports import Clock, Store, Waiting
from bursar.pipeline.quote import Quote
from bursar.pipeline.ratelimit import part_left
from bursar.pipeline.settlement import estimated, told, told_so_far
from bursar.pipeline.shortened import OnShort, tell_capped, tell_short
from bursar.pipeline.telling import closed_record
from bursar.pipeline.unclosed import Unclosed, close_unseen, taken
from bursar.pipeline.watch import RunWatch
from bursar.pricing.facts import FactsBook
from bursar.telemetry.record import Observer, tell
from bursar.upstream.headers import down
from bursar.wire.base import Answer

__all__ = ["Account", "Accounts", "Unclosed"]

UNCLOSED_MAX = 100_000
RESPONSE_ID_LENGTH_MAX = 256
"""A longer name of an answer is not remembered: nobody can continue it."""
_made = tuple.__new__  # a named tuple at half the price
_SETTLE, _ASKED, _CLOSED = Verb.SETTLE, Phase.ASKED, Phase.CLOSED
_watching = threading.Lock()
"""A watch is made once, whichever thread asks for it first."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """What every account needs; one for a process."""

    store: Store
    waiting: Waiting
    facts: FactsBook
    clock: Clock
    observers: tuple[Observer, ...] = ()
    held: dict[str, Account] = field(default_factory=dict)
    """The calls that hold money now, by id."""
    unclosed: deque[Unclosed] = field(default_factory=lambda: deque(maxlen=UNCLOSED_MAX))
    board: RunBoard = field(default_factory=RunBoard)
    """Where runs stand that a guard looks at."""
    on_short: OnShort | None = None
    """Hears of answers that a budget or a guard has ended."""

    def open(self, call: Call, quote: Quote) -> Account:
        return Account(self, call, quote)

    async def close(self, unclosed: Unclosed) -> Closed | None:
        """Close a hold; None when the store cannot take it now and it is kept for later."""
        verb, at_ns, charge, note = unclosed.verb, unclosed.at_ns, unclosed.charge, unclosed.note
        try:
            try:
                return await self.store.close(unclosed.asked.id, verb, at_ns, charge, note)
            except NotFound:
                return await close_unseen(self.store, unclosed)
        except StoreUnavailable:
            self.unclosed.append(unclosed)
            return None
        except asyncio.CancelledError:
            # The ledger has heard of it, but nobody will hear whether it could write: closing twice does no harm.
            self.unclosed.append(unclosed)
            raise

    async def close_kept(self) -> int:
        """Try the kept closes again; returns how many remain."""
        for kept in taken(self.unclosed):
            # What the ledger has heard otherwise meanwhile stands: the first word counts.
            with contextlib.suppress(HoldConflict):
                if await self.close(kept) is None and self.unclosed:
                    break
        return len(self.unclosed)


class Account:
    """One call's account. Amounts are nano-USD, tokens are output tokens per choice."""

    def __init__(self, accounts: Accounts, call: Call, quote: Quote) -> None:
        self._accounts, self._call, self._quote = accounts, call, quote
        self._offer = quote.offers[0]
        self.machine = MeteredCall(quote.terms)
        """What is sent, and what is to be done next."""
        self._balances: tuple[Balance, ...] = ()
        self._before = NONE_BEFORE
        self._is_reserving = False
        self.reserves = 0
        """How often the store was asked: more than once when the call had to wait."""
        self._charge: Charge | None = None
        self._granted: Granted | None = None
        self._answer_tokens, self._response_id = 0, ""
        self.is_stream = call.request.is_stream
        self.own_watch: RunWatch | None = None
        """What may end its answer beside money; None where nothing can as yet."""

    @property
    def is_closed(self) -> bool:
        return self.machine.phase is _CLOSED

    @property
    def watch(self) -> RunWatch:
        """What ends its answer beside money; most calls never need one."""
        if self.own_watch is None:
            with _watching:
                self.own_watch = self.own_watch or RunWatch()  # type: ignore[redundant-expr] # another thread may have made one
        return self.own_watch

    @property
    def call(self) -> Call:
        return self._call

    @property
    def charge(self) -> Charge | None:
        """What it came to, once it is settled."""
        return self._charge

    async def reserve(self) -> Granted | Refused:
        """Ask the store once for the hold."""
        self._is_reserving = True
        self.reserves += 1
        try:
            verdict = await self._accounts.store.reserve(self._quote.reservation)
        except StoreUnavailable:
            self._is_reserving = False
            raise
        self._is_reserving = False
        if isinstance(verdict, Granted):
            self._take(verdict)
        return verdict

    def _take(self, granted: Granted) -> None:
        accounts, asked, machine = self._accounts, self._quote.reservation, self.machine
        tokens, room, balances, run = granted
        self._granted, self._balances = granted, balances
        if run is not None:
            self.own_watch = RunWatch()
            self.own_watch.enter(run, asked.run)
            if accounts.board.is_read:
                accounts.board.note(run, asked.lines, balances)
        machine.granted(tokens, room)
        if room >= UNBOUNDED:
            machine.uncap()
        accounts.held[asked.id] = self

    def trust(self) -> Granted:
        """Go on without the store, by the setting `on_store_down: allow`; it is told afterwards."""
        self._take(granted := Granted(self._quote.reservation.ask.at_least, UNBOUNDED, ()))
        return granted

    def learn_maximum(self, maximum: int) -> bool:
        """Take the model's true maximum from its refusal; True when sending again with it makes sense."""
        if self.machine.cap is None or maximum < self.machine.cap:
            offer = self._offer
            self._accounts.facts.learn_maximum(offer.provider.name, offer.model, maximum, self._call.tenant)
        return self.lower_cap(maximum)

    def lower_cap(self, most: int) -> bool:
        """Take what a refusal says the answer has room for; True when sending again with it makes sense."""
        return self.machine.lower_cap(most)

    async def again(self, *, is_billed: bool) -> bool:
        """Make room for one more attempt inside this hold; one that may have been billed stays counted."""
        if not is_billed:
            self.machine.unsent()
            return True
        spent = self.machine.tokens
        before = self._before.and_one(self._offer.cover, spent)
        least = before.tokens + min(self._quote.terms.usual, spent)
        extension = await self._extend(least, before.tokens + spent, before)
        if not extension.is_granted:
            return False
        self._before = before
        self.machine.retried(extension.tokens - before.tokens)
        return True

    def turn_to(self, offer: Offer) -> None:
        """Let another provider be asked from now on: what follows is counted and learnt on its terms."""
        self._offer = offer
        if offer.maximum is not None:
            self.machine.bound_cap(offer.maximum)

    def is_cut(self, visible: int) -> bool:
        """Tell whether something else than money ends the answer here; then it is charged as a cut stream is."""
        watch = self.own_watch
        if watch is None or not watch.is_over(self._accounts.clock()):
            return False
        self.machine.see(visible)
        self.machine.cut()
        tell_short(self._accounts.on_short, self._call, self._quote, None, watch.row)
        return True

    def is_calm(self, visible: int) -> bool:
        """Take what a stream shows so far; True when nothing is due, as with nearly every piece."""
        now_ns, watch = self._accounts.clock(), self.own_watch
        return (watch is None or not watch.is_over(now_ns)) and self.machine.is_calm(visible, now_ns)

    async def progress(self, visible: int) -> bool:
        """Take what a stream shows so far (tokens over all choices); True when it must be cut."""
        if self.is_cut(visible):
            return True
        command = self.machine.progress(visible, self._accounts.clock())
        while isinstance(command, Extend):
            earlier = self._before.tokens
            extension = await self._extend(command.at_least + earlier, command.at_most + earlier, self._before)
            now = self._accounts.clock()
            stop = self.machine.extended(extension.tokens - earlier, now, is_granted=extension.is_granted)
            if isinstance(stop, Cut):
                tell_short(self._accounts.on_short, self._call, self._quote, extension.line)
            command = stop or self.machine.progress(visible, now)
        return isinstance(command, Cut)

    async def _extend(self, at_least: int, at_most: int, before: Before) -> Extension:
        try:
            return await self._accounts.store.extend(self._quote.reservation, at_least, at_most, before.count + 1)
        except (StoreUnavailable, NotFound):
            return Extension(0, is_granted=False)

    def tick_s(self) -> float | None:
        """Give the seconds until time alone makes something due: an extension, or the end; None when it never does."""
        due_ns, watch = self.machine.tick_ns() if self.is_stream else None, self.own_watch
        if watch is not None and watch.ends_ns is not None and (due_ns is None or watch.ends_ns < due_ns):
            due_ns = watch.ends_ns
        return None if due_ns is None else max(0, due_ns - self._accounts.clock()) / 1e9

    def settle(self, answer: Answer, *, status: int) -> Awaitable[None]:
        """Close with the provider's word; what it did not tell is estimated from what was visible."""
        if answer.tool_calls or answer.asked:
            self.watch.hear(answer)
        machine, offer, usage = self.machine, self._offer, answer.usage
        self._response_id = answer.response_id if len(answer.response_id) <= RESPONSE_ID_LENGTH_MAX else ""
        card = offer.card(answer.service_tier, self._quote.reservation.at_ns)
        if usage is None:
            machine.see(answer.visible_tokens)
            charge = estimated(card, offer.cover, machine.ended(self._accounts.clock()).tokens)
        else:
            try:
                charge = told(answer, usage, card, offer.cover)
            except ValueError:
                # Counts that no ledger can add up are no truth.
                machine.see(answer.visible_tokens)
                return self.lose(status=status)
            self._learn(answer, charge.amounts)
            machine.answered()
        if not answer.is_capped:
            return self._close(_SETTLE, charge, status, "complete")
        now_ns = self._accounts.clock()
        tell_capped(self._accounts.on_short, self._call, self._quote, self._granted, machine.cap, now_ns)
        return self._close(_SETTLE, charge, status, "capped")

    async def lose(self, answer: Answer | None = None, *, status: int = 0, ended: str = "lost") -> None:
        """Close without the provider's last word; `answer` is what a stream had told by then."""
        close = self.machine.lost(self._accounts.clock(), is_streaming=answer is not None)
        if answer is not None and (answer.tool_calls or answer.asked):
            self.watch.hear(answer)
        charge = None
        if close.verb is _SETTLE:
            card = self._offer.card(answer.service_tier if answer else "", self._quote.reservation.at_ns)
            charge = told_so_far(answer, card, self._offer.cover, close.tokens)
            if ended == "cut" and answer is not None:
                self._answer_tokens = -(-answer.visible_tokens // self._call.request.choices) * 2
                self._offer.recent.learn(self._answer_tokens)
            if ended in ("cut", "hangup"):
                charge = replace(charge, flags=charge.flags | {ended})
        await self._close(close.verb, charge, status, ended)

    async def close_error(self, status: int, *, is_billed: bool) -> None:
        """Close after a refusal by the provider: released when it is the provider's own, before any output."""
        if is_billed:
            await self.lose(status=status, ended="error")
        else:
            await self._close(self.machine.refused().verb, None, status, "error")

    async def abandon(self) -> None:
        """Close whatever is still open: the last resort of a `finally`, harmless when all is done."""
        phase = self.machine.phase
        if phase is _CLOSED or (phase is _ASKED and not self._is_reserving):
            return
        await self.lose()

    async def _close(self, verb: Verb, charge: Charge | None, status: int, ended: str) -> None:
        accounts, asked = self._accounts, self._quote.reservation
        if self._before is not NONE_BEFORE:
            verb, charge = self._before.added(verb, charge)
        at_ns = accounts.clock()
        self._charge = charge
        note = self._note(status, ended, at_ns)
        try:
            closed = await accounts.close(_made(Unclosed, (asked, verb, at_ns, charge, note)))
            if closed is not None:
                self._balances = closed.balances
            if self.own_watch is not None and accounts.board.is_read:
                added = charge.amounts if closed is None and charge is not None else ZERO
                accounts.board.note(self.own_watch.row, asked.lines, self._balances, added)
        finally:
            accounts.waiting.freed(asked.lines)
            accounts.held.pop(asked.id, None)
            if accounts.observers:
                told = charge or (self._presumed() if verb is Verb.PRESUME else Charge(ZERO))
                record = closed_record(self._call, self._offer, verb, told, note, at_ns)
                tell(accounts.observers, record if self.own_watch is None else self.own_watch.told(record))

    def _presumed(self) -> Charge:
        """Say what the ledger charges where nobody told the truth: all that is held."""
        tokens, attempts = self._before.tokens + self.machine.tokens, self._before.count + 1
        held = self._quote.reservation.cover.amounts(tokens, attempts)
        return Charge(held, frozenset({"estimated"}))

    def _learn(self, answer: Answer, amounts: Amounts) -> None:
        """Let the next call's estimate and usual answer know this one's truth."""
        request, offer = self._call.request, self._offer
        anatomy = request.anatomy
        text_bytes = anatomy.system + anatomy.tools + anatomy.history + anatomy.user
        _, read, _, _, output, _, _ = amounts
        offer.shape.learn(text_bytes, max(0, read - self._call.earlier_tokens))
        tokens = -(-output // request.choices)
        if answer.is_capped:
            cap = self.machine.cap
            if cap is not None and (request.cap is None or cap < request.cap):
                tokens *= 2  # One that our own cap ended would have been longer, and counts twice.
        self._answer_tokens = tokens
        offer.recent.learn(tokens)

    def _note(self, status: int, ended: str, at_ns: int) -> Note:
        call, watch = self._call, self.own_watch
        request = call.request
        anatomy = request.anatomy
        offer, said = self._offer, call.labels.pairs.get("provider")
        answered_by = "" if offer.provider.name == said and offer.target is None else self._answered_by
        found = (
            anatomy.system,
            anatomy.tools,
            anatomy.history,
            anatomy.user,
            status,
            ended,
            (at_ns - self._quote.reservation.at_ns) // 1_000_000,
            self.machine.cap or 0,
            request.shape_key,
            self._answer_tokens,
            answered_by,
            self._response_id,
            call.earlier_tokens,
            0 if watch is None else watch.tool_calls,
            call.seen,
        )
        return _made(Note, found)

    @property
    def _answered_by(self) -> str:
        """Name who was asked in the end, where that is not who the labels name."""
        provider = self._offer.provider.name
        # What continues a response of a fall-back is sent there at once.
        if self._offer.target is None and provider == self._call.labels.pairs.get("provider"):
            return ""
        return f"{provider}/{self._offer.model}"

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The budgets that count the call."""
        return self._quote.budgets

    @property
    def tightest(self) -> Line | None:
        """The line that has the least left, as a part of its limit; None where no budget counts the call."""
        pairs = list(zip(self._quote.reservation.lines, self._balances, strict=False))
        return min(pairs, key=part_left)[0] if pairs else None

    def head(self, given: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """Give the headers of a reply: of the provider's those that a client may see, and those of this call."""
        return (*down(given), *self.headers())

    def headers(self) -> list[tuple[str, str]]:
        """Tell the client what this call came to and what its tightest budget has left."""
        standing = list(zip(self._quote.reservation.lines, self._balances, strict=False))
        return call_headers(
            self._call, self.own_watch, self._answered_by, self._charge, standing, self._accounts.clock()
        )
