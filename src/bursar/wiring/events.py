"""The events that leave a process, one per call, from settings: for both doors.

Owns the optional package behind them. Metrics are the gateway's alone, since a program is not scraped.
"""

from __future__ import annotations

import importlib

from bursar.config.settings import OtlpSettings
from bursar.errors import UsageError
from bursar.telemetry.outbox import Outbox

__all__ = ["open_events"]


def open_events(told: OtlpSettings) -> Outbox | None:
    """Make the observer that exports calls; None where nothing is to be exported.

    Raises UsageError when the packages are not installed.
    """
    if not told.endpoint:
        return None
    try:
        otlp = importlib.import_module("bursar.telemetry.otlp")
    except ImportError as error:
        raise UsageError(
            "telemetry.otlp has an endpoint, but the OpenTelemetry packages are not installed: "
            "pip install 'bursar[otel]', or write telemetry: {otlp: {enabled: false}}"
        ) from error
    outbox: Outbox = otlp.open_outbox(told)
    return outbox
