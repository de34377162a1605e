"""Which path is which wire: the table of the provider's routes.

Owns paths and methods, and what a URL says of a request. It must never answer one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, unquote

from bursar.testing.provider.anthropic_shape import AnthropicShape
from bursar.testing.provider.bedrock_shape import ConverseShape
from bursar.testing.provider.completions_shape import CompletionsShape
from bursar.testing.provider.connection import Connection
from bursar.testing.provider.embeddings_shape import EmbeddingsShape
from bursar.testing.provider.gemini_shape import GeminiShape
from bursar.testing.provider.invoke_shape import InvokeShape
from bursar.testing.provider.openai_shape import OpenAIShape
from bursar.testing.provider.responses_shape import CompactShape, ResponsesShape
from bursar.testing.provider.shape import Shape

__all__ = ["Action", "Route", "find"]

OPENAI = OpenAIShape()
ANTHROPIC = AnthropicShape()
RESPONSES = ResponsesShape()
GEMINI = GeminiShape()
CONVERSE = ConverseShape()
INVOKE = InvokeShape()

Action = Literal["generate", "count", "models", "model", "retrieve", "delete", "cancel", "input_items", "unknown"]


@dataclass(frozen=True, slots=True)
class Route:
    """What a request wants, and in which wire. `fields` is what the URL says, under the names of a body."""

    shape: Shape
    action: Action
    fields: Mapping[str, Any] = field(default_factory=dict)


TABLE: Mapping[tuple[str, str], Route] = {
    ("POST", "/v1/chat/completions"): Route(OPENAI, "generate"),
    ("POST", "/v1/responses"): Route(RESPONSES, "generate"),
    ("POST", "/v1/responses/compact"): Route(CompactShape(), "generate"),
    ("POST", "/v1/responses/input_tokens"): Route(RESPONSES, "count"),
    ("POST", "/v1/embeddings"): Route(EmbeddingsShape(), "generate"),
    ("POST", "/v1/completions"): Route(CompletionsShape(), "generate"),
    ("POST", "/v1/messages"): Route(ANTHROPIC, "generate"),
    ("POST", "/v1/messages/count_tokens"): Route(ANTHROPIC, "count"),
    ("GET", "/v1beta/models"): Route(GEMINI, "models"),
}
MODELS = ("GET", "/v1/models")
STORED = re.compile(r"/v1/responses/(?P<id>[^/]+)(?:/(?P<verb>cancel|input_items))?\Z")
STORED_ACTIONS: Mapping[tuple[str, str | None], Action] = {
    ("GET", None): "retrieve",
    ("DELETE", None): "delete",
    ("POST", "cancel"): "cancel",
    ("GET", "input_items"): "input_items",
}
ONE_MODEL = re.compile(r"/v1(?P<beta>beta)?/models/(?P<model>[^:/]+)\Z")
GEMINI_CALL = re.compile(
    r"/v1(?:beta)?/models/(?P<model>[^:]+):(?P<verb>generateContent|streamGenerateContent|countTokens)\Z"
)

BEDROCK_CALL = re.compile(
    r"/model/(?P<model>.+)/(?P<verb>converse|converse-stream|invoke|invoke-with-response-stream)\Z"
)
"""The model may be an ARN, whose slashes the server has decoded."""


def find(connection: Connection) -> Route:
    """Return the route of a request; one that no wire has is `unknown`, in the wire that it seems to mean."""
    key = (connection.method, connection.path)
    if key in TABLE:
        return TABLE[key]
    if key == MODELS:
        return Route(_meant(connection), "models")
    one = ONE_MODEL.match(connection.path) if connection.method == "GET" else None
    if one is not None:
        return Route(GEMINI if one["beta"] else _meant(connection), "model", {"model": one["model"]})
    return _stored(connection) or _gemini(connection) or _bedrock(connection) or Route(_meant(connection), "unknown")


def _stored(connection: Connection) -> Route | None:
    match = STORED.match(connection.path)
    action = None if match is None else STORED_ACTIONS.get((connection.method, match["verb"]))
    if match is None or action is None:
        return None
    query = {name: values[-1] for name, values in parse_qs(connection.query).items()}
    return Route(RESPONSES, action, {**query, "id": match["id"]})


def _gemini(connection: Connection) -> Route | None:
    match = GEMINI_CALL.match(connection.path)
    if match is None or connection.method != "POST":
        return None
    is_stream = match["verb"] == "streamGenerateContent"
    fields = {"model": match["model"], "stream": is_stream, "alt": parse_qs(connection.query).get("alt", [""])[-1]}
    return Route(GEMINI, "count" if match["verb"] == "countTokens" else "generate", fields)


def _bedrock(connection: Connection) -> Route | None:
    match = BEDROCK_CALL.match(connection.path)
    if match is None or connection.method != "POST":
        return None
    shape: Shape = CONVERSE if match["verb"].startswith("converse") else INVOKE
    return Route(shape, "generate", {"model": unquote(match["model"]), "stream": match["verb"].endswith("-stream")})


def _meant(connection: Connection) -> Shape:
    """Return the wire in which to answer a path that several could have."""
    if connection.path.startswith("/v1beta/") or "x-goog-api-key" in connection.headers:
        return GEMINI
    if connection.path.startswith("/model/"):
        return CONVERSE
    if connection.path.startswith("/v1/messages") or "anthropic-version" in connection.headers:
        return ANTHROPIC
    return OPENAI
