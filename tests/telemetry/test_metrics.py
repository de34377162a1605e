"""The metrics count every call once, exactly, under bounded names; and the page names each of them."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from tests.telemetry.records import AMOUNTS, record
from tests.telemetry.scraped import samples, value

from bursar.config.settings import MetricsSettings
from bursar.core.charge import ZERO
from bursar.core.labels import OTHER
from bursar.telemetry.metrics import BudgetFigures, Metrics, Snapshot
from bursar.telemetry.record import PRESUMED, REFUSED, RELEASED

PAGE = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text(encoding="utf-8")
FIGURES = (
    BudgetFigures("default", "all", "nano_usd", 30, 10, 120),
    BudgetFigures("default", "none", "requests", 0, 0, 0),
)


def test_a_settled_call_is_counted_with_its_cost_tokens_and_duration() -> None:
    metrics = Metrics(MetricsSettings())
    metrics.call_ended(record())
    known = {"provider": "openai", "model": "gpt-x", "agent": "bot"}
    assert value(metrics, "bursar_calls_total", **known, wire="openai.chat", state="settled") == 1
    assert value(metrics, "bursar_cost_nano_usd_total", **known, state="settled") == AMOUNTS.cost_nano
    kinds = {"input": 100, "cached": 40, "cache_write": 10, "output": 20, "reasoning": 5}
    for kind, count in kinds.items():
        assert value(metrics, "bursar_tokens_total", **known, state="settled", kind=kind) == count
    assert value(metrics, "bursar_call_duration_seconds_count", **known) == 1
    assert value(metrics, "bursar_call_duration_seconds_sum", **known) == 1.5
    assert value(metrics, "bursar_call_duration_seconds_bucket", **known, le="1.0") == 0
    assert value(metrics, "bursar_call_duration_seconds_bucket", **known, le="2.5") == 1


def test_money_is_added_up_to_the_last_nano_dollar() -> None:
    metrics = Metrics(MetricsSettings())
    for _ in range(1_001):
        metrics.call_ended(record())
    assert value(metrics, "bursar_cost_nano_usd_total") == 1_001 * AMOUNTS.cost_nano


def test_what_is_only_presumed_stands_apart() -> None:
    metrics = Metrics(MetricsSettings())
    metrics.call_ended(record(state=PRESUMED, ended="lost", status=0))
    assert value(metrics, "bursar_cost_nano_usd_total", state="presumed") == AMOUNTS.cost_nano
    assert value(metrics, "bursar_cost_nano_usd_total", state="settled") == 0


def test_a_refused_call_is_counted_by_reason_and_budget_and_costs_nothing() -> None:
    metrics = Metrics(MetricsSettings())
    metrics.call_ended(record(state=REFUSED, amounts=ZERO, code="budget_exceeded", budget="all", duration_ms=0))
    assert value(metrics, "bursar_refusals_total", code="budget_exceeded", budget="all") == 1
    assert value(metrics, "bursar_calls_total", state="refused") == 1
    assert value(metrics, "bursar_cost_nano_usd_total") == 0
    assert value(metrics, "bursar_call_duration_seconds_count") == 0


def test_a_thousand_made_up_names_make_no_more_series_than_the_caps_allow() -> None:
    metrics = Metrics(MetricsSettings(values_max=5, series_max=20))
    for number in range(1_000):
        state = RELEASED if number % 2 else "settled"
        metrics.call_ended(record(state=state, labels={"agent": f"a{number}", "model": f"m{number}"}))
    series = {key for key in samples(metrics) if key[0] == "bursar_call_duration_seconds_count"}
    assert len(series) <= 21
    assert value(metrics, "bursar_calls_total") == 1_000
    assert value(metrics, "bursar_calls_total", agent=OTHER) > 900


def test_no_name_of_a_client_breaks_the_format() -> None:
    metrics = Metrics(MetricsSettings())
    nasty = 'a"} 1\nbursar_calls_total{model="x\\ud800\x00\ud800'
    metrics.call_ended(record(labels={"agent": nasty, "model": nasty}))
    assert value(metrics, "bursar_calls_total") == 1


def test_users_are_no_label_unless_listed() -> None:
    metrics = Metrics(MetricsSettings())
    metrics.call_ended(record())
    assert b"ada@example.com" not in metrics.exposition()
    listed = Metrics(MetricsSettings(labels=("user", "tag.cost-center")))
    listed.call_ended(record(labels={"tag.cost-center": "7"}))
    assert value(listed, "bursar_calls_total", user="ada@example.com", tag_cost_center="7") == 1


def test_a_snapshot_tells_what_stands_now() -> None:
    page = Metrics(MetricsSettings()).exposition(Snapshot(3, 2, 1, 4, True, FIGURES))
    assert value(page, "bursar_calls_in_flight") == 3
    assert value(page, "bursar_calls_waiting") == 2
    assert value(page, "bursar_unclosed_kept") == 1
    assert value(page, "bursar_telemetry_dropped_total") == 4
    assert value(page, "bursar_ledger_up") == 1
    assert value(page, "bursar_budget_used", tenant="default", budget="all", unit="nano_usd") == 30
    assert value(page, "bursar_budget_held", budget="all") == 10
    assert value(page, "bursar_budget_limit", budget="all") == 120
    assert value(page, "bursar_budget_used_ratio", budget="all") == 0.25
    assert value(page, "bursar_budget_used_ratio", budget="none") == 1


def test_workers_on_one_port_are_told_apart() -> None:
    alone, worker = Metrics(MetricsSettings()), Metrics(MetricsSettings(), worker="17")
    for metrics in (alone, worker):
        metrics.call_ended(record())
    assert all("worker" not in dict(labels) for _, labels in samples(alone, Snapshot()))
    assert all(dict(labels)["worker"] == "17" for _, labels in samples(worker, Snapshot()))


def test_every_metric_and_label_stands_on_the_page_and_no_other_metric_does() -> None:
    metrics = Metrics(MetricsSettings(), worker="17")
    metrics.call_ended(record())
    metrics.call_ended(record(state=REFUSED, code="contended", budget="all"))
    families = list(text_string_to_metric_families(metrics.exposition(Snapshot(budgets=FIGURES)).decode()))
    told = {f"{one.name}_total" if one.type == "counter" else one.name for one in families}
    assert told == set(re.findall(r"^\| `(bursar_[a-z_]+)` \|", PAGE, re.MULTILINE))
    labels = {label for one in families for sample in one.samples for label in sample.labels}
    assert all(f"`{label}`" in PAGE for label in labels - {"le"})
