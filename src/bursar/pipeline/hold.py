"""The hold stage: no call reaches a provider without a hold, and every hold ends.

Owns the way of one call from its quote to its close. What decides is `core/` (admission, meter, hold table); this
drives it. Everything before the hold is free to fail; everything after it ends in a close, whatever happens.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import field, replace

from bursar import failpoints
from bursar.core.budget import Policy
from bursar.core.ledger import Granted, Refused
from bursar.core.value import value
from bursar.errors import StoreUnavailable, TooLarge, UpstreamFailed
from bursar.pipeline.account import Account, Accounts
from bursar.pipeline.call import Call, Next, Reply
from bursar.pipeline.earlier import with_earlier
from bursar.pipeline.patience import AsyncioPatience, Patience
from bursar.pipeline.ports import Answering, Upstream, Waiting
from bursar.pipeline.quote import Quote, Quoter
from bursar.pipeline.refusals import refuse, refuse_store_down, refuse_unbegun
from bursar.pipeline.refusals_run import refuse_overdue, refuse_verdict
from bursar.pipeline.stream import MeteredStream
from bursar.pipeline.telling import refused_record
from bursar.telemetry.record import tell
from bursar.upstream.headers import authorize
from bursar.wire.base import Refusal

__all__ = ["HoldStage"]

NEVER_BILLED = frozenset(range(300, 500)) - {408, 499}
"""A redirect or a refusal of the request, whoever wrote its body; 408 and 499 tell of a time-out."""
BUSY = frozenset({408, 429})
"""Refusals that say nothing of the request: another provider may take it."""
WINDOWS_MAX = 2
"""In so many windows of a line a call is tried: who has waited over the end of one may have room in the next."""


@value
class HoldStage:
    """Hold, send, meter, settle. The last stage: it asks the provider instead of a following stage."""

    quoter: Quoter
    accounts: Accounts
    waiting: Waiting
    upstream: Upstream | None
    """The way to every provider; None where each call brings its own along."""
    answer_bytes_max: int
    patience: Patience = field(default_factory=AsyncioPatience)

    def __call__(self, call: Call, following: Next | None = None) -> Awaitable[Reply]:
        if call.request.previous_id or self.quoter.in_force.pauses:
            return self._looked_at(call)
        return self._held(call)

    async def _looked_at(self, call: Call) -> Reply:
        """Refuse what somebody paused, and what continues a response that is not known."""
        stopped = self.quoter.in_force.stopped(call.tenant, call.labels)
        if stopped is not None:
            return self._refuse(call, stopped)
        if call.request.previous_id:
            try:
                known = await with_earlier(call, self.accounts.store)
            except StoreUnavailable as error:
                known = refuse_store_down(error)
            if isinstance(known, Refusal):
                return self._refuse(call, known)
            call = known
        return await self._held(call)

    def _refuse(self, call: Call, refusal: Refusal, budget: str = "") -> Reply:
        """Refuse a call for which nothing is held, and tell the observers."""
        if self.accounts.observers:
            tell(self.accounts.observers, refused_record(call, refusal, self.accounts.clock(), budget))
        return refuse(call, refusal)

    async def _held(self, call: Call) -> Reply:
        """Quote, hold, send; once more where the window of the refusing line ended while the call waited."""
        for _ in range(WINDOWS_MAX):
            quote = self.quoter.quote(call)
            if isinstance(quote, Refusal):
                return self._refuse(call, quote)
            account = self.accounts.open(call, quote)
            is_over = False
            try:
                try:
                    verdict = await self.waiting.admit(quote.reservation.lines, account.reserve, call.is_gone)
                except StoreUnavailable as error:
                    verdict = _trusting(quote, account, error)
                if isinstance(verdict, Refused):
                    reply = self._refused_hold(call, quote, verdict)
                else:
                    reply = await self._asking(call, quote, account)
                    is_over = reply is not None  # The call is closed, or the reader of its stream will close it.
            except StoreUnavailable as error:
                reply = self._refuse(call, refuse_store_down(error))
            finally:
                if not is_over:
                    await account.abandon()
            if reply is not None:
                return reply
        refusal = Refusal(429, "contended", "the budget's window ended while this call waited", retry_after_s=1)
        return self._refuse(call, refusal)

    def _refused_hold(self, call: Call, quote: Quote, verdict: Refused) -> Reply | None:
        """Tell what had no room; None when the window of that line has ended meanwhile: the next one may have some."""
        if verdict.line.ends_ns <= self.accounts.clock():
            return None
        refusal = refuse_verdict(quote.budgets, quote.reservation, verdict, self.quoter.in_force.link)
        return self._refuse(call, refusal, verdict.line.budget)

    def _asking(self, call: Call, quote: Quote, account: Account) -> Awaitable[Reply | None]:
        """Ask who may be asked; at the end the call is closed, or the reader of its stream closes it."""
        if failpoints.armed:
            failpoints.failpoint("after_hold")
        if account.reserves > 1:
            return self._ask_late(call, quote, account)
        if len(quote.offers) > 1:
            return self._ask_each(call, quote, account)
        return self._ask(call, account, is_last=True)

    async def _ask_late(self, call: Call, quote: Quote, account: Account) -> Reply:
        """Ask for a call that has waited, if that is still wanted."""
        unwanted = self._unwanted(call)
        if unwanted is None:
            return await self._ask_each(call, quote, account)
        await account.abandon()
        return self._refuse(call, unwanted)

    def _unwanted(self, call: Call) -> Refusal | None:
        """Say why a call that has waited is not to be sent any more."""
        if call.is_gone():
            return Refusal(499, "client_gone", "the client went away while it waited")
        return self.quoter.in_force.stopped(call.tenant, call.labels)

    async def _ask_each(self, call: Call, quote: Quote, account: Account) -> Reply:
        """Ask the provider, then each fall-back while it fails; all inside the one hold."""
        served = call
        for offer in quote.offers:
            if offer.target is not None:
                account.turn_to(offer)
                served = call.towards(offer.target)
            reply = await self._ask(served, account, is_last=offer is quote.offers[-1])
            if reply is not None:
                return reply
        raise AssertionError("what the last provider says is the reply")

    async def _ask(self, call: Call, account: Account, *, is_last: bool) -> Reply | None:
        """Ask one provider, and by its setting again where it failed; None when the next one is to be asked."""
        left = call.provider.attempts
        is_adjusted = False
        while True:
            left -= 1
            try:
                answer = await self._sent(call, account)
            except UpstreamFailed as error:
                if (left > 0 or not is_last) and await account.again(is_billed=error.is_sent):
                    if left > 0:
                        continue
                    return None
                return await self._failed(call, account, error)
            if answer is None:
                return await self._ended(call, account)
            if answer.status < 300:
                return await self._answered(call, account, answer)
            refused = await self._refused_body(answer)
            is_free = answer.status in NEVER_BILLED or call.wire.is_provider_error(answer.status, refused)
            if is_free and not is_adjusted and _adjust(call, account, answer.status, refused):
                is_adjusted, left = True, left + 1
                continue
            is_same = answer.status >= 500 and left > 0
            is_next = not is_last and (answer.status >= 500 or answer.status in BUSY)
            if (is_same or is_next) and await account.again(is_billed=not is_free):
                if is_same:
                    continue
                return None
            return await self._refused(call, account, answer, refused, is_billed=not is_free)

    def _sent(self, call: Call, account: Account) -> Awaitable[Answering | None]:
        """Send, and wait for the head of the answer; None when the money ended before it came."""
        provider, wire, machine = call.provider, call.wire, account.machine
        body = wire.encode(call.request, model=call.model, cap=machine.cap)
        headers = authorize(call.headers, provider, wire.name)
        if failpoints.armed:
            failpoints.failpoint("before_send")
        machine.sent(self.accounts.clock())
        upstream = call.upstream or self.upstream
        assert upstream is not None, "a call brings a way to the provider along where the stage has none"
        sending = upstream.send(provider, "POST", call.path, headers, body)
        return self.patience.paid_for(account, sending, _abort)

    async def _refused(
        self, call: Call, account: Account, answer: Answering, refused: bytes, *, is_billed: bool
    ) -> Reply:
        """Hand the provider's refusal on."""
        await account.close_error(answer.status, is_billed=is_billed)
        if answer.status < 400:
            message = f"{call.provider.name} answered with a redirect, which is not followed"
            return refuse(call, Refusal(502, "upstream_failed", message, headers=dict(account.headers())))
        return Reply(answer.status, account.head(answer.headers), refused)

    async def _ended(self, call: Call, account: Account) -> Reply:
        """Tell that the money ended while the answer was awaited. What may have been generated is charged."""
        await account.lose(ended="cut")
        watch = account.watch
        run = watch.row if watch.is_over(self.accounts.clock()) else None
        refusal = refuse_unbegun(account.budgets, account.tightest) if run is None else refuse_overdue(run)
        return refuse(call, replace(refusal, headers=dict(account.headers())))

    async def _refused_body(self, answer: Answering) -> bytes:
        """Read an error. Time costs nothing here: behind the head of an error nothing is generated."""
        try:
            refused = await answer.body(self.answer_bytes_max)
        except (UpstreamFailed, TooLarge):
            answer.abort()
            return b""
        answer.finish()
        return refused

    async def _failed(self, call: Call, account: Account, error: UpstreamFailed) -> Reply:
        """Tell that there was no answer. What may have been sent stays counted: a retry would pay twice."""
        if error.is_sent:
            await account.lose()
        else:
            await account.close_error(0, is_billed=False)
        status = 504 if "within" in error.message else 502
        headers = dict(account.headers())
        if error.is_sent:
            headers["x-should-retry"] = "false"
        return refuse(call, Refusal(status, "upstream_failed", error.message, headers=headers))

    async def _answered(self, call: Call, account: Account, answer: Answering) -> Reply:
        request, wire, status = call.request, call.wire, answer.status
        if request.is_stream and _is_events(answer):
            return Reply(status, account.head(answer.headers), MeteredStream(call, account, answer))
        try:
            body = await self.patience.paid_for(account, answer.body(self.answer_bytes_max), bytes)
        except (UpstreamFailed, TooLarge) as error:
            answer.abort()
            failure = error if isinstance(error, UpstreamFailed) else UpstreamFailed(error.message, is_sent=True)
            return await self._failed(call, account, failure)
        if body is None:
            answer.abort()
            return await self._ended(call, account)
        answer.finish()
        if failpoints.armed:
            failpoints.failpoint("before_settle")
        told = wire.read_whole(request, body)
        if told is not None:
            await account.settle(told, status=status)
        elif wire.is_provider_error(status, body):
            await account.close_error(status, is_billed=False)
        else:
            await account.lose(status=status)
        return Reply(status, account.head(answer.headers), body)


def _trusting(quote: Quote, account: Account, error: StoreUnavailable) -> Granted:
    """Go on without a ledger that is down, where every budget of the call says so. Raises the error elsewhere."""
    if not quote.budgets or any(budget.on_store_down is Policy.DENY for budget in quote.budgets):
        raise error
    return account.trust()


def _abort(answer: Answering) -> None:
    answer.abort()


def _is_events(answer: Answering) -> bool:
    """Tell whether an answer streams. AWS has its own word for it."""
    kind = next((value for name, value in answer.headers if name.lower() == "content-type"), "")
    return "event-stream" in kind or "eventstream" in kind


def _adjust(call: Call, account: Account, status: int, refused: bytes) -> bool:
    """Lower the cap to what a refusal names: the model's maximum (and learn it), or what this call has room for."""
    maximum = call.wire.named_maximum(status, refused)
    if maximum is not None:
        return account.learn_maximum(maximum)
    room = call.wire.named_room(status, refused)
    return room is not None and account.lower_cap(room)
