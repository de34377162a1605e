"""Each call arrives at a real receiver as one event, decoded from the bytes on the wire."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from tests.telemetry.engine import telling
from tests.telemetry.records import record
from tests.telemetry.sink import sink, values

from bursar.config.load import load
from bursar.config.settings import OtlpSettings, Settings, TelemetrySettings
from bursar.errors import UsageError
from bursar.telemetry.events import EVENT_NAME
from bursar.telemetry.otlp import open_outbox
from bursar.wiring.telemetry import open_telemetry


def settings(url: str) -> OtlpSettings:
    return OtlpSettings(endpoint=f"{url}/v1/logs")


def test_a_call_arrives_as_one_event_with_cost_tokens_and_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=alpha")
    with sink() as receiver:
        outbox = open_outbox(settings(receiver.url))
        outbox.call_ended(record(flags=frozenset({"estimated"})))
        outbox.stop()
        (arrived,) = receiver.records
        assert arrived.event_name == EVENT_NAME
        assert arrived.time_unix_nano == 1_700_000_000_000_000_000
        found = values(arrived.attributes)
        assert found["bursar.cost_nano_usd"] == 1_234_567_891
        assert found["bursar.cost"] == 1.234567891
        assert found["gen_ai.usage.input_tokens"] == 100
        assert found["bursar.label.agent"] == "bot"
        assert found["bursar.flags"] == ["estimated"]
        assert receiver.resources[0]["service.name"] == "bursar"
        assert receiver.paths == ["/v1/logs"]
        assert receiver.headers[0]["x-team"] == "alpha"
        assert b"ada@example.com" not in arrived.SerializeToString()
        assert outbox.dropped == 0


def test_the_environment_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "our-gateway")
    with sink() as receiver:
        outbox = open_outbox(settings(receiver.url))
        outbox.call_ended(record())
        outbox.stop()
        assert receiver.resources[0]["service.name"] == "our-gateway"


def test_text_that_no_encoding_knows_leaves_the_event_whole() -> None:
    with sink() as receiver:
        outbox = open_outbox(settings(receiver.url))
        outbox.call_ended(record(labels={"agent": "a\ud800", "model": "m\ud800\x00"}))
        outbox.stop()
        assert len(receiver.records) == 1


def test_what_a_receiver_does_not_take_is_counted() -> None:
    with sink() as receiver:
        receiver.status = 400
        outbox = open_outbox(settings(receiver.url))
        outbox.call_ended(record())
        outbox.stop()
        assert outbox.dropped == 1


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    told = Settings(telemetry=TelemetrySettings(otlp=settings("http://127.0.0.1:1")))
    with pytest.raises(UsageError, match=r"bursar\[otel\]"):
        open_telemetry(told)


def test_without_an_endpoint_nothing_is_imported_or_sent() -> None:
    assert open_telemetry(load(None, {})).outbox is None


async def test_a_call_through_the_gateway_arrives_and_no_word_of_it(tmp_path: Path) -> None:
    with sink() as receiver:
        told = TelemetrySettings(otlp=settings(receiver.url))
        async with telling(tmp_path, telemetry=told) as made:
            secret = [{"role": "user", "content": "the secret of the pyramids"}]
            call = made.call(messages=secret)
            reply, _ = await made.run(call)
            assert reply.status == 200
            billed = made.provider.invoice(calls=0)["total_nano"]
        (arrived,) = receiver.records
        found = values(arrived.attributes)
        assert found["bursar.call.id"] == call.id
        assert found["bursar.state"] == "settled"
        assert found["bursar.cost_nano_usd"] == billed
        assert b"pyramids" not in arrived.SerializeToString()


async def test_a_dead_receiver_breaks_no_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bursar.telemetry.outbox.STOP_S", 0.05)
    told = TelemetrySettings(otlp=settings("http://127.0.0.1:9"))
    async with telling(tmp_path, telemetry=told) as made:
        for _ in range(3):
            reply, _ = await made.run(made.call())
            assert reply.status == 200
        scraper = made.engine.scraper
    assert scraper.telemetry.dropped == 3
