"""What a store tells: calls, spend, processes, the latest instant; each tenant its own."""

from __future__ import annotations

import pytest
from tests.conformance.kit import DAY_NS, Ledger, call, charge, cost, line, sums

from bursar.core.admission import Balance, Cover
from bursar.core.budget import Unit
from bursar.core.charge import FLAGS, Amounts, Charge
from bursar.core.hold import State, Verb
from bursar.core.ledger import LAPSE_MAX, LAST_PLACE, Note, ProcessRow, SpendQuery, SpendRow
from bursar.errors import NotFound
from bursar.testing.clock import START_NS

NOTE = Note(10, 20, 30, 40, 200, "complete", 1234, 4096, "shape")


def test_a_call_is_read_as_it_was_written(ledger: Ledger) -> None:
    labels = {"agent": 'co"der', "user": "ädä, =\\", "tag.env": "日本", "model": "m"}
    ledger.reserve(call(line(), id="a", cover=Cover(5000, 10, 7, 2), labels=labels, process="host:1:2"))
    row = ledger.hold("default", "a")
    assert (row.id, row.tenant, row.process, row.state) == ("a", "default", "host:1:2", State.OPEN)
    assert (row.opened_ns, row.closed_ns, dict(row.labels)) == (START_NS, 0, labels)
    assert (row.held, row.settled, row.flags, row.price, row.note) == (
        Amounts(5, 7, 0, 0, 0, 0, 1),
        Amounts(),
        frozenset(),
        "",
        Note(),
    )
    truth = Charge(Amounts(1, 2, 3, 4, 5, 6, 7), frozenset(FLAGS), "list 9")
    ledger.close("a", Verb.SETTLE, START_NS + 9, truth, NOTE)
    row = ledger.hold("default", "a")
    assert (row.state, row.closed_ns, row.settled, row.price) == (State.SETTLED, START_NS + 9, truth.amounts, "list 9")
    assert row.flags == set(FLAGS)
    assert row.note == NOTE


def test_a_late_close_without_a_note_keeps_the_first(ledger: Ledger) -> None:
    ledger.reserve(call(line(), id="a"))
    ledger.close("a", Verb.PRESUME, START_NS, note=NOTE)
    ledger.close("a", Verb.SETTLE, START_NS, charge())
    assert ledger.hold("default", "a").note == NOTE
    assert ledger.hold("default", "a").flags == {"estimated"}


def test_tenants_are_those_that_have_calls_whatever_became_of_them(ledger: Ledger) -> None:
    assert list(ledger.tenants()) == []
    for tenant, verb in (("rival", None), ("acme", Verb.RELEASE), ("acme", Verb.PRESUME)):
        hold_id = f"{tenant}-{verb}"
        ledger.reserve(call(line(), id=hold_id, tenant=tenant))
        if verb is not None:
            ledger.close(hold_id, verb, START_NS)
    assert list(ledger.tenants()) == ["acme", "rival"]


def test_the_calls_of_a_run_are_listed_first_first_and_no_other(ledger: Ledger) -> None:
    for number, (tenant, run) in enumerate(
        [("default", "r"), ("default", "r2"), ("rival", "r"), ("default", "r"), ("default", "r")]
    ):
        labels = {"run": run, "tag.run": "r", "agent": '"run":"r"'}
        ledger.reserve(call(line(), id=f"c{number}", tenant=tenant, at_ns=START_NS + 9 - number, labels=labels))
    ledger.reserve(call(line(), id="none", labels={"agent": "r"}))
    ledger.close("c3", Verb.RELEASE, START_NS + 9)

    def listed(since_ns: int, until_ns: int, most: int) -> list[str]:
        return [row.id for row in ledger.run_calls("default", "r", since_ns, until_ns, most)]

    assert listed(0, START_NS + 10, 9) == ["c4", "c3", "c0"]
    assert listed(0, START_NS + 10, 2) == ["c4", "c3"]
    assert listed(START_NS + 6, START_NS + 9, 9) == ["c3"]
    for nothing in ("", "(none)", "(other)"):
        assert list(ledger.run_calls("default", nothing, 0, START_NS + 10, 9)) == []


def test_no_tenant_sees_anything_of_another(ledger: Ledger) -> None:
    """P8: not even that it exists."""
    ledger.reserve(call(line(), id="mine"))
    ledger.reserve(call(line(), id="theirs", tenant="rival", cover=cost(5)))
    ledger.close("theirs", Verb.SETTLE, START_NS, charge(5))
    assert [row.id for row in ledger.holds("default", tuple(State), 10)] == ["mine"]
    assert sums(ledger) == {("all", "", "requests"): Balance(held=1)}
    assert sums(ledger, "rival") == {("all", "", "requests"): Balance(settled=1)}
    assert ledger.spend(SpendQuery("default", (), 0, 2**62)) == []
    messages = []
    for unseen in ("theirs", "nobody"):
        with pytest.raises(NotFound) as caught:
            ledger.hold("default", unseen)
        messages.append(caught.value.message.replace(unseen, "x"))
    assert messages[0] == messages[1]


def test_calls_are_listed_by_state_the_latest_first_and_no_more_than_asked_for(ledger: Ledger) -> None:
    for number in range(6):
        ledger.reserve(call(line(), id=f"c{number}", at_ns=START_NS + number // 2))
    ledger.close("c4", Verb.RELEASE, START_NS)
    ledger.close("c1", Verb.PRESUME, START_NS)
    assert [row.id for row in ledger.holds("default", (State.OPEN,), 3)] == ["c5", "c3", "c2"]
    assert [row.id for row in ledger.holds("default", (State.RELEASED, State.PRESUMED), 9)] == ["c4", "c1"]
    assert ledger.holds("default", (), 9) == []


def test_calls_are_paged_by_the_instant_and_the_id_of_the_last_one(ledger: Ledger) -> None:
    for number in range(6):
        ledger.reserve(call(line(), id=f"c{number}", at_ns=START_NS + number // 3))
    ledger.reserve(call(line(), id="theirs", tenant="rival"))
    found: list[str] = []
    before = LAST_PLACE
    while page := ledger.holds("default", (State.OPEN,), 2, before):
        found += [row.id for row in page]
        before = (page[-1].opened_ns, page[-1].id)
    assert found == ["c5", "c4", "c3", "c2", "c1", "c0"]


def test_one_balance_is_read_by_its_line(ledger: Ledger) -> None:
    ledger.reserve(call(line(), line("other", limit=9), id="a"))
    assert ledger.balance("default", line()) == Balance(held=1)
    assert ledger.balance("rival", line()) == Balance()
    assert ledger.balance("default", line("never used")) == Balance()


def test_calls_in_flight_are_listed_the_oldest_first(ledger: Ledger) -> None:
    for id_, at_ns in (("b", START_NS + 1), ("c", START_NS + 1), ("a", START_NS + 2), ("done", START_NS)):
        ledger.reserve(call(line(), id=id_, at_ns=at_ns))
    ledger.close("done", Verb.SETTLE, START_NS + 9, charge())
    ledger.reserve(call(id="theirs", tenant="rival"))
    assert [row.id for row in ledger.in_flight("default", 9)] == ["b", "c", "a"]
    assert [row.id for row in ledger.in_flight("default", 2)] == ["b", "c"]


def test_calls_that_ended_in_a_time_are_listed_the_latest_first_and_a_corrected_one_again(ledger: Ledger) -> None:
    for number, verb in enumerate((Verb.SETTLE, Verb.RELEASE, Verb.PRESUME)):
        ledger.reserve(call(line(), id=f"c{number}"))
        ledger.close(f"c{number}", verb, START_NS + number, charge() if verb is Verb.SETTLE else None)
    ledger.reserve(call(line(), id="open"))
    ledger.reserve(call(id="theirs", tenant="rival"))
    ledger.close("theirs", Verb.RELEASE, START_NS + 1)

    def ended(since_ns: int, until_ns: int, most: int = 9) -> list[str]:
        return [row.id for row in ledger.ended("default", since_ns, until_ns, most)]

    assert ended(0, 2**62) == ["c2", "c1", "c0"]
    assert ended(0, 2**62, 2) == ["c2", "c1"]
    assert ended(START_NS + 1, START_NS + 2) == ["c1"]
    ledger.close("c0", Verb.CORRECT, START_NS + 5, charge())
    assert ended(0, 2**62) == ["c0", "c2", "c1"]


def test_spend_of_one_label_finds_every_value_as_it_was_written(ledger: Ledger) -> None:
    values = ('co"der', "ädä, =\\", "日本", "a%b_c", "session", '"agent":"x"', "(other)")
    for number, value in enumerate(values):
        ledger.reserve(call(id=f"c{number}", labels={"agent": value, "user": "x"}))
        ledger.close(f"c{number}", Verb.SETTLE, START_NS, charge(number + 1))
    for number, value in enumerate(values):
        (row,) = ledger.spend(SpendQuery("default", (), 0, 2**62, {"agent": value, "user": "x"}))
        assert (row.calls, row.settled.cost_nano) == (1, number + 1), value
    assert ledger.spend(SpendQuery("default", (), 0, 2**62, {"agent": "x"})) == []
    assert ledger.spend(SpendQuery("default", (), 0, 2**62, {"team": "(none)"}))[0].calls == len(values)


def test_spend_sums_settled_and_presumed_calls_by_labels_in_a_time(ledger: Ledger) -> None:
    def spent(id_: str, nano: int, at_ns: int, **labels: str) -> None:
        ledger.reserve(call(id=id_, cover=cost(100), at_ns=at_ns, labels={"model": "m", **labels}))
        ledger.close(id_, Verb.SETTLE, at_ns, charge(nano, tokens=nano))

    spent("early", 1, START_NS - 1, agent="a")
    spent("a1", 10, START_NS, agent="a")
    spent("a2", 20, START_NS + 5, agent="a")
    spent("b", 40, START_NS + 5, agent="b", team="x")
    spent("none", 80, START_NS + 5)
    spent("late", 1000, START_NS + DAY_NS, agent="a")
    ledger.reserve(call(id="presumed", cover=cost(100), labels={"agent": "a"}))
    ledger.close("presumed", Verb.PRESUME, START_NS)
    ledger.reserve(call(id="open", cover=cost(100), labels={"agent": "a"}))
    ledger.reserve(call(id="released", cover=cost(100), labels={"agent": "a"}))
    ledger.close("released", Verb.RELEASE, START_NS)

    rows = {row.values: row for row in ledger.spend(SpendQuery("default", ("agent",), START_NS, START_NS + DAY_NS))}
    assert rows == {
        ("a",): SpendRow(("a",), Amounts(30, 30, requests=2), Amounts(100, requests=1), 3),
        ("b",): SpendRow(("b",), Amounts(40, 40, requests=1), Amounts(), 1),
        ("(none)",): SpendRow(("(none)",), Amounts(80, 80, requests=1), Amounts(), 1),
    }
    only = SpendQuery("default", ("agent", "team"), START_NS, START_NS + DAY_NS, {"team": "x"})
    assert [row.values for row in ledger.spend(only)] == [("b", "x")]


def test_the_latest_instant_is_that_of_the_latest_call(ledger: Ledger) -> None:
    """R49: a clock that starts from it never gives a window a second time."""
    assert ledger.latest_ns() == 0
    ledger.reserve(call(at_ns=START_NS + 5))
    ledger.reserve(call(at_ns=START_NS))
    assert ledger.latest_ns() == START_NS + 5


def test_a_heartbeat_never_runs_back(ledger: Ledger) -> None:
    ledger.beat("p", 50)
    ledger.beat("p", 40)
    assert ledger.processes() == [ProcessRow("p", 50)]


def test_a_lapsed_process_leaves_presumed_calls_and_no_trace_of_itself(ledger: Ledger) -> None:
    usd = line("usd", 10_000, Unit.USD)
    ledger.beat("dead", START_NS)
    for number in range(3):
        ledger.reserve(call(usd, id=f"d{number}", cover=cost(10), process="dead"))
    ledger.reserve(call(usd, id="alive", cover=cost(10), process="alive"))
    ledger.close("d0", Verb.SETTLE, START_NS, charge(1))
    assert ledger.lapse("dead", START_NS) == 2
    assert sums(ledger)["usd", "", "usd"] == Balance(settled=1, presumed=20, held=10)
    assert ledger.lapse("dead", START_NS) == 0
    assert ledger.processes() == [ProcessRow("alive", 0)]
    closed = ledger.close("d1", Verb.SETTLE, START_NS, charge(2))
    assert closed.balances == (Balance(settled=3, presumed=10, held=10),), "a late truth is accepted"


def test_a_process_that_never_beat_is_known_by_its_open_calls(ledger: Ledger) -> None:
    ledger.reserve(call(id="a", process="mute"))
    assert ledger.processes() == [ProcessRow("mute", 0)]
    ledger.close("a", Verb.RELEASE, START_NS)
    assert ledger.processes() == []


def test_lapsing_goes_in_bounded_steps_until_none_is_left(ledger: Ledger) -> None:
    ledger.beat("dead", START_NS)
    for number in range(LAPSE_MAX + 3):
        ledger.reserve(call(line(limit=10_000), id=f"{number:04}", process="dead"))
    assert ledger.lapse("dead", START_NS) == LAPSE_MAX
    assert ledger.processes() == [ProcessRow("dead", START_NS)], "it stays until nothing is left of it"
    assert ledger.lapse("dead", START_NS) == 3
    assert ledger.processes() == []
    assert sums(ledger)["all", "", "requests"] == Balance(presumed=LAPSE_MAX + 3)
