"""A recorded request sent by its real SDK, and what the SDK's user sees of the answer and its usage.

Each wire has one way to ask and one way to read usage; every client that is opened is closed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import anthropic
import openai
from google import genai
from google.genai import errors as genai_errors
from google.genai import types as genai_types

__all__ = ["WIRES", "Sdks", "Seen", "Told", "sdks", "usage_told", "without_hidden"]

Row = dict[str, Any]
TIMEOUT_S = 60


@dataclass(frozen=True)
class Seen:
    """What an SDK's user has of one call: one object, the list of a stream's, or a tuple that tells the error."""

    call_id: str
    answer: Any

    @property
    def is_error(self) -> bool:
        return isinstance(self.answer, tuple) or bool(isinstance(self.answer, dict) and self.answer.get("error"))

    @property
    def message(self) -> str:
        """The words of a refusal, whichever API's shape they stand in."""
        _, body = self.answer
        error = body.get("error", body)
        return str(error["message"])


@dataclass(frozen=True)
class Told:
    """Usage in an SDK's own words: tokens, input with cached and output with reasoning."""

    input: int
    output: int
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True)
class Door:
    """Where one recorded request goes: below the replaying server, or to the gateway with its provider named."""

    url: str
    named: str = ""

    def model(self, row: Row) -> str:
        model = row["request"]["model"]
        return f"{self.named}/{model}" if self.named else str(model)


@dataclass(frozen=True)
class Sdks:
    """One client of each SDK; where a request goes is said with each."""

    openai: openai.OpenAI
    anthropic: anthropic.Anthropic
    genai: genai.Client

    def direct(self, row: Row, replay_url: str) -> Seen:
        """Ask the one who replays it."""
        return self._ask(row, Door(f"{replay_url}/{row['id']}"))

    def through(self, row: Row, gateway_url: str) -> Seen:
        """Ask the gateway, where each recording is a provider of its own."""
        return self._ask(row, Door(gateway_url, row["id"]))

    def _ask(self, row: Row, door: Door) -> Seen:
        try:
            return _ASKS[row["wire"]](self, row, door)
        except (openai.APIStatusError, anthropic.APIStatusError) as error:
            return Seen(error.response.headers.get("x-bursar-call", ""), (error.status_code, error.body))
        except genai_errors.APIError as error:
            return Seen(error.response.headers.get("x-bursar-call", ""), (error.code, error.details))


@contextlib.contextmanager
def sdks() -> Iterator[Sdks]:
    """Open the clients, and close them."""
    nowhere = "http://127.0.0.1:9"
    with (
        openai.OpenAI(base_url=nowhere, api_key="none", max_retries=0) as of_openai,
        anthropic.Anthropic(base_url=nowhere, api_key="none", max_retries=0) as of_anthropic,
        genai.Client(api_key="none", http_options=genai_types.HttpOptions(base_url=nowhere)) as of_google,
    ):
        yield Sdks(of_openai, of_anthropic, of_google)


def _chat(sdks: Sdks, row: Row, door: Door) -> Seen:
    raw = sdks.openai.with_options(base_url=f"{door.url}/v1").chat.completions.with_raw_response.create(
        model=door.model(row),
        messages=row["request"]["messages"],
        stream=row["stream"],
        extra_body=_without(row, "model", "messages", "stream"),
    )
    return _seen(raw)


def _responses(sdks: Sdks, row: Row, door: Door) -> Seen:
    raw = sdks.openai.with_options(base_url=f"{door.url}/v1").responses.with_raw_response.create(
        model=door.model(row),
        input=row["request"]["input"],
        stream=row["stream"],
        extra_body=_without(row, "model", "input", "stream"),
    )
    return _seen(raw)


def _embeddings(sdks: Sdks, row: Row, door: Door) -> Seen:
    """Without an `encoding_format` the SDK asks for base64 by itself; it takes either as the answer."""
    raw = sdks.openai.with_options(base_url=f"{door.url}/v1").embeddings.with_raw_response.create(
        model=door.model(row),
        input=row["request"].get("input", openai.omit),
        encoding_format=row["request"].get("encoding_format", openai.omit),
        extra_body=_without(row, "model", "input", "encoding_format"),
    )
    return _seen(raw)


def _messages(sdks: Sdks, row: Row, door: Door) -> Seen:
    raw = sdks.anthropic.with_options(base_url=door.url).messages.with_raw_response.create(
        model=door.model(row),
        messages=row["request"]["messages"],
        max_tokens=row["request"]["max_tokens"],
        stream=row["stream"],
        extra_body=_without(row, "model", "messages", "max_tokens", "stream"),
    )
    return _seen(raw)


def _gemini(sdks: Sdks, row: Row, door: Door) -> Seen:
    """The model stands in the path, so the provider does too."""
    model = row["path"].rpartition("/")[2].partition(":")[0]
    url = f"{door.url}/{door.named}".rstrip("/")
    if _has_numbered_enums(row):
        return _by_hand(f"{url}/v1beta/models/{model}:generateContent", row)
    options = genai_types.HttpOptions(base_url=url, extra_body=_without(row, "contents"))
    config = genai_types.GenerateContentConfig(http_options=options)
    asked: Row = {"model": model, "contents": row["request"]["contents"], "config": config}
    if not row["stream"]:
        whole = sdks.genai.models.generate_content(**asked)
        return Seen(_call_of(whole), _plain(whole))
    chunks = list(sdks.genai.models.generate_content_stream(**asked))
    return Seen(_call_of(chunks[0]), [_plain(chunk) for chunk in chunks])


def _has_numbered_enums(row: Row) -> bool:
    """Tell whether an older SDK asked for enums as numbers (`$alt=json;enum-encoding=int`); google-genai reads none."""
    candidates = [] if row["stream"] else json.loads(row["body"]).get("candidates", [])
    return any(isinstance(candidate.get("finishReason"), int) for candidate in candidates)


def _by_hand(url: str, row: Row) -> Seen:
    headers = {"content-type": "application/json"}
    asked = Request(url, json.dumps(row["request"]).encode(), headers)
    try:
        with urlopen(asked, timeout=TIMEOUT_S) as answer:
            return Seen(answer.headers.get("x-bursar-call", ""), json.load(answer))
    except HTTPError as error:
        with error:
            return Seen(error.headers.get("x-bursar-call", ""), (error.code, json.load(error)))


_ASKS: dict[str, Callable[[Sdks, Row, Door], Seen]] = {
    "openai.chat": _chat,
    "openai.responses": _responses,
    "openai.embeddings": _embeddings,
    "anthropic.messages": _messages,
    "gemini.generate": _gemini,
}
WIRES = tuple(_ASKS)


def _without(row: Row, *names: str) -> Row:
    return {name: value for name, value in row["request"].items() if name not in names}


def _call_of(answer: genai_types.GenerateContentResponse) -> str:
    told = answer.sdk_http_response
    headers = told.headers if told is not None and told.headers is not None else {}
    return {name.lower(): value for name, value in headers.items()}.get("x-bursar-call", "")


def _plain(answer: Any) -> Any:
    """Take an object of any SDK apart; its HTTP headers are no part of the answer."""
    return answer.model_dump(mode="json", warnings=False, exclude={"sdk_http_response"})


def _seen(raw: Any) -> Seen:
    call_id = raw.headers.get("x-bursar-call", "")
    try:
        parsed = raw.parse()
    except ValueError as error:
        return Seen(call_id, (type(error).__name__, str(error)))
    return Seen(call_id, _told(parsed))


def _told(parsed: Any) -> Any:
    """What is seen: one object, or the list of a stream's (and the error that ended it)."""
    if hasattr(parsed, "model_dump"):
        return _plain(parsed)
    if isinstance(parsed, str):
        return parsed
    chunks: list[Any] = []
    try:
        chunks.extend(_plain(chunk) for chunk in parsed)
    except (openai.APIError, anthropic.APIError) as error:
        chunks.append((type(error).__name__, str(error)))
    return chunks


def without_hidden(answer: Any, row: Row) -> Any:
    """Leave out the usage chunk that a client did not ask for."""
    options = row["request"].get("stream_options") or {}
    if row["wire"] != "openai.chat" or not isinstance(answer, list) or options.get("include_usage"):
        return answer
    return [chunk for chunk in answer if not (isinstance(chunk, dict) and not chunk["choices"] and chunk["usage"])]


def usage_told(answer: Any, wire: str) -> Told | None:
    """Read usage as the SDK parses it; a stream's last word counts."""
    return _USAGES[wire](
        [item for item in (answer if isinstance(answer, list) else [answer]) if isinstance(item, dict)]
    )


def _chat_usage(items: list[Row]) -> Told | None:
    # Groq tells a stream's usage under a name of its own.
    last = _last(item.get("usage") or (item.get("x_groq") or {}).get("usage") for item in items)
    if last is None:
        return None
    return Told(
        last["prompt_tokens"],
        last["total_tokens"] - last["prompt_tokens"],
        _part(last, "prompt_tokens_details", "cached_tokens"),
        _part(last, "completion_tokens_details", "reasoning_tokens"),
    )


def _responses_usage(items: list[Row]) -> Told | None:
    last = _last((item.get("response") or item).get("usage") for item in items)
    if last is None:
        return None
    return Told(
        last["input_tokens"],
        last["output_tokens"],
        _part(last, "input_tokens_details", "cached_tokens"),
        _part(last, "output_tokens_details", "reasoning_tokens"),
    )


def _embeddings_usage(items: list[Row]) -> Told | None:
    # Voyage tells the total alone; there is no output.
    last = _last(item.get("usage") for item in items)
    return None if last is None else Told(last["total_tokens"], 0)


def _messages_usage(items: list[Row]) -> Told | None:
    merged: Row = {}
    for item in items:
        usage = item.get("usage") or (item.get("message") or {}).get("usage") or {}
        merged.update({name: count for name, count in usage.items() if count is not None})
    if not merged:
        return None
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    fresh, read, written = (merged.get(name, 0) for name in names)
    thinking = _part(merged, "output_tokens_details", "thinking_tokens")
    return Told(fresh + read + written, merged["output_tokens"], read, thinking)


def _gemini_usage(items: list[Row]) -> Told | None:
    """The names are the SDK's; those of an answer read by hand are the API's own."""
    last = _last(item.get("usage_metadata") or item.get("usageMetadata") for item in items)
    if last is None:
        return None
    names = ("prompt", "tool_use_prompt", "total", "cached_content", "thoughts")
    counts = (f"{name}_token_count" for name in names)
    prompt, tools, total, cached, thoughts = (last.get(name) or last.get(_camel(name)) or 0 for name in counts)
    return Told(prompt + tools, total - prompt - tools, cached, thoughts)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


def _part(usage: Row, details: str, name: str) -> int:
    return (usage.get(details) or {}).get(name) or 0


def _last(usages: Iterable[Row | None]) -> Row | None:
    return next((usage for usage in reversed(list(usages)) if usage), None)


_USAGES: dict[str, Callable[[list[Row]], Told | None]] = {
    "openai.chat": _chat_usage,
    "openai.responses": _responses_usage,
    "openai.embeddings": _embeddings_usage,
    "anthropic.messages": _messages_usage,
    "gemini.generate": _gemini_usage,
}
