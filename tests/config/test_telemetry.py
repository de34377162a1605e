"""The section `telemetry`, and OpenTelemetry's own variables."""

from __future__ import annotations

import pytest
from tests.config.conftest import Load

from bursar.config.settings import TelemetrySettings
from bursar.errors import ConfigError

BASE = "http://collector:4318"
SET = {"OTEL_EXPORTER_OTLP_ENDPOINT": BASE}


def test_without_a_word_there_are_metrics_and_no_events(load_text: Load) -> None:
    told = load_text("budgets: [$5 / day]").telemetry
    assert told == TelemetrySettings()
    assert told.metrics.labels == ("provider", "model", "agent")
    assert "user" not in told.otlp.labels


@pytest.mark.parametrize("written", [BASE, f"{BASE}/", f"{BASE}/v1/logs"])
def test_an_endpoint_is_a_base_or_the_whole_address(load_text: Load, written: str) -> None:
    assert load_text(f"telemetry: {{otlp: {{endpoint: '{written}'}}}}").telemetry.otlp.endpoint == f"{BASE}/v1/logs"


def test_opentelemetrys_variables_count_where_the_file_says_nothing(load_text: Load) -> None:
    assert load_text("", SET).telemetry.otlp.endpoint == f"{BASE}/v1/logs"
    whole = {**SET, "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "https://logs.example/in"}
    assert load_text("", whole).telemetry.otlp.endpoint == "https://logs.example/in"
    own = load_text("telemetry: {otlp: {endpoint: 'http://own:1'}}", SET)
    assert own.telemetry.otlp.endpoint == "http://own:1/v1/logs"


def test_events_can_be_switched_off_against_the_environment(load_text: Load) -> None:
    assert load_text("telemetry: {otlp: {enabled: false}}", SET).telemetry.otlp.endpoint == ""


def test_labels_can_be_chosen_or_none(load_text: Load) -> None:
    told = load_text("telemetry: {metrics: {labels: [user, tag.cost-center, task-type]}, otlp: {labels: []}}").telemetry
    assert told.metrics.labels == ("user", "tag.cost-center", "task_type")
    assert told.otlp.labels == ()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("telemetry: {metrics: {labels: [agnet]}}", "did you mean 'agent'?"),
        ("telemetry: {metrics: {labels: [tag.a-b, tag.a_b]}}", "the same name"),
        ("telemetry: {metrics: {labels: [run, step, task, team, key, user, wire, model, agent]}}", "more than 8"),
        ("telemetry: {metrics: {values_max: 0}}", "telemetry.metrics.values_max"),
        ("telemetry: {metricks: {}}", "did you mean 'metrics'?"),
        ("telemetry: {otlp: {endpoint: collector:4317}}", "http://"),
        ("telemetry: {otlp: {endpoint: 'https://me:secret@collector'}}", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("telemetry: {otlp: {endpoint: 'https://collector?key=secret'}}", "no ? or #"),
    ],
)
def test_what_is_wrong_is_said(load_text: Load, written: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(written)
    assert said in caught.value.message
    assert "secret" not in caught.value.message.replace("api_key", "")


def test_a_wrong_variable_is_named_and_not_repeated(load_text: Load) -> None:
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_ENDPOINT") as caught:
        load_text("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://me:secret@collector"})
    assert "secret" not in caught.value.message
