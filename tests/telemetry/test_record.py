"""Telling observers costs no call anything, and tells no secret."""

from __future__ import annotations

from dataclasses import fields

import pytest
from tests.telemetry.records import record

from bursar.telemetry.record import CallRecord, tell


class _Broken:
    def call_ended(self, record: CallRecord) -> None:
        raise RuntimeError("a bug")


class _Listening:
    def __init__(self) -> None:
        self.heard: list[CallRecord] = []

    def call_ended(self, record: CallRecord) -> None:
        self.heard.append(record)


def test_an_observer_that_fails_is_logged_and_keeps_nobody_from_hearing(caplog: pytest.LogCaptureFixture) -> None:
    listening = _Listening()
    tell((_Broken(), listening), record())
    assert [one.id for one in listening.heard] == ["01call"]
    assert "01call" in caplog.text


def test_a_record_has_no_place_for_a_prompt_a_header_or_a_key() -> None:
    names = {field.name for field in fields(CallRecord)}
    assert not names & {"body", "headers", "messages", "prompt", "answer", "api_key", "key", "request"}
