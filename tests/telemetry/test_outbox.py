"""Telling never waits for a receiver; what is lost is counted."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from tests.telemetry.records import record

from bursar.telemetry.outbox import Outbox
from bursar.telemetry.record import CallRecord


class Receiver:
    """A receiver that answers when it is let."""

    def __init__(self, *, has_arrived: bool = True) -> None:
        self.batches: list[Sequence[CallRecord]] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self._has_arrived = has_arrived

    def send(self, records: Sequence[CallRecord]) -> bool:
        self.begun.set()
        assert self.go_on.wait(20)
        self.batches.append(records)
        return self._has_arrived


def test_records_go_out_in_order_and_a_stop_waits_for_them() -> None:
    receiver = Receiver()
    receiver.go_on.set()
    outbox = Outbox(receiver.send, lambda: None, 2_000)
    for number in range(1_000):
        outbox.call_ended(record(id=str(number)))
    outbox.stop()
    assert [one.id for batch in receiver.batches for one in batch] == [str(number) for number in range(1_000)]
    assert outbox.dropped == 0


def test_a_receiver_that_hangs_holds_up_nobody_and_what_does_not_fit_is_counted() -> None:
    receiver = Receiver()
    outbox = Outbox(receiver.send, lambda: None, 10)
    outbox.call_ended(record(id="first"))
    assert receiver.begun.wait(20)
    for number in range(25):
        outbox.call_ended(record(id=str(number)))
    assert outbox.dropped == 15
    receiver.go_on.set()
    outbox.stop()
    assert sum(len(batch) for batch in receiver.batches) == 11


def test_what_a_receiver_refuses_is_counted_and_not_sent_again() -> None:
    receiver = Receiver(has_arrived=False)
    receiver.go_on.set()
    outbox = Outbox(receiver.send, lambda: None, 10)
    outbox.call_ended(record())
    outbox.stop()
    assert (len(receiver.batches), outbox.dropped) == (1, 1)


def test_an_exporter_with_a_bug_is_logged_and_the_next_record_is_tried(caplog: pytest.LogCaptureFixture) -> None:
    tried: list[CallRecord] = []

    def send(records: Sequence[CallRecord]) -> bool:
        tried.extend(records)
        raise ValueError("a bug")

    outbox = Outbox(send, lambda: None, 10)
    outbox.call_ended(record())
    outbox.call_ended(record())
    outbox.stop()
    assert (len(tried), outbox.dropped) == (2, 2)
    assert "could not be exported" in caplog.text


def test_a_stop_makes_an_exporter_that_still_tries_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bursar.telemetry.outbox.STOP_S", 0.05)
    receiver = Receiver(has_arrived=False)
    outbox = Outbox(receiver.send, receiver.go_on.set, 10)
    outbox.call_ended(record())
    assert receiver.begun.wait(20)
    outbox.stop()
    assert receiver.go_on.is_set()


def test_after_a_stop_nothing_is_taken_and_all_is_counted() -> None:
    outbox = Outbox(lambda _: True, lambda: None, 10)
    outbox.stop()
    outbox.stop()
    outbox.call_ended(record())
    assert outbox.dropped == 1
