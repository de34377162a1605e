"""Read an exposition as a scraper does."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from bursar.telemetry.metrics import Metrics, Snapshot


def read(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Give the samples: name and labels, and the value. No series comes twice."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, key
            found[key] = sample.value
    return found


def samples(metrics: Metrics, snapshot: Snapshot | None = None) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return read(metrics.exposition(snapshot))


def value(source: Metrics | bytes, name: str, **labels: str) -> float:
    """Sum the samples of a metric that bear these labels."""
    found = read(source if isinstance(source, bytes) else source.exposition())
    return sum(found[key] for key in found if key[0] == name and set(labels.items()) <= set(key[1]))
