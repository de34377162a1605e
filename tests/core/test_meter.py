"""The metered call: what is held covers what may have been generated, and a call is closed exactly once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bursar.core.hold import Verb
from bursar.core.meter import OVERRUN, OVERRUN_SLACK, Close, Cut, Extend, MeteredCall, Phase, Terms
from bursar.core.window import NS

STREAM = Terms(usual=400, cap_most=10_000, is_extendable=True, top_speed=100)
SENT_NS = 5 * NS


def sent(terms: Terms = STREAM, tokens: int = 400, room: int = 5_000) -> MeteredCall:
    machine = MeteredCall(terms)
    machine.granted(tokens, room)
    machine.sent(SENT_NS)
    return machine


def test_a_stream_is_sent_with_the_cap_that_there_is_room_for() -> None:
    assert MeteredCall(STREAM).granted(400, 5_000) == 5_000
    assert MeteredCall(STREAM).granted(400, 50_000) == 10_000
    unknown = Terms(400, None, is_extendable=True, top_speed=100)
    assert MeteredCall(unknown).granted(400, 50_000) == 50_000


def test_a_whole_answer_is_sent_with_the_cap_that_is_held() -> None:
    whole = Terms(400, 10_000, is_extendable=False, top_speed=100)
    assert MeteredCall(whole).granted(400, 5_000) == 400


def test_only_a_known_top_speed_makes_a_stream_extendable() -> None:
    with pytest.raises(ValueError, match="top speed"):
        Terms(400, None, is_extendable=True, top_speed=None)


@pytest.mark.parametrize("visible", [0, 100, 199, 200])
def test_nothing_is_asked_while_half_a_usual_answer_is_unspent(visible: int) -> None:
    assert sent().progress(visible, SENT_NS) is None


def test_more_is_asked_for_by_what_is_visible_before_less_than_a_quarter_is_unspent() -> None:
    assert sent().progress(201, SENT_NS) == Extend(401, 800)


def test_more_is_asked_for_by_time_alone_since_reasoning_is_billed_unseen() -> None:
    machine = sent()
    assert machine.progress(0, SENT_NS + 2 * NS) is None
    assert machine.progress(0, SENT_NS + 2 * NS + 1) == Extend(401, 800)


def test_visible_tokens_of_several_choices_are_shared_out() -> None:
    machine = sent(Terms(400, 10_000, is_extendable=True, top_speed=100, choices=2))
    assert machine.progress(400, SENT_NS) is None
    assert machine.progress(401, SENT_NS) == Extend(401, 800)


def test_no_more_is_asked_for_than_the_cap() -> None:
    machine = sent(room=500)
    assert machine.progress(300, SENT_NS) == Extend(401, 500)
    machine.extended(500, SENT_NS, is_granted=True)
    assert machine.progress(499, SENT_NS + 60 * NS) is None
    assert machine.tick_ns() is None


@pytest.mark.parametrize("speed", [1, 3, 7, 100, 333, 10**9, 3 * 10**9])
@pytest.mark.parametrize("tokens", [100, 199, 200, 201, 400, 1234])
def test_the_tick_is_the_first_instant_at_which_something_is_due(speed: int, tokens: int) -> None:
    machine = sent(Terms(400, None, is_extendable=True, top_speed=speed), tokens=tokens)
    due = machine.tick_ns()
    assert due is not None
    assert isinstance(machine.progress(0, due), Extend)
    if due > SENT_NS:
        assert machine.progress(0, due - 1) is None


def test_a_refused_extension_is_asked_for_again_and_ends_in_a_cut_with_a_quarter_unspent() -> None:
    machine, asked = sent(), []
    for visible in range(401):
        command = machine.progress(visible, SENT_NS)
        if isinstance(command, Extend):
            asked.append(visible)
            if isinstance(machine.extended(400, SENT_NS, is_granted=False), Cut):
                break
    assert asked == [201, 226, 251, 276, 300]
    assert machine.phase is Phase.CUT
    assert machine.lost(SENT_NS, is_streaming=True) == Close(Verb.SETTLE, 400)


def test_a_refusal_moves_the_tick_on() -> None:
    machine = sent()
    due = machine.tick_ns()
    assert due is not None
    assert isinstance(machine.progress(0, due), Extend)
    machine.extended(400, due, is_granted=False)
    later = machine.tick_ns()
    assert later is not None
    assert later > due
    assert machine.progress(0, later - 1) is None
    assert isinstance(machine.progress(0, later), Extend)


def test_a_provider_that_ignores_its_cap_is_cut() -> None:
    machine = sent(room=400)
    most = OVERRUN * 400 + OVERRUN_SLACK
    assert machine.progress(most, SENT_NS) is None
    assert machine.progress(most + 1, SENT_NS) == Cut()
    assert machine.lost(SENT_NS, is_streaming=True).tokens == most + 1, "what was seen is charged"


def test_what_was_never_sent_is_released() -> None:
    assert MeteredCall(STREAM).lost(0, is_streaming=False) == Close(Verb.RELEASE)
    machine = sent()
    machine.unsent()
    assert machine.lost(SENT_NS, is_streaming=False) == Close(Verb.RELEASE)


def test_a_whole_answer_that_is_lost_is_presumed_in_full() -> None:
    assert sent().lost(SENT_NS + NS, is_streaming=False) == Close(Verb.PRESUME)


def test_a_stream_that_is_lost_is_charged_what_may_have_been_generated_and_a_quarter() -> None:
    assert sent().lost(SENT_NS + NS, is_streaming=True) == Close(Verb.SETTLE, 100 + 100)
    assert sent().lost(SENT_NS + 60 * NS, is_streaming=True) == Close(Verb.SETTLE, 400), "never more than is held"


def test_a_stream_of_unknown_speed_that_is_lost_is_presumed() -> None:
    machine = sent(Terms(400, None, is_extendable=False, top_speed=None))
    assert machine.progress(100, SENT_NS) is None
    assert machine.lost(SENT_NS + NS, is_streaming=True) == Close(Verb.PRESUME)


def test_an_end_is_settled_with_what_was_visible() -> None:
    machine = sent(Terms(400, 1000, is_extendable=True, top_speed=100, choices=3))
    machine.see(100)
    assert machine.ended(SENT_NS) == Close(Verb.SETTLE, 34)


@pytest.mark.parametrize("is_strict", [False, True])
@pytest.mark.parametrize("top_speed", [None, 100])
def test_an_estimate_from_text_never_passes_the_cap_that_the_provider_was_given(
    top_speed: int | None, is_strict: bool
) -> None:
    terms = Terms(400, 500, is_extendable=False, top_speed=top_speed, choices=2, is_strict=is_strict)
    for visible in (1_068, OVERRUN * 500 * 2 + OVERRUN_SLACK):
        machine = sent(terms, tokens=500, room=500)
        machine.see(visible)
        assert machine.generated(SENT_NS) == 500
        assert machine.ended(SENT_NS) == Close(Verb.SETTLE, 500)
        machine = sent(terms, tokens=500, room=500)
        machine.phase = Phase.CUT
        machine.see(visible)
        assert machine.lost(SENT_NS, is_streaming=True) == Close(Verb.SETTLE, 500)


def test_what_is_visible_is_charged_where_it_proves_that_the_cap_was_not_kept() -> None:
    machine = sent(Terms(400, 500, is_extendable=False, top_speed=None), tokens=500, room=500)
    machine.see(OVERRUN * 500 + OVERRUN_SLACK + 1)
    assert machine.ended(SENT_NS) == Close(Verb.SETTLE, OVERRUN * 500 + OVERRUN_SLACK + 1)


def test_a_learnt_maximum_lowers_the_cap_once() -> None:
    machine = sent()
    assert machine.lower_cap(4_096)
    machine.sent(SENT_NS)
    assert machine.cap == 4_096
    assert not machine.lower_cap(4_096)
    machine.sent(SENT_NS)
    assert not machine.lower_cap(0)


def test_without_a_limit_on_output_the_clients_cap_stays() -> None:
    machine = MeteredCall(STREAM)
    machine.granted(400, 2**53)
    machine.uncap()
    machine.sent(SENT_NS)
    assert machine.cap is None
    assert machine.progress(10**6, SENT_NS + 3600 * NS) is None
    assert machine.tick_ns() is None


@pytest.mark.parametrize("first", ["lost", "ended", "refused"])
@pytest.mark.parametrize("second", ["lost", "ended", "refused"])
def test_a_call_is_closed_once(first: str, second: str) -> None:
    machine = sent()
    ends = {
        "lost": lambda: machine.lost(SENT_NS, is_streaming=True),
        "ended": lambda: machine.ended(SENT_NS),
        "refused": machine.refused,
    }
    ends[first]()
    with pytest.raises(AssertionError):
        ends[second]()


class Streaming(RuleBasedStateMachine):
    """A driver that looks whenever the machine says so, a store that grants what it likes, and a provider that
    generates unseen at any speed up to its top speed, never above the cap it was sent."""

    @initialize(
        usual=st.integers(1, 3000),
        speed=st.integers(1, 2000),
        choices=st.integers(1, 3),
        cap_most=st.one_of(st.none(), st.integers(1, 9000)),
        data=st.data(),
    )
    def begin(self, usual: int, speed: int, choices: int, cap_most: int | None, data: st.DataObject) -> None:
        usual = usual if cap_most is None else min(usual, cap_most)
        self.machine = MeteredCall(Terms(usual, cap_most, is_extendable=True, top_speed=speed, choices=choices))
        self.speed, self.choices = speed, choices
        self.room = data.draw(st.integers(usual, usual + 20_000))
        cap = self.machine.granted(usual, self.room)
        assert cap is not None
        self.cap = cap
        self.now = SENT_NS
        self.machine.sent(SENT_NS)
        self.generated = 0
        self.visible = 0
        self.closes: list[Close] = []

    @property
    def may_have_been_generated(self) -> int:
        return min(self.cap, (self.now - SENT_NS) * self.speed // NS)

    def look(self, data: st.DataObject) -> None:
        """Do what a driver does: progress, and every extension that it asks for."""
        command = self.machine.progress(self.visible, self.now)
        for _ in range(100):
            if not isinstance(command, Extend):
                return
            assert self.machine.tokens < command.at_least <= command.at_most <= self.cap
            is_granted = data.draw(st.booleans())
            tokens = data.draw(st.integers(command.at_least, command.at_most)) if is_granted else self.machine.tokens
            stop = self.machine.extended(tokens, self.now, is_granted=is_granted)
            command = stop or self.machine.progress(self.visible, self.now)
        raise AssertionError("the machine asks without end")

    @precondition(lambda self: self.machine.phase is Phase.SENT)
    @rule(wait_ns=st.integers(0, 20 * NS), data=st.data(), pace=st.integers(0, 100))
    def time_passes(self, wait_ns: int, data: st.DataObject, pace: int) -> None:
        ends = self.now + wait_ns
        for _ in range(200):
            due = self.machine.tick_ns()
            if due is None or due > ends or self.machine.phase is not Phase.SENT:
                break
            assert due > self.now or self.now == SENT_NS, "no tick comes twice"
            self.now = max(self.now, due)
            self.generated = max(self.generated, self.may_have_been_generated * pace // 100)
            self.look(data)
            self.held_is_enough()
        else:
            ends = self.now
        if self.machine.phase is Phase.SENT:
            self.now = ends
            self.generated = max(self.generated, self.may_have_been_generated * pace // 100)

    @precondition(lambda self: self.machine.phase is Phase.SENT)
    @rule(part=st.integers(0, 100), data=st.data())
    def bytes_come(self, part: int, data: st.DataObject) -> None:
        self.visible = max(self.visible, self.generated * part // 100 * self.choices)
        self.look(data)

    @invariant()
    def held_is_enough(self) -> None:
        """What is held covers what may have been generated, at every moment up to the cut."""
        if hasattr(self, "machine") and self.machine.phase in (Phase.SENT, Phase.CUT):
            assert self.machine.tokens >= min(self.cap, self.may_have_been_generated) >= self.generated

    @precondition(lambda self: self.machine.phase in (Phase.SENT, Phase.CUT))
    @rule(how=st.sampled_from(["ended", "lost"]))
    def end(self, how: str) -> None:
        held = self.machine.tokens
        close = self.machine.ended(self.now) if how == "ended" else self.machine.lost(self.now, is_streaming=True)
        self.closes.append(close)
        assert len(self.closes) == 1
        assert close.verb is Verb.SETTLE
        assert close.tokens <= held
        if how == "lost":
            assert close.tokens >= self.generated, "the upper estimate is never below the truth"

    @precondition(lambda self: self.machine.phase is Phase.CLOSED)
    @rule()
    def nothing_follows_a_close(self) -> None:
        ends: tuple[Callable[[], object], ...] = (
            lambda: self.machine.ended(self.now),
            self.machine.refused,
            lambda: self.machine.lost(self.now, is_streaming=True),
        )
        for end in ends:
            with pytest.raises(AssertionError):
                end()
        assert len(self.closes) == 1


Streaming.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestStreaming = Streaming.TestCase


@given(
    usual=st.integers(1, 5_000),
    room=st.integers(0, 20_000),
    choices=st.integers(1, 3),
    speed=st.sampled_from([None, 1, 100, 300]),
    steps=st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 5 * NS), st.booleans()), max_size=30),
)
def test_what_is_calm_needs_nothing_done(
    usual: int, room: int, choices: int, speed: int | None, steps: list[tuple[int, int, bool]]
) -> None:
    terms = Terms(usual, None, speed is not None, speed, choices)
    quick, thorough = MeteredCall(terms), MeteredCall(terms)
    for machine in (quick, thorough):
        machine.granted(min(usual, usual + room), usual + room)
        machine.sent(7)
    visible, at_ns = 0, 7
    for more, later_ns, is_granted in steps:
        visible, at_ns = visible + more, at_ns + later_ns
        command = None if quick.is_calm(visible, at_ns) else quick.progress(visible, at_ns)
        assert command == thorough.progress(visible, at_ns)
        if isinstance(command, Extend):
            tokens = command.at_most if is_granted else quick.tokens
            command = quick.extended(tokens, at_ns, is_granted=is_granted)
            assert command == thorough.extended(tokens, at_ns, is_granted=is_granted)
        if isinstance(command, Cut):
            break
    assert quick.lost(at_ns, is_streaming=True) == thorough.lost(at_ns, is_streaming=True)
