"""Many calls in one transaction: what is written at its end is what each of them would have written alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.conformance.kit import call, charge, line, sums
from tests.conformance.test_threaded import House

from bursar.core.admission import Balance
from bursar.core.hold import State, Verb
from bursar.core.ledger import Closed, Granted, Refused
from bursar.errors import HoldConflict
from bursar.testing.clock import START_NS


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    opened = House(tmp_path / "ledger.db")
    yield opened
    await asyncio.to_thread(opened.store.stop)
    assert opened.ledger.verify() == []
    opened.ledger.close_store()


async def forgotten(house: House, *ids: str) -> None:
    """Hold these ids, and let the process forget that it did: as if another had."""
    for id_ in ids:
        assert isinstance(await house.store.reserve(call(line(limit=100), id=id_)), Granted)
    house.ledger._open_holds.clear()


async def test_an_id_that_is_held_already_gets_its_hold_again_and_its_neighbours_theirs(house: House) -> None:
    await forgotten(house, "old")
    work = [house.store.reserve(call(line(limit=100), id=id_)) for id_ in ("a", "old", "b", "a")]
    results = await house.together(*work)
    assert all(isinstance(each, Granted) for each in results)
    assert sums(house.ledger) == {("all", "", "requests"): Balance(held=3)}


async def test_an_id_of_another_call_is_refused_and_its_neighbours_are_held(house: House) -> None:
    await forgotten(house, "old")
    work = [
        house.store.reserve(call(line(limit=100), id=id_, tenant=tenant)) for id_, tenant in (("a", "t"), ("old", "t"))
    ]
    first, second = await house.together(*work)
    assert isinstance(first, Granted)
    assert isinstance(second, HoldConflict)


async def test_a_held_id_gets_its_hold_again_also_when_nothing_more_fits(house: House) -> None:
    await forgotten(house, *map(str, range(100)))
    results = await house.together(
        house.store.reserve(call(line(limit=100), id="new")), house.store.reserve(call(line(limit=100), id="7"))
    )
    assert isinstance(results[0], Refused)
    assert isinstance(results[1], Granted)


async def test_a_call_may_be_held_and_closed_in_one_transaction_and_its_balance_moves_once(house: House) -> None:
    await forgotten(house, "warm")
    results = await house.together(
        *(house.store.reserve(call(line(limit=100), id=id_)) for id_ in "abc"),
        house.store.close("b", Verb.SETTLE, START_NS, charge()),
        house.store.close("c", Verb.RELEASE, START_NS),
        house.store.close("b", Verb.SETTLE, START_NS, charge()),
    )
    assert [type(each) for each in results] == [Granted] * 3 + [Closed] * 3
    assert not results[5].is_change
    assert sums(house.ledger) == {("all", "", "requests"): Balance(settled=1, held=2)}
    assert house.ledger.hold("default", "c").state is State.RELEASED
    moved = [text for text in house.statements if text.startswith("UPDATE balance")]
    assert len(moved) <= 2, "once for all that was decided before the first row was read again, and once for the rest"


async def test_a_balance_that_is_not_what_was_read_stops_the_whole_transaction(house: House) -> None:
    await forgotten(house, "warm")
    with house.ledger._lock:
        for remembered in house.ledger._sums.values():
            remembered[:6] = [0, 0, 5] * 2
    results = await house.together(*(house.store.reserve(call(line(limit=100), id=id_)) for id_ in "ab"))
    # What was remembered wrongly is forgotten with the transaction; each is then done by itself, on what is there.
    assert all(isinstance(each, Granted) for each in results)
    assert sums(house.ledger) == {("all", "", "requests"): Balance(held=3)}
