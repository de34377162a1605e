"""The wire of OpenAI's legacy completions: requests in, answers, chunks and errors out.

Owns that JSON, as the real API writes it. It must never decide what is generated or billed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from bursar.testing.provider.answer import Answer, Ask, content_text
from bursar.testing.provider.openai_common import DONE, OpenAICommon, count_of, usage_of
from bursar.testing.provider.openai_inputs import Input, inputs_bytes, inputs_of
from bursar.testing.provider.shape import Problem, compact, padded, required

__all__ = ["CAP_DEFAULT", "CompletionsShape"]

CAP_DEFAULT = 16
"""What the API takes where a request names no `max_tokens`."""
ANSWERS_MAX = 128
CHOICES_MAX = 2048
END_OF_TEXT = "<|endoftext|>"
"""The prompt of a request that has none."""
SPLIT = b'"@"'


class CompletionsShape(OpenAICommon):
    """Speak OpenAI's legacy completions."""

    wire: Literal["completions"] = "completions"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        """Parse a request. Raises Problem as OpenAI would refuse it."""
        model = required(body, "model", str, Problem(400, "you must provide a model parameter"))
        prompts = _prompts(body)
        suffix = body["suffix"] if isinstance(body.get("suffix"), str) else ""
        each, made = _answers(body)
        if made * len(prompts) > CHOICES_MAX:
            raise Problem(400, f"Too many completions: at most {CHOICES_MAX} in one request.", param="prompt")
        is_stream = body.get("stream") is True
        if is_stream and made > each:
            raise Problem(400, "best_of is not supported with streaming.", param="best_of")
        options = body.get("stream_options")
        if options is not None and not is_stream:
            text = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
            raise Problem(400, text, param="stream_options")
        return Ask(
            wire=self.wire,
            model=model,
            is_stream=is_stream,
            cap_tokens=None if body.get("max_tokens") is None else count_of(body, "max_tokens", least=0),
            cap_name="max_tokens",
            cap_default_tokens=CAP_DEFAULT,
            choices=made * len(prompts),
            shown=each * len(prompts),
            wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
            prompt_bytes=inputs_bytes([*prompts, suffix]),
            body=body,
        )

    def answer_id(self, unique: str) -> str:
        """Return an answer's id."""
        return f"cmpl-{unique}"

    def whole(self, answer: Answer) -> bytes:
        """Return the body of a whole answer: `n` choices of each prompt, however many `best_of` made."""
        finish, echoes = _finish_reason(answer), _echoes(answer)
        body: dict[str, Any] = {
            **_envelope(answer),
            "choices": [_choice(index, echo + answer.text, finish) for index, echo in enumerate(echoes)],
            "usage": _usage(answer, answer.stop_tokens),
        }
        if answer.script.fault == "no_usage":
            del body["usage"]
        return compact(body)

    def opening(self, answer: Answer) -> bytes:
        """Return the prompts, when the request wants them repeated."""
        if not answer.ask.body.get("echo"):
            return b""
        return b"".join(_chunk(answer, index, echo) for index, echo in enumerate(_echoes(answer)))

    def content(self, answer: Answer, start: int, end: int) -> bytes:
        """Return the content chunks [start, end) of every choice, choices in turn."""
        frames = [_chunk(answer, index, "@").rpartition(SPLIT) for index in range(answer.ask.shown)]
        pieces = answer.events[start:end]
        return b"".join(before + piece + after for piece in pieces for before, _, after in frames)

    def closing(self, answer: Answer) -> bytes:
        """Return the chunks with the finish reason, the usage if asked for, and the end."""
        finish = _finish_reason(answer)
        last = b"".join(_chunk(answer, index, "", finish) for index in range(answer.ask.shown))
        return last + self.usage(answer, answer.stop_tokens) + DONE

    def usage(self, answer: Answer, tokens: int) -> bytes:
        """Return the chunk that reports usage, or nothing when the client did not ask for it."""
        if not answer.ask.wants_usage or answer.script.fault == "no_usage":
            return b""
        return _event({**_envelope(answer), "choices": [], "usage": _usage(answer, tokens)})

    def broken(self, answer: Answer) -> bytes:
        """Return a chunk that stops in the middle of its JSON."""
        return b'data: {"id":"' + answer.id.encode() + b'","choices":[{"index":0,"text":"\n\n'

    def long_line(self, size_bytes: int) -> bytes:
        """Return a chunk without content whose line has `size_bytes` bytes."""
        before = b'data: {"id":"cmpl-long","object":"text_completion","created":0,"model":"long",'
        return padded(before + b'"choices":[],"obfuscation":"', b'"}', size_bytes) + b"\n\n"


def _prompts(body: Mapping[str, Any]) -> list[Input]:
    return [END_OF_TEXT] if body.get("prompt") is None else inputs_of(body, "prompt")


def _answers(body: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many answers are shown for a prompt, and how many are made and billed."""
    shown = 1 if body.get("n") is None else count_of(body, "n", most=ANSWERS_MAX)
    if body.get("best_of") is None:
        return shown, shown
    made = count_of(body, "best_of", most=ANSWERS_MAX)
    if made < shown:
        text = (
            "You requested that the server return more choices than it will generate (HINT: you must set 'n'"
            f" (currently {shown}) to be at most 'best_of' (currently {made}), or omit either parameter if you don't"
            " specifically want to use them.)"
        )
        raise Problem(400, text, param="best_of")
    return shown, made


def _echoes(answer: Answer) -> list[str]:
    """Return what stands before each choice's text: its prompt where the request asks for an echo."""
    prompts = _prompts(answer.ask.body)
    each = answer.ask.shown // len(prompts)
    if not answer.ask.body.get("echo"):
        return [""] * answer.ask.shown
    texts = [prompt if isinstance(prompt, str) else content_text(None, 0, 0, len(prompt)) for prompt in prompts]
    return [text for text in texts for _ in range(each)]


def _finish_reason(answer: Answer) -> str:
    return "length" if answer.is_length else "stop"


def _usage(answer: Answer, tokens: int) -> dict[str, Any]:
    """Return the usage. The API leaves out what was not generated, and details that say nothing."""
    usage = usage_of(answer, tokens)
    if usage["completion_tokens"] == 0:
        del usage["completion_tokens"]
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        if not any(usage[name].values()):
            del usage[name]
    return usage


def _envelope(answer: Answer) -> dict[str, Any]:
    return {"id": answer.id, "object": "text_completion", "created": answer.created_s, "model": answer.ask.model}


def _choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


def _event(data: dict[str, Any]) -> bytes:
    # Escaped, since an echo may repeat half of a surrogate pair.
    return b"data: " + json.dumps(data, separators=(",", ":")).encode("ascii") + b"\n\n"


def _chunk(answer: Answer, index: int, text: str, finish: str | None = None) -> bytes:
    data = {**_envelope(answer), "choices": [_choice(index, text, finish)]}
    if answer.ask.wants_usage:
        data["usage"] = None
    return _event(data)
