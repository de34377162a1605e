"""The metrics of one process, in the text format of Prometheus.

Owns every metric's name and labels; `docs/telemetry.md` lists them. Sums stay whole numbers here, money in nano-USD,
and become floats only when they are written out. It reads no ledger: what stands there comes in as a Snapshot.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from bursar.config.settings import MetricsSettings
from bursar.core.charge import Amounts
from bursar.telemetry.bounded import BoundedLabels, clean, metric_label
from bursar.telemetry.record import PRESUMED, REFUSED, SETTLED, CallRecord

__all__ = ["CONTENT_TYPE", "BudgetFigures", "Metrics", "Snapshot"]

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper ends of the duration histogram: model calls take from a tenth of a second to ten minutes."""
_BUCKETS_MS = tuple(int(bucket * 1000) for bucket in BUCKETS_S)
KINDS: Mapping[str, str] = {
    "input": "input_tokens",
    "cached": "cached_tokens",
    "cache_write": "cache_write_tokens",
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
}
"""Token kinds and the amounts that count them."""


@dataclass(frozen=True, slots=True)
class BudgetFigures:
    """One limit of an unsplit budget in its current window. Amounts are in `unit` (nano-USD for `nano_usd`)."""

    tenant: str
    budget: str
    unit: str
    used: int
    held: int
    limit: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is read at the moment of a scrape."""

    in_flight: int = 0
    waiting: int = 0
    unclosed: int = 0
    """Closes that are kept because the ledger could not take them yet."""
    dropped: int = 0
    """Events that could not be exported."""
    is_ledger_up: bool = True
    budgets: Sequence[BudgetFigures] = ()


@dataclass(slots=True)
class _Series:
    """The sums of one combination of label values."""

    calls: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """By wire and state."""
    cost_nano: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """By state."""
    tokens: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """By state and kind."""
    durations: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    duration_ms: int = 0

    def copy(self) -> _Series:
        return _Series(dict(self.calls), dict(self.cost_nano), dict(self.tokens), [*self.durations], self.duration_ms)


class Metrics:
    """Counts calls as they end (it is an Observer), and writes all figures out when asked."""

    def __init__(self, settings: MetricsSettings, worker: str = "") -> None:
        """`worker` becomes a label of every series, for processes that share one port; empty for one alone."""
        # Every count of calls has its wire.
        names = tuple(name for name in settings.labels if name != "wire")
        self._labels = [metric_label(name) for name in names]
        self._bounded = BoundedLabels(names, settings.values_max, settings.series_max)
        self._series: dict[tuple[str, ...], _Series] = {}
        self._refusals: dict[tuple[str, str], int] = defaultdict(int)
        self._worker = worker
        self._lock = threading.Lock()

    def call_ended(self, record: CallRecord) -> None:
        with self._lock:
            may_add = record.state in (SETTLED, PRESUMED)
            labels = record.labels
            if labels.get("provider") != record.provider or labels.get("model") != record.model:
                labels = {**labels, "provider": record.provider, "model": record.model}  # A fall-back answered.
            values = self._bounded.values(labels, may_add=may_add)
            series = self._series.get(values)
            if series is None:
                series = self._series[values] = _Series()
            series.calls[record.wire, record.state] += 1
            if record.state == REFUSED:
                self._refusals[record.code, record.budget] += 1
                return
            series.durations[bisect_left(_BUCKETS_MS, record.duration_ms)] += 1
            series.duration_ms += record.duration_ms
            if may_add:
                _add_amounts(series, record.state, record.amounts)

    def exposition(self, snapshot: Snapshot | None = None) -> bytes:
        """Write all metrics as text (CONTENT_TYPE); without a snapshot only what this process counted itself.

        With many series this takes a quarter of a second: let a thread do it. Calls that end meanwhile do not wait.
        """
        with self._lock:
            series = {values: each.copy() for values, each in self._series.items()}
            refusals = dict(self._refusals)
        found = [*_counted(self._labels, series), _refused(refusals), *(() if snapshot is None else _read(snapshot))]
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Found([_of_worker(metric, self._worker) for metric in found]))
        return generate_latest(registry)


def _counted(labels: Sequence[str], found: Mapping[tuple[str, ...], _Series]) -> Iterator[Metric]:
    calls = CounterMetricFamily("bursar_calls", "Calls that ended.", labels=[*labels, "wire", "state"])
    cost = CounterMetricFamily(
        "bursar_cost_nano_usd", "Cost of calls in billionths of a USD.", labels=[*labels, "state"]
    )
    tokens = CounterMetricFamily(
        "bursar_tokens",
        "Tokens; input includes cached and cache_write, output includes reasoning.",
        labels=[*labels, "state", "kind"],
    )
    durations = HistogramMetricFamily(
        "bursar_call_duration_seconds", "Time from the hold to the end of a call.", labels=labels
    )
    for values, series in found.items():
        for (wire, state), count in series.calls.items():
            calls.add_metric([*values, wire, state], count)
        for state, cost_nano in series.cost_nano.items():
            cost.add_metric([*values, state], cost_nano)
        for (state, kind), count in series.tokens.items():
            tokens.add_metric([*values, state, kind], count)
        durations.add_metric(values, _cumulated(series.durations), series.duration_ms / 1000)
    return iter((calls, cost, tokens, durations))


def _refused(found: Mapping[tuple[str, str], int]) -> Metric:
    refusals = CounterMetricFamily(
        "bursar_refusals", "Calls refused before anything was held.", labels=["code", "budget"]
    )
    for (code, budget), count in found.items():
        refusals.add_metric([code, clean(budget)], count)
    return refusals


def _add_amounts(series: _Series, state: str, amounts: Amounts) -> None:
    series.cost_nano[state] += amounts.cost_nano
    for kind, count in zip(KINDS, _counts(amounts), strict=True):
        series.tokens[state, kind] += count


_counts = attrgetter(*KINDS.values())


def _cumulated(counts: Sequence[int]) -> list[tuple[str, float]]:
    """Give the buckets as their format wants them: each counts all that are no longer than its end."""
    found: list[tuple[str, float]] = []
    total = 0
    for end, count in zip((*(f"{bucket:g}" for bucket in BUCKETS_S), "+Inf"), counts, strict=True):
        total += count
        found.append((end, total))
    return found


def _read(snapshot: Snapshot) -> Iterator[Metric]:
    yield GaugeMetricFamily("bursar_calls_in_flight", "Calls that hold money now.", snapshot.in_flight)
    yield GaugeMetricFamily(
        "bursar_calls_waiting", "Calls that wait for money that is only in flight.", snapshot.waiting
    )
    yield GaugeMetricFamily(
        "bursar_unclosed_kept", "Ends of calls that the ledger could not take yet.", snapshot.unclosed
    )
    yield GaugeMetricFamily(
        "bursar_ledger_up", "1 when the ledger could be read for this scrape.", int(snapshot.is_ledger_up)
    )
    yield CounterMetricFamily("bursar_telemetry_dropped", "Events that could not be exported.", snapshot.dropped)
    labels = ["tenant", "budget", "unit"]
    used = GaugeMetricFamily("bursar_budget_used", "Settled and presumed in the current window.", labels=labels)
    held = GaugeMetricFamily("bursar_budget_held", "Held by calls in flight.", labels=labels)
    limit = GaugeMetricFamily("bursar_budget_limit", "The limit.", labels=labels)
    ratio = GaugeMetricFamily("bursar_budget_used_ratio", "Used / limit; 1 for a limit of 0.", labels=labels)
    for row in snapshot.budgets:
        values = [row.tenant, clean(row.budget), row.unit]
        used.add_metric(values, row.used)
        held.add_metric(values, row.held)
        limit.add_metric(values, row.limit)
        ratio.add_metric(values, row.used / row.limit if row.limit else 1)
    yield from (used, held, limit, ratio)


def _of_worker(metric: Metric, worker: str) -> Metric:
    if worker:
        metric.samples = [sample._replace(labels={**sample.labels, "worker": worker}) for sample in metric.samples]
    return metric


class _Found(Collector):
    """Metrics as they were at one moment."""

    def __init__(self, found: Sequence[Metric]) -> None:
        self._found = found

    def collect(self) -> Sequence[Metric]:
        return self._found
