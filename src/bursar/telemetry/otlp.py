"""Events over OTLP/HTTP, by the official OpenTelemetry packages.

Owns the step from attributes to log records with an event name. The packages are an extra (`bursar[otel]`), so this
file is imported only when an endpoint is set; headers, certificates, compression, time-out and resource attributes are
theirs to read.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from bursar.config.settings import OtlpSettings
from bursar.telemetry.events import EVENT_NAME, attributes_of
from bursar.telemetry.outbox import Outbox
from bursar.telemetry.record import CallRecord

__all__ = ["open_outbox"]

NAME = "bursar"


def open_outbox(settings: OtlpSettings) -> Outbox:
    """Make an observer that exports each call as one event."""
    exporter = OTLPLogExporter(endpoint=settings.endpoint)
    resource, scope = _resource(), InstrumentationScope(NAME)

    def send(records: Sequence[CallRecord]) -> bool:
        events = [ReadableLogRecord(_event(record, settings.labels), resource, scope) for record in records]
        return exporter.export(events) is LogRecordExportResult.SUCCESS

    return Outbox(send, exporter.shutdown, settings.queue_max)


def _event(record: CallRecord, labels: Sequence[str]) -> LogRecord:
    return LogRecord(
        timestamp=record.at_ns,
        observed_timestamp=record.at_ns,
        severity_number=SeverityNumber.INFO,
        attributes=attributes_of(record, labels),
        event_name=EVENT_NAME,
    )


def _resource() -> Resource:
    """Take what the environment says of this service, else call it by our name."""
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: NAME}))
    return resource
