"""What clients name cannot grow the metrics without end, nor break their format (S52)."""

from __future__ import annotations

from bursar.core.labels import NONE, OTHER
from bursar.telemetry.bounded import BoundedLabels, clean, metric_label


def test_values_beyond_the_cap_share_one_name() -> None:
    bounded = BoundedLabels(("agent",), 2, 100)
    found = [bounded.values({"agent": name}, may_add=True) for name in ("a", "b", "c", "a", "d")]
    assert found == [("a",), ("b",), (OTHER,), ("a",), (OTHER,)]


def test_combinations_beyond_the_cap_share_one_name_although_each_value_is_known() -> None:
    bounded = BoundedLabels(("agent", "model"), 100, 2)
    assert bounded.values({"agent": "a", "model": "m"}, may_add=True) == ("a", "m")
    assert bounded.values({"agent": "b", "model": "n"}, may_add=True) == ("b", "n")
    assert bounded.values({"agent": "a", "model": "n"}, may_add=True) == (OTHER, OTHER)
    assert bounded.values({"agent": "a", "model": "m"}, may_add=True) == ("a", "m")


def test_a_name_that_only_refused_calls_bear_takes_no_place() -> None:
    bounded = BoundedLabels(("model",), 1, 100)
    assert bounded.values({"model": "made-up"}, may_add=False) == (OTHER,)
    assert bounded.values({"model": "real"}, may_add=True) == ("real",)
    assert bounded.values({"model": "real"}, may_add=False) == ("real",)


def test_a_missing_label_has_its_own_name_beside_the_cap() -> None:
    bounded = BoundedLabels(("agent",), 1, 100)
    assert bounded.values({}, may_add=False) == (NONE,)
    assert bounded.values({"agent": "a"}, may_add=True) == ("a",)


def test_a_value_is_one_short_printable_line() -> None:
    assert clean("a\nb\x00\ud800c") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}c"
    assert len(clean("x" * 10_000)) == 128
    assert clean("gpt-4o") == "gpt-4o"


def test_a_label_has_a_name_that_metrics_allow() -> None:
    assert metric_label("tag.cost-center") == "tag_cost_center"
    assert metric_label("task_type") == "task_type"
