"""Requests and answers of model APIs as programs hold them: dictionaries, objects of SDKs, raw responses.

Owns the way from those to the wire that reads them. It never guesses a model: what does not say its own is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bursar.client.recognise import aim
from bursar.config.settings import Limits
from bursar.errors import UsageError
from bursar.wire.base import Request, Wire
from bursar.wire.bedrock_common import asked_by
from bursar.wiring.wires import Named, Wires

__all__ = ["Said", "Shaped", "answer_of", "request_of"]

_BESIDES = ("extra_headers", "extra_query", "extra_body", "timeout", "betas")
"""What SDKs take beside the body."""
_UNKNOWN = "this is no answer of an API that bursar knows"
_UNSET = ("NotGiven", "Omit", "NotGivenType")
_GEMINI_CONFIG: dict[str, str] = {
    "max_output_tokens": "maxOutputTokens",
    "candidate_count": "candidateCount",
    "thinking_config": "thinkingConfig",
    "response_schema": "responseSchema",
    "response_mime_type": "responseMimeType",
}
_GEMINI_BODY: dict[str, str] = {
    "system_instruction": "systemInstruction",
    "tools": "tools",
    "cached_content": "cachedContent",
    "service_tier": "serviceTier",
}


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: the API it is of, its JSON, the model that it names, and below which address it was asked for."""

    wire: str
    body: bytes
    model: str
    base: str = ""


@dataclass(frozen=True, slots=True)
class Shaped:
    """A request, as its wire reads it."""

    wire: Wire
    request: Request


# --- answers ----------------------------------------------------------------------------------------------------------


def answer_of(response: Any) -> Said:
    """Recognise an answer. Raises UsageError for what is none of an API that bursar knows."""
    raw = getattr(response, "http_response", response)
    base = ""
    if callable(getattr(raw, "json", None)) and hasattr(raw, "status_code"):
        base, value = _base(raw), raw.json()
    else:
        value = _plain(response)
    if not isinstance(value, Mapping):
        raise UsageError(f"{_UNKNOWN}: {type(response).__name__}")
    wire, model = _answer_wire(value)
    return Said(wire, _dumped(value), model, base)


def _answer_wire(value: Mapping[str, Any]) -> tuple[str, str]:
    kind = value.get("object")
    model = value.get("model") if isinstance(value.get("model"), str) else ""
    assert isinstance(model, str), "what is no text was left out"
    if "usageMetadata" in value:
        return "gemini.generate", str(value.get("modelVersion") or "")
    if value.get("type") == "message":
        return "anthropic.messages", model
    if kind == "chat.completion":
        return "openai.chat", model
    if kind in ("response", "response.compaction"):
        return "openai.responses", model
    if kind == "text_completion":
        return "openai.completions", model
    if kind == "list" and "data" in value:
        return "openai.embeddings", model
    if isinstance(value.get("usage"), Mapping) and "inputTokens" in value["usage"]:
        return "bedrock.converse", model
    raise UsageError(f"{_UNKNOWN}: a dictionary with {', '.join(map(str, list(value)[:6]))}")


def _base(raw: Any) -> str:
    """Give the base URL below which a raw response was asked for; empty where it does not say."""
    try:
        url = raw.url
        found = aim(url.path)
        return f"{url.scheme}://{url.netloc.decode('ascii')}{found.prefix if found else ''}".rstrip("/").lower()
    except (AttributeError, RuntimeError):
        return ""


# --- requests ---------------------------------------------------------------------------------------------------------


def request_of(asked: Mapping[str, Any], api: str = "") -> Shaped:
    """Recognise what an SDK would send for these arguments.

    Raises UsageError, and BadRequest for what cannot be parsed or bounded.
    """
    given = {name: value for name, value in asked.items() if type(value).__name__ not in _UNSET and value is not None}
    body = {name: value for name, value in given.items() if name not in _BESIDES}
    body |= given.get("extra_body") or {}
    wire = api or _request_wire(body)
    wires = Wires(Limits().body_bytes_max)
    if wire == "gemini.generate":
        model = str(body.pop("model", "")).removeprefix("models/")
        spoken = wires.naming(Named(model, "v1beta", is_stream=False, is_sse=False))
        body = _gemini(body)
    elif wire == "bedrock.converse":
        spoken = wires.bedrock(wire, asked_by(str(body.pop("modelId", "")), {}, is_stream=False))
    else:
        try:
            spoken = wires.wire(wire)
        except KeyError:
            raise UsageError(f"api={wire!r} is no API that bursar knows") from None
    return Shaped(spoken, spoken.parse(_dumped(body)))


def _request_wire(body: Mapping[str, Any]) -> str:
    model = str(body.get("model", ""))
    if "modelId" in body:
        return "bedrock.converse"
    if "contents" in body:
        return "gemini.generate"
    if "messages" in body:
        return "anthropic.messages" if "claude" in model.lower() or "system" in body else "openai.chat"
    if "prompt" in body and "input" not in body:
        return "openai.completions"
    if "input" in body:
        return "openai.embeddings" if "embed" in model.lower() else "openai.responses"
    raise UsageError("this is no request to a model: it has neither messages, input, prompt nor contents")


def _gemini(body: Mapping[str, Any]) -> dict[str, Any]:
    """Write google-genai's arguments as its API takes them."""
    contents = body["contents"]
    if isinstance(contents, str):
        contents = [{"role": "user", "parts": [{"text": contents}]}]
    written: dict[str, Any] = {**body, "contents": contents}
    config: Any = _plain(written.pop("config", None) or {})
    if not isinstance(config, dict):
        raise UsageError("config: a dictionary or a GenerateContentConfig is needed")
    for key, value in config.items():
        name = str(key)
        if name in _GEMINI_BODY or name in _GEMINI_BODY.values():
            is_text = isinstance(value, str) and "nstruction" in name
            written[_GEMINI_BODY.get(name, name)] = {"parts": [{"text": value}]} if is_text else value
        else:
            written.setdefault("generationConfig", {})[_GEMINI_CONFIG.get(name, name)] = value
    return written


# --- objects ----------------------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Give an SDK's object as the JSON that its API speaks."""
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json", by_alias=True, exclude_none=True, warnings=False)
    return value


def _dumped(value: Any) -> bytes:
    try:
        return json.dumps(value, default=_other, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"this cannot be written as JSON: {error}") from error


def _other(value: Any) -> Any:
    plain = _plain(value)
    if plain is not value:
        return plain
    if isinstance(value, bytes | bytearray):
        return value.decode("latin-1")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    return str(value)
