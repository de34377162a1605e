"""The metered call as a state machine: events in, commands out, no I/O.

Owns what may be sent and when a stream must be extended or cut. Drivers (gateway, sync and async clients) feed it
what happened and do what it says; it never sees a socket, a store or a clock.

What has been generated is the larger of what is visible and elapsed time × the provider's top speed, because reasoning
is billed unseen. Where no top speed is known nothing bounds a burst, so the cap that is sent is the cap that is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bursar.core.hold import Verb
from bursar.core.value import value
from bursar.core.window import FOREVER_NS, NS

__all__ = ["Close", "Cut", "Extend", "MeteredCall", "Phase", "Terms"]

OVERRUN = 4
"""A provider that shows this many times its cap does not honour it: the stream is cut (bytes only estimate tokens)."""
OVERRUN_SLACK = 1024
SPEED_UNKNOWN = 300
"""Tokens per second that are assumed after the fact, where no top speed is known."""


class Phase(StrEnum):
    ASKED = "asked"
    HELD = "held"
    SENT = "sent"
    CUT = "cut"
    CLOSED = "closed"


_ASKED, _HELD, _SENT, _CUT, _CLOSED = Phase
"""Names of their own: an enum finds its members in Python, and every step of a call asks for some."""


@value
class Terms:
    """What a call is planned with. Tokens are output tokens per choice."""

    usual: int
    """U, the usual answer."""
    cap_most: int | None
    """The smaller of the client's cap and the model's maximum; None when neither is known and nothing limits it."""
    is_extendable: bool
    """A stream whose cap may be above what is held, since a top speed is known."""
    top_speed: int | None
    """Tokens per second and choice that this provider never exceeds; None when unknown."""
    choices: int = 1
    is_strict: bool = False
    """A strict budget counts this call: nothing is estimated below what was held."""

    def __post_init__(self) -> None:
        if self.is_extendable and not self.top_speed:
            raise ValueError("only a known top speed makes a stream extendable")


@value
class Extend:
    """Ask the store to cover more: between `at_least` and `at_most` tokens in all."""

    at_least: int
    at_most: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Stop reading and end the client's stream as its API ends an answer that reached its cap."""


@value
class Close:
    """End the hold by this verb. For settle without the provider's word, `tokens` is the upper estimate per choice."""

    verb: Verb
    tokens: int = 0


class MeteredCall:
    """One call from grant to close. Tokens are per choice; instants are nanoseconds of a clock that never runs back."""

    __slots__ = ("_calm_ns", "_calm_visible", "_retry_from", "_sent_ns", "_visible", "cap", "phase", "terms", "tokens")

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.phase = _ASKED
        self.tokens = self._sent_ns = self._visible = self._retry_from = self._calm_ns = 0
        self.cap: int | None = None
        """The output cap to send; None: as the client wrote it, since nothing is held against it."""
        self._calm_visible = -1

    def granted(self, tokens: int, room: int) -> int | None:
        """Take the store's grant and fix the cap: what is held, or for an extendable stream what there is room for."""
        assert self.phase is _ASKED and 0 <= tokens <= room
        self.phase, self.tokens = _HELD, tokens
        self.cap = tokens
        if self.terms.is_extendable:
            most = self.terms.cap_most
            self.cap = room if most is None else min(room, most)
        return self.cap

    def uncap(self) -> None:
        """Leave the client's cap as it is: no limit on output stands behind this grant."""
        assert self.phase is _HELD
        self.cap = None

    def lower_cap(self, maximum: int) -> bool:
        """Take the model's true maximum from its refusal; True when another attempt with it makes sense."""
        self.unsent()
        if maximum < 1 or (self.cap is not None and maximum >= self.cap):
            return False
        self.cap = maximum
        return True

    def bound_cap(self, maximum: int) -> None:
        """Ask for no more than another provider's model gives, before it is asked; without a cap none is added."""
        assert self.phase is _HELD
        if self.cap is not None:
            self.cap = min(self.cap, maximum)

    def sent(self, at_ns: int) -> None:
        """Note that the request may have reached the provider from now on."""
        assert self.phase is _HELD
        self.phase, self._sent_ns = _SENT, at_ns
        self._calm_visible = -1

    def unsent(self) -> None:
        """Note that this attempt was refused before any output; another may be sent inside the same hold."""
        assert self.phase is _SENT
        self.phase = _HELD

    def retried(self, tokens: int) -> None:
        """Begin another attempt inside the same hold with this much covered for it."""
        self.unsent()
        self.tokens = tokens
        if self.cap is not None:
            self.cap = min(self.cap, tokens)

    def see(self, visible: int) -> None:
        """Note what is visible (tokens over all choices) without asking for more."""
        self._visible = visible

    @property
    def _shown(self) -> int:
        """What is visible, per choice. Text only estimates tokens: it passes the cap only where it proves that much."""
        shown = -(-self._visible // self.terms.choices)
        return shown if self.cap is None or self._is_overrun(self.cap) else min(shown, self.cap)

    def _is_overrun(self, cap: int) -> bool:
        return self._visible > OVERRUN * cap * self.terms.choices + OVERRUN_SLACK

    def generated(self, at_ns: int) -> int:
        """Say how many tokens per choice may have been generated by now, never more than the cap."""
        shown = self._shown
        if self.terms.top_speed is None:
            most = self.cap if self.cap is not None else shown
            return max(most, shown)
        by_time = -(-(at_ns - self._sent_ns) * self.terms.top_speed // NS)
        generated = max(shown, by_time)
        return generated if self.cap is None else min(generated, max(self.cap, shown))

    def progress(self, visible: int, at_ns: int) -> Extend | Cut | None:
        """Take what is visible so far (tokens over all choices); called for bytes and for ticks alike."""
        assert self.phase is _SENT
        self.see(visible)
        if self.cap is None:
            return None
        if self._is_overrun(self.cap):
            self.phase = _CUT
            return Cut()
        if self.tokens >= self.cap:
            self._calm_visible, self._calm_ns = OVERRUN * self.cap * self.terms.choices, FOREVER_NS
            return None
        generated = self.generated(at_ns)
        if self.tokens - generated >= 2 * self._reserve or generated < self._retry_from:
            self._calm_down()
            return None
        return Extend(self.tokens + 1, min(self.cap, self.tokens + self.terms.usual))

    def is_calm(self, visible: int, at_ns: int) -> bool:
        """Take what is visible so far; True when `progress` would do nothing. Each piece of a stream asks this."""
        self._visible = visible
        return visible <= self._calm_visible and at_ns <= self._calm_ns

    def _calm_down(self) -> None:
        """Remember up to which text and which instant nothing is due, as long as nothing else changes."""
        assert self.cap is not None and self.terms.top_speed is not None
        least = self.tokens - 2 * self._reserve
        self._calm_visible = min(least, self.cap) * self.terms.choices
        self._calm_ns = self._sent_ns + least * NS // self.terms.top_speed

    def _stir(self) -> None:
        """Forget it: something changed."""
        self._calm_visible = -1

    def cut(self) -> None:
        """End the answer here for another reason than money, as a refused extension does."""
        assert self.phase is _SENT
        self.phase = _CUT

    def extended(self, tokens: int, at_ns: int, *, is_granted: bool) -> Cut | None:
        """Take the store's answer to an extension.

        It is asked for while half a usual answer is unspent. Refused, it is asked for again as the stream goes on,
        since money in flight comes back, until a quarter is unspent: that is left for what the provider runs ahead.
        """
        self._stir()
        if is_granted:
            self.tokens, self._retry_from = tokens, 0
            return None
        generated = self.generated(at_ns)
        if self.tokens - generated > self._reserve:
            self._retry_from = min(generated + max(1, self.terms.usual // 16), self.tokens - self._reserve)
            return None
        self.phase = _CUT
        return Cut()

    @property
    def _reserve(self) -> int:
        return max(1, self.terms.usual // 4)

    def tick_ns(self) -> int | None:
        """Give the instant at which time alone makes an extension due; None when it never does."""
        speed = self.terms.top_speed
        if self.phase is not _SENT or self.cap is None or self.tokens >= self.cap or not speed:
            return None
        due = max(self.tokens - 2 * self._reserve + 1, self._retry_from)
        # The first nanosecond at which time, rounded up, has generated that much; a moment earlier nothing is due yet.
        return self._sent_ns + ((due - 1) * NS // speed + 1 if due > 0 else 0)

    def lost(self, at_ns: int, *, is_streaming: bool) -> Close:
        """End without the provider's last word. Never sent is released; sent is presumed in full.

        Of a stream that had begun, what may have been generated by now is charged, and a quarter of a usual answer
        that the provider may run ahead before it notices; that is never more than is held.
        """
        assert self.phase is not _CLOSED, "a call is closed once"
        was, self.phase = self.phase, _CLOSED
        if was in (_ASKED, _HELD):
            return Close(Verb.RELEASE)
        if was is _CUT or (is_streaming and self.terms.top_speed is not None):
            most = max(self.tokens, self._shown)
            return Close(Verb.SETTLE, min(most, self.generated(at_ns) + self._reserve))
        return Close(Verb.PRESUME)

    def answered(self) -> None:
        """End with the provider's word: what it told is what is settled."""
        assert self.phase in (_SENT, _CUT)
        self.phase = _CLOSED

    def ended(self, at_ns: int) -> Close:
        """End without the provider's word, with an end that its API calls normal.

        `tokens` is what is visible or what may have been generated unseen in the time, never more than the cap; a
        strict budget counts all that was held.
        """
        assert self.phase in (_SENT, _CUT)
        self.phase = _CLOSED
        shown = self._shown
        speed = self.terms.top_speed or SPEED_UNKNOWN
        unseen = self.tokens if self.terms.is_strict else -(-(at_ns - self._sent_ns) * speed // NS)
        most = self.tokens if self.cap is None else self.cap
        return Close(Verb.SETTLE, max(shown, min(unseen, most)))

    def refused(self) -> Close:
        """End because the provider refused before any output: nothing was billed."""
        assert self.phase in (_HELD, _SENT), "a call is closed once"
        self.phase = _CLOSED
        return Close(Verb.RELEASE)
