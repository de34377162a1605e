"""A metered attempt of botocore: boto3's Bedrock clients, and whatever else sends by its endpoints.

Owns `Endpoint._send` as the pipeline sees it: one attempt, below botocore's own retries, so that each of them is a call
of its own and none goes unmetered. A signature covers the body, so a request into which a cap is written is made and
signed anew, by the client's own signer. It must only be imported where botocore is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import (
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
)
from urllib3.exceptions import HTTPError

from bursar.client.asked import Asking, Heads, Where
from bursar.client.botocore_bodies import RawBody
from bursar.client.calls import CallMaker, Metering
from bursar.client.exchange import Exchange
from bursar.client.handing import handed_on
from bursar.client.meter import aimed_at, maker_of
from bursar.client.recognise import BEDROCK, Aimed
from bursar.client.refused import KEY, Refused, error_of
from bursar.client.streams import Metered
from bursar.core.provider import Provider
from bursar.pipeline.ports import Answering
from bursar.wiring.driving import Way, drive

__all__ = ["MADE", "made", "send", "text_headers", "unbounded", "with_body"]

FAILURES = (HTTPClientError, HTTPError, OSError)
UNSENT = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError)
MADE = "_bursar_made"
"""The name under which a prepared request carries what it was made of."""
BILLED_SERVICES: Mapping[str, frozenset[str]] = {
    "bedrock-agent-runtime": frozenset(
        {"GenerateQuery", "InvokeAgent", "InvokeFlow", "InvokeInlineAgent", "OptimizePrompt", "Rerank",
         "RetrieveAndGenerate", "RetrieveAndGenerateStream", "StartFlowExecution"}
    ),
    "bedrock-runtime": frozenset(
        {"ApplyGuardrail", "InvokeGuardrailChecks", "InvokeModelWithBidirectionalStream", "StartAsyncInvoke"}
    ),
}  # fmt: skip
"""Operations that run models, or are billed beside them, and that nothing in the request bounds."""


def made(prepared: Any, params: Mapping[str, Any], operation: Any) -> Any:
    """Let a prepared request carry what it was made of."""
    setattr(prepared, MADE, (params, operation))
    return prepared


@dataclass(frozen=True, slots=True)
class _Kit:
    """What an exchange asks of its library (see `kit.py`)."""

    failure: tuple[type[Exception], ...] = FAILURES
    unsent: tuple[type[Exception], ...] = UNSENT

    def response(
        self, status: int, *, headers: Any, content: bytes, request: Asking, extensions: Mapping[str, Any]
    ) -> AWSResponse:
        """Make a response of bursar's own."""
        kind = json.loads(content).get("__type", "")
        named = {**dict(headers), "x-amzn-errortype": kind, "content-length": str(len(content))}
        response = AWSResponse(request.url.own, status, named, RawBody(content))
        response.extensions = extensions
        return response


def send(original: Callable[..., Any], again: Callable[..., Any], endpoint: Any, prepared: Any) -> Any:
    """Send one attempt, metered where that is to be. `again` makes a request anew, and signs it.

    Raises BudgetExceeded where no money is left: botocore tries that no second time.
    """
    params, operation = getattr(prepared, MADE, (None, None))
    if params is None or prepared.method != "POST":
        return original(endpoint, prepared)
    asking = _asking(prepared)
    aimed = unbounded(operation) or aimed_at(asking)
    if aimed is None:
        return original(endpoint, prepared)
    content = _content(prepared.body)
    turn = handed_on(endpoint, asking.url, content, UNSENT)
    if turn is not None:
        with turn:
            handed = original(endpoint, prepared)
            return turn.answered(handed, handed.status_code)
    kit: Any = _Kit()
    exchange = _Exchange(kit, endpoint, asking, content, {})
    exchange.prepared, exchange.again = prepared, lambda body: again(endpoint, with_body(params, body), operation)
    response = _metered(original, exchange, aimed)
    if response is None:
        return original(endpoint, prepared)
    refused = getattr(response, "extensions", {}).get(KEY)
    if isinstance(refused, Refused) and refused.is_stop:
        raise error_of(refused)
    return response


def _metered(original: Callable[..., Any], exchange: _Exchange, aimed: Aimed) -> Any:
    """Send it through the stages; None where it is nobody's business."""
    maker = maker_of(exchange, aimed)
    if not isinstance(maker, CallMaker):
        return maker
    metering = maker.metering(exchange, is_interruptible=False)
    if not isinstance(metering, Metering):
        return metering
    reply = drive(metering.handle(_Upstream(original, exchange), Way.BLOCKING))
    if exchange.failure is not None:
        raise exchange.failure
    if reply.refusal is not None:
        return metering.refused(reply)
    response = exchange.response
    if isinstance(reply.body, bytes):
        whole = exchange.raw if exchange.raw is not None else reply.body
        response.raw = RawBody(whole, response.raw)
    else:
        response.raw = RawBody(Metered(reply.body, metering, response.raw), response.raw)
    return response


def _asking(prepared: Any) -> Asking:
    headers = Heads((name.lower(), value) for name, value in text_headers(prepared).items())
    headers.pop("authorization", None)  # This client's own signature can be made anew, and so counts for nothing.
    return Asking(prepared.method, Where.of(prepared.url), headers)


def unbounded(operation: Any) -> Aimed | None:
    """Say that nothing bounds an operation; None for one that its path is to tell."""
    if operation is None:
        return None
    service = operation.service_model.service_id.hyphenize()
    if operation.name not in BILLED_SERVICES.get(service, ()):
        return None
    return Aimed.unbounded(f"{service} {operation.name}", BEDROCK[0])


def text_headers(prepared: Any) -> dict[str, str]:
    """List a request's headers."""
    return {name: _text(value) for name, value in prepared.headers.items()}


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _content(body: Any) -> bytes:
    """Read a body; one that is a file is wound back."""
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode("utf-8")
    if isinstance(body, bytes | bytearray):
        return bytes(body)
    at = body.tell()
    content: bytes = body.read()
    body.seek(at)
    return content


def with_body(params: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    """Give what a request is made of, with another body; the preparer states its length."""
    headers = {name: value for name, value in params["headers"].items() if name.lower() != "content-length"}
    return {**params, "headers": headers, "body": body}


@dataclass(slots=True)
class _Exchange(Exchange):
    """One attempt of botocore."""

    prepared: Any = None
    again: Callable[[bytes], Any] = field(default=lambda body: body)

    def answered(self, response: Any) -> None:
        self.response, self.raw, self.failure = response, None, None


@dataclass(frozen=True, slots=True)
class _Upstream:
    """See `pipeline/ports.py`: Upstream. The provider is reached by the program's own client.

    The headers that the pipeline would add are an operator's key, which no signed request has room for: they are left.
    """

    original: Callable[..., Any]
    exchange: _Exchange

    async def send(
        self, provider: Provider, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Answering:
        exchange = self.exchange
        prepared = exchange.prepared if body == exchange.content else exchange.again(body)
        try:
            response = self.original(exchange.client, prepared)
        except FAILURES as error:
            raise exchange.failed(error) from error
        exchange.answered(response)
        return _Answer(exchange, response)


@dataclass(slots=True)
class _Answer:
    """See `pipeline/ports.py`: Answering."""

    exchange: _Exchange
    response: Any
    _raw: Any = field(init=False)
    _pieces: Iterator[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._raw = self.response.raw  # Taken now: the response gets another before the program sees it.

    @property
    def status(self) -> int:
        return int(self.response.status_code)

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        return [(str(name), str(value)) for name, value in self.response.headers.items()]

    async def read(self, timeout_s: float) -> bytes | None:
        """Read what comes next, however long that takes: the client's own time-outs end it."""
        if self._pieces is None:
            self._pieces = self._raw.stream()
        try:
            return next((piece for piece in self._pieces if piece), b"")
        except FAILURES as error:
            raise self.exchange.failed(error) from error

    async def body(self, size_max: int) -> bytes:
        try:
            raw = bytes(self.response.content)
        except FAILURES as error:
            raise self.exchange.failed(error) from error
        self.exchange.raw = raw
        return raw if len(raw) <= size_max else b""

    def abort(self) -> None:
        self._raw.close()

    def finish(self) -> None:
        """Nothing to give back: at the end of a body the connection goes back to its pool."""
