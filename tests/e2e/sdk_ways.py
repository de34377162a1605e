"""The ways in which the real SDKs ask: one function each, from a base address to what the SDK's user has.

They use the SDKs as their documentation shows it, retries and all; every client that is opened is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
from google import genai
from google.genai import types

__all__ = ["STREAMED", "WAYS", "Read", "Way"]

TEXT = "hello"


@dataclass(frozen=True)
class Read:
    """What the SDK made of an answer; tokens are those that its usage tells, all input and all output."""

    end: str
    """Why it ended, in the API's own word."""
    input: int
    output: int
    headers: Mapping[str, str]
    text: str = ""


@dataclass(frozen=True)
class Way:
    """One way to ask. `ask` takes the address of a gateway, a prefix included."""

    ask: Callable[[str], Read]
    wire: str
    family: str
    """The prefix of its API, which is the name of a provider as well."""
    end: str = ""
    """How a whole answer ends."""
    cut: str = ""
    """How an answer ends that reached its cap; "" where there is no such thing."""


Headers = dict[str, str]


@contextlib.contextmanager
def _openai(url: str) -> Iterator[tuple[openai.OpenAI, Headers]]:
    """Open OpenAI's client, with the headers of its last answer beside it."""
    headers: Headers = {}

    def keep(response: Any) -> None:
        headers.update(response.headers)

    http_client = openai.DefaultHttpxClient(event_hooks={"response": [keep]})
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", http_client=http_client) as client:
        yield client, headers


def _of_response(response: Any, headers: Headers) -> Read:
    why = response.incomplete_details
    end = response.status if why is None else f"{response.status}: {why.reason}"
    return Read(end, response.usage.input_tokens, response.usage.output_tokens, headers, response.output_text)


def responses(url: str) -> Read:
    with _openai(url) as (client, headers):
        return _of_response(client.responses.create(model="m", input=TEXT), headers)


def responses_streamed(url: str) -> Read:
    with _openai(url) as (client, headers):
        events = list(client.responses.create(model="m", input=TEXT, stream=True))
        last = events[-1]
        assert last.type in ("response.completed", "response.incomplete")
        return _of_response(last.response, headers)


def responses_helped(url: str) -> Read:
    with _openai(url) as (client, headers):
        with client.responses.stream(model="m", input=TEXT) as stream:
            last = list(stream)[-1]
        assert last.type in ("response.completed", "response.incomplete")
        return _of_response(last.response, headers)


def embeddings(url: str) -> Read:
    with _openai(url) as (client, headers):
        told = client.embeddings.create(model="m", input=[TEXT, TEXT])
        assert len(told.data) == 2 and all(isinstance(number, float) for number in told.data[1].embedding)
        return Read("", told.usage.total_tokens, 0, headers)


def completions(url: str) -> Read:
    with _openai(url) as (client, headers):
        told = client.completions.create(model="m", prompt=TEXT, max_tokens=1000)
        assert told.usage is not None
        (choice,) = told.choices
        return Read(choice.finish_reason, told.usage.prompt_tokens, told.usage.completion_tokens, headers, choice.text)


def completions_streamed(url: str) -> Read:
    with _openai(url) as (client, headers):
        # Without a cap this API ends after 16 tokens.
        asked: Any = {"model": "m", "prompt": TEXT, "max_tokens": 64_000, "stream": True}
        chunks: list[Any] = list(client.completions.create(**asked, stream_options={"include_usage": True}))
        choices = [choice for chunk in chunks for choice in chunk.choices]
        (end,) = [choice.finish_reason for choice in choices if choice.finish_reason]
        usage = chunks[-1].usage
        text = "".join(choice.text for choice in choices)
        return Read(end, usage.prompt_tokens, usage.completion_tokens, headers, text)


def chat(url: str) -> Read:
    with _openai(url) as (client, headers):
        told = client.chat.completions.create(model="m", messages=[{"role": "user", "content": TEXT}])
        assert told.usage is not None
        (choice,) = told.choices
        text = choice.message.content or ""
        return Read(choice.finish_reason, told.usage.prompt_tokens, told.usage.completion_tokens, headers, text)


def messages(url: str) -> Read:
    headers: Headers = {}

    def keep(response: Any) -> None:
        headers.update(response.headers)

    http_client = anthropic.DefaultHttpxClient(event_hooks={"response": [keep]})
    asked: Any = [{"role": "user", "content": TEXT}]
    with anthropic.Anthropic(base_url=url, api_key="none", http_client=http_client) as client:
        told = client.messages.create(model="m", max_tokens=1000, messages=asked)
        (block,) = told.content
        assert block.type == "text"
        return Read(str(told.stop_reason), told.usage.input_tokens, told.usage.output_tokens, headers, block.text)


def _genai(url: str) -> genai.Client:
    retries = types.HttpRetryOptions(attempts=3, initial_delay=0.01)
    return genai.Client(api_key="none", http_options=types.HttpOptions(base_url=url, retry_options=retries))


def _of_google(chunks: list[types.GenerateContentResponse]) -> Read:
    last, told = chunks[-1], chunks[0].sdk_http_response
    assert last.candidates and last.usage_metadata and told is not None and told.headers is not None
    reason, usage = last.candidates[0].finish_reason, last.usage_metadata
    assert reason is not None and usage.total_token_count is not None and usage.prompt_token_count is not None
    headers = {name.lower(): value for name, value in told.headers.items()}
    text = "".join(chunk.text or "" for chunk in chunks)
    output = usage.total_token_count - usage.prompt_token_count
    return Read(reason.value, usage.prompt_token_count, output, headers, text)


def gemini(url: str) -> Read:
    with _genai(url) as client:
        return _of_google([client.models.generate_content(model="m", contents=TEXT)])


def gemini_streamed(url: str) -> Read:
    with _genai(url) as client:
        return _of_google(list(client.models.generate_content_stream(model="m", contents=TEXT)))


def gemini_async(url: str) -> Read:
    async def ask() -> Read:
        with _genai(url) as client:
            async with client.aio as aio:
                return _of_google([await aio.models.generate_content(model="m", contents=TEXT)])

    return asyncio.run(ask())


def gemini_async_streamed(url: str) -> Read:
    async def ask() -> Read:
        with _genai(url) as client:
            async with client.aio as aio:
                stream = await aio.models.generate_content_stream(model="m", contents=TEXT)
                return _of_google([chunk async for chunk in stream])

    return asyncio.run(ask())


_RESPONSES = ("openai.responses", "openai", "completed")
_COMPLETIONS = ("openai.completions", "openai", "stop")
_GEMINI = ("gemini.generate", "gemini", "STOP")
_IS_CUT = "incomplete: max_output_tokens"

WAYS = {
    "responses": Way(responses, *_RESPONSES),
    "responses-streamed": Way(responses_streamed, *_RESPONSES, cut=_IS_CUT),
    "responses-helped": Way(responses_helped, *_RESPONSES, cut=_IS_CUT),
    "embeddings": Way(embeddings, "openai.embeddings", "openai"),
    "completions": Way(completions, *_COMPLETIONS),
    "completions-streamed": Way(completions_streamed, *_COMPLETIONS, cut="length"),
    "chat": Way(chat, "openai.chat", "openai", "stop"),
    "messages": Way(messages, "anthropic.messages", "anthropic", "end_turn"),
    "gemini": Way(gemini, *_GEMINI),
    "gemini-streamed": Way(gemini_streamed, *_GEMINI, cut="MAX_TOKENS"),
    "gemini-async": Way(gemini_async, *_GEMINI),
    "gemini-async-streamed": Way(gemini_async_streamed, *_GEMINI, cut="MAX_TOKENS"),
}
"""Chat and messages have tests of their own; here they are for what all wires have in common."""
STREAMED = {name: way for name, way in WAYS.items() if way.cut}
