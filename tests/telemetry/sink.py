"""A receiver of OTLP over HTTP: it decodes what arrives, and answers as it is told."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest


class Sink:
    """What arrived: log records with their attributes, and the headers of each request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.records: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        request = ExportLogsServiceRequest()
        request.ParseFromString(body)
        self.paths.append(path)
        self.headers.append(headers)
        for resource in request.resource_logs:
            self.resources.append(values(resource.resource.attributes))
            for scope in resource.scope_logs:
                self.records.extend(scope.log_records)


def values(attributes: Any) -> dict[str, Any]:
    """Read protobuf's attributes as plain values."""
    found: dict[str, Any] = {}
    for pair in attributes:
        kind = pair.value.WhichOneof("value")
        one = getattr(pair.value, kind)
        found[pair.key] = [each.string_value for each in one.values] if kind == "array_value" else one
    return found


@contextlib.contextmanager
def sink() -> Iterator[Sink]:
    """Listen on loopback while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if made.status == 200:
                made.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(made.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    made = Sink(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
