"""The section `telemetry`: which figures leave the gateway, and where to.

Owns its keys, and OpenTelemetry's own variables for an endpoint. These speak to every program of a machine, so the
file, which speaks to bursar alone, wins over them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bursar.config.problems import Place, Problems
from bursar.config.read import Fields, Read, fields, many, place_of, scalar, tried
from bursar.config.settings import MetricsSettings, OtlpSettings, TelemetrySettings
from bursar.config.tree import Node
from bursar.config.values import bare_url, label_name, truth, whole

__all__ = ["ENDPOINTS", "METRICS_KEYS", "OTLP_KEYS", "TELEMETRY_KEYS", "read_telemetry"]

LABELS_MAX = 8
LOGS_PATH = "/v1/logs"
LOGS_ENDPOINT = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
ENDPOINTS = (LOGS_ENDPOINT, ENDPOINT)
"""OpenTelemetry's variables, the first one set counts; the first is a whole URL, the second a base."""


def _url(written: str) -> str:
    return bare_url(written, "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_HEADERS")


def _endpoint(written: str) -> str:
    """Read a receiver's base address, or the whole one of its log records."""
    url = _url(written)
    return url if url.endswith(LOGS_PATH) else url + LOGS_PATH


def _read_labels(node: Node, problems: Problems) -> tuple[str, ...]:
    found = many(label_name, least=0)(node, problems)
    if len(found) > LABELS_MAX:
        problems.add(node.place, f"more than {LABELS_MAX} labels")
    return found


def _read_metrics(node: Node, problems: Problems) -> Fields:
    return fields(node, METRICS_KEYS, problems)


def _read_otlp(node: Node, problems: Problems) -> Fields:
    return fields(node, OTLP_KEYS, problems)


METRICS_KEYS: Mapping[str, Read] = MappingProxyType(
    {
        "enabled": scalar(truth),
        "labels": _read_labels,
        "values_max": scalar(whole(1, 10_000)),
        "series_max": scalar(whole(1, 100_000)),
    }
)
OTLP_KEYS: Mapping[str, Read] = MappingProxyType(
    {
        "enabled": scalar(truth),
        "endpoint": scalar(_endpoint),
        "labels": _read_labels,
        "queue_max": scalar(whole(1, 1_000_000)),
    }
)
TELEMETRY_KEYS: Mapping[str, Read] = MappingProxyType({"metrics": _read_metrics, "otlp": _read_otlp})


def read_telemetry(node: Node, environ: Mapping[str, str], problems: Problems) -> TelemetrySettings:
    """Read the section; where it names no endpoint, the one of OpenTelemetry's variables."""
    found = fields(node, TELEMETRY_KEYS, problems)
    metrics, otlp = found.get("metrics", {}), found.get("otlp", {})
    names = [name.replace("-", "_").replace(".", "_") for name in metrics.get("labels", ())]
    if len(set(names)) != len(names):
        problems.add(
            place_of(node, "metrics"), "two labels would have the same name in metrics, which know only a-z and _"
        )
    if not otlp.get("enabled", True):
        otlp["endpoint"] = ""
    elif "endpoint" not in otlp:
        otlp["endpoint"] = _from_environment(environ, problems)
    return TelemetrySettings(MetricsSettings(**metrics), OtlpSettings(**otlp))


def _from_environment(environ: Mapping[str, str], problems: Problems) -> str:
    for name in ENDPOINTS:
        written = environ.get(name, "").strip()
        if written:
            parse = _url if name == LOGS_ENDPOINT else _endpoint
            return tried(Place("environment", 0, name), problems, parse, written) or ""
    return ""
