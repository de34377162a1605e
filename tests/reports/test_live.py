"""A live snapshot: what ended lately, what is in flight, each once, and the JSON in which it travels."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from tests.conformance.kit import call, charge, cost

from bursar.core.hold import Verb
from bursar.core.window import NS
from bursar.reports import watch as watching
from bursar.reports.live import Filling, Ranked, Snapshot, as_json, from_json
from bursar.reports.watch import Follower, Watch
from bursar.stores.memory import MemoryLedger
from bursar.testing.clock import START_NS

T = START_NS


def ended(ledger: MemoryLedger, id_: str, nano: int, at_ns: int, *, flags: Iterable[str] = (), **labels: str) -> None:
    """Record one settled call."""
    ledger.reserve(call(id=id_, cover=cost(1000), at_ns=at_ns - NS, labels={"model": "m", **labels}))
    ledger.close(id_, Verb.SETTLE, at_ns, charge(nano, tokens=nano, flags=flags))


def watch(ledger: MemoryLedger, fillings: Iterable[Filling] = ()) -> Watch:
    return Watch(ledger, "default", lambda _: list(fillings))


def test_a_rate_counts_what_ended_in_its_time_and_nothing_else() -> None:
    ledger = MemoryLedger()
    for id_, nano, seconds_ago in (("a", 1, 10), ("b", 20, 59), ("c", 300, 61), ("d", 4000, 299), ("e", 50000, 301)):
        ended(ledger, id_, nano, T - seconds_ago * NS)
    shot = watch(ledger).read(T)
    assert (shot.minute_nano, shot.five_minutes_nano) == (21, 4321)
    assert (shot.rate_nano, shot.rate_5_nano) == (21, 864)
    assert (shot.total.cost_nano, shot.total.calls) == (54321, 5)


def test_each_look_adds_what_is_new_once_and_drops_what_is_an_hour_old() -> None:
    ledger = MemoryLedger()
    looking = watch(ledger)
    ended(ledger, "a", 1, T, agent="x")
    assert looking.read(T).total.calls == 1
    assert looking.read(T + NS).total.calls == 1
    # Another process commits what it timed a little earlier.
    ended(ledger, "b", 2, T - 5 * NS, agent="y")
    assert [row.value for row in looking.read(T + 2 * NS).ranks["agent"]] == ["y", "x"]
    assert looking.read(T + 3596 * NS).ranks["agent"] == (Ranked("x", 1, 1, 1),)
    assert looking.read(T + 3601 * NS).total == Ranked("")


def test_a_correction_replaces_what_the_call_had_come_to_and_is_no_spending_of_this_minute() -> None:
    ledger = MemoryLedger()
    looking = watch(ledger)
    ended(ledger, "a", 500, T - 600 * NS, agent="x")
    looking.read(T)
    ledger.close("a", Verb.CORRECT, T + NS, charge(70))
    shot = looking.read(T + 2 * NS)
    assert (shot.total.cost_nano, shot.total.calls, shot.minute_nano) == (70, 1, 0)
    assert shot.ended[0].flags == ("corrected",)


def test_calls_in_flight_are_ranked_beside_what_was_spent_and_never_counted_as_spent() -> None:
    ledger = MemoryLedger()
    ended(ledger, "a", 5, T, agent="x", user="u")
    ledger.reserve(call(id="open", cover=cost(7), at_ns=T - 9 * NS, labels={"agent": "z"}))
    shot = watch(ledger).read(T)
    assert shot.ranks["agent"] == (Ranked("x", 1, 5, 5), Ranked("z", 0, 0, 0, 1, 7))
    assert [row.value for row in shot.ranks["user"]] == ["u", "(none)"]
    assert (shot.total.in_flight, shot.total.held_nano, shot.minute_nano) == (1, 7, 5)
    assert [(one.id, one.closed_ns, one.held_nano) for one in shot.in_flight] == [("open", 0, 7)]


def test_of_too_many_calls_the_latest_are_kept_and_the_snapshot_says_from_when(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "KEPT_MAX", 10)
    monkeypatch.setattr(watching, "PAGE", 3)
    ledger = MemoryLedger()
    for number in range(25):
        ended(ledger, f"c{number:02}", 1, T - (100 - number) * NS)
    looking = watch(ledger)
    shot = looking.read(T)
    assert (shot.total.calls, shot.since_ns) == (10, T - 85 * NS)
    ended(ledger, "new", 1, T + NS)
    assert looking.read(T + NS).total.calls == 10


def test_a_follower_gives_every_call_once_in_order_however_many_pages_they_fill(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "PAGE", 4)
    ledger = MemoryLedger()
    for number in range(9):
        ended(ledger, f"old{number}", 1, T + number // 3)
    follower = Follower(ledger, "default", 0)
    assert [row.id for row in follower.last(T + NS, 5)] == ["old4", "old5", "old6", "old7", "old8"]
    assert follower.new(T + NS) == []
    names = [f"n{number:02}" for number in range(11)]
    for number, name in enumerate(names):
        ended(ledger, name, 1, T + NS + number // 3)
    assert [row.id for row in follower.new(T + 2 * NS)] == names
    assert follower.new(T + 2 * NS) == []
    ledger.close("old0", Verb.CORRECT, T + 3 * NS, charge(9))
    assert [row.id for row in follower.new(T + 3 * NS)] == ["old0"]


def test_more_calls_of_one_instant_than_a_page_do_not_stop_a_follower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PAGE", 2)
    ledger = MemoryLedger()
    for number in range(7):
        ended(ledger, f"c{number}", 1, T)
    ended(ledger, "before", 1, T - NS)
    assert "before" in [row.id for row in Follower(ledger, "default", 0).new(T)]


def snapshot() -> Snapshot:
    ledger = MemoryLedger()
    ended(ledger, "a", 1_500_000_000, T, flags=("estimated",), agent='w"\x1b[2J日本', user="u")
    ledger.reserve(call(id="open", cover=cost(7), at_ns=T, labels={"agent": "z"}))
    filling = Filling("team", "user=u", "usd", 2 * 10**9, 15 * 10**8, 7, 75, "fine", 2**62)
    return watch(ledger, [filling]).read(T)


def test_a_snapshot_survives_its_json_whole() -> None:
    shot = snapshot()
    told = json.loads(json.dumps(as_json(shot)))
    assert from_json(told) == shot
    assert told["total"]["cost_usd"] == "1.50"
    assert told["budgets"][0]["limit_usd"] == "2.00"
    assert from_json({**told, "something": "newer"}) == shot


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("at_ns", "1"),
        ("at_ns", 1.5),
        ("at_ns", 2**64),
        ("minute_nano", True),
        ("total", None),
        ("ranks", []),
        ("in_flight", {}),
        ("in_flight", [{}]),
        ("ended", [None] * 20_000),
        ("budgets", [{"budget": 1}]),
    ],
)
def test_json_that_is_no_snapshot_is_refused(field: str, value: object) -> None:
    told = as_json(snapshot())
    with pytest.raises(ValueError):
        from_json({**told, field: value})
    with pytest.raises(ValueError):
        from_json(value)
