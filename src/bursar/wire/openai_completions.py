"""The wire `openai.completions`: the older `POST /v1/completions`, which many local servers speak as well.

Owns how many answers a body asks for, since every one of `best_of` is billed for each prompt, and how a cap is
written. It must never change anything else of a body.

Refused, each naming its field: prompts that are neither text nor tokens (`prompt_embeds` included), more than 2,048
prompts or answers, `models` and `plugins`, service tiers, and the fields of `refuse_control_fields`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bursar.errors import BadRequest
from bursar.wire.adapter import Adapter
from bursar.wire.anatomy import shape_key
from bursar.wire.base import Anatomy, Answer, Request
from bursar.wire.fields import count_field, flag_field, model_field, refuse_control_fields
from bursar.wire.openai_completions_stream import CompletionsReader, read_text_completion
from bursar.wire.openai_prompts import Prompts, prompt_labels, read_prompts, refuse_service_tier
from bursar.wire.strict_json import dump_parsed
from bursar.wire.text import strings_bytes, text_bytes

__all__ = ["CAP_DEFAULT", "OpenAICompletions"]

CAP_DEFAULT = 16
"""What the API takes where a body names no `max_tokens`; written as it is held, so that every server does the same."""
CHOICES_MAX = 2_048
_ANSWERS_MAX = 128
"""The most that `n` or `best_of` may be."""
_UNBOUNDED = ("prompt_embeds", "models", "fallbacks", "plugins")
_COUNTED_ELSEWHERE = frozenset(
    {"model", "prompt", "suffix", "stop", "logit_bias", "stream_options", "user", "safety_identifier", "metadata",
     "service_tier"}
)  # fmt: skip
"""Fields that are no input text, or are counted by name; the text of every other field counts as system prompt."""


@dataclass(frozen=True, slots=True)
class OpenAICompletions(Adapter):
    """Text completions."""

    name: str = "openai.completions"
    _path: ClassVar[str] = "/completions"

    def parse(self, raw: bytes) -> Request:
        """Parse a body strictly. Raises BadRequest (with `param`) for what cannot be parsed or bounded."""
        return _read_request(self.name, self.parsed(raw))

    def encode(self, request: Request, *, model: str, cap: int | None) -> bytes:
        """Write the body that goes upstream; a cap of 0 (only score the prompt) stays as it is."""
        body = dict(request.body)
        body["model"] = model
        if cap is not None and request.has_output:
            body["max_tokens"] = cap
        if request.is_stream:
            body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        return dump_parsed(body)

    def read(self, request: Request, value: dict[str, Any]) -> Answer | None:
        """Read a whole answer's object; None when it is no text completion."""
        return read_text_completion(request, value)

    def reader(self, request: Request) -> CompletionsReader:
        """Make the reader of one stream."""
        return CompletionsReader(request)


def _read_request(wire: str, body: dict[str, Any]) -> Request:
    refuse_control_fields(body)
    model = model_field(body)
    for name in _UNBOUNDED:
        if body.get(name):
            raise BadRequest(f"`{name}` cannot be bounded: leave it out", param=name)
    refuse_service_tier(body)
    prompts = read_prompts(body["prompt"], "prompt") if body.get("prompt") is not None else Prompts(1, 0)
    suffix = body.get("suffix")
    if suffix is not None and type(suffix) is not str:
        raise BadRequest("`suffix` must be a string", param="suffix")
    flag_field(body, "echo")
    is_stream = flag_field(body, "stream")
    has_output = type(body.get("max_tokens")) is not int or body["max_tokens"] != 0
    other = sum(strings_bytes(value) for name, value in body.items() if name not in _COUNTED_ELSEWHERE)
    return Request(
        wire=wire,
        model=model,
        body=body,
        is_stream=is_stream,
        wants_usage=not is_stream or _wants_usage(body),
        cap=(count_field(body, "max_tokens") or CAP_DEFAULT) if has_output else None,
        choices=_choices(body, prompts.count),
        anatomy=Anatomy(system=other, history=text_bytes(suffix) if suffix else 0, user=prompts.size_bytes),
        shape_key=shape_key(),
        body_labels=prompt_labels(body),
        has_output=has_output,
    )


def _choices(body: Mapping[str, Any], prompts: int) -> int:
    """Count the answers that are generated and billed, whether they are shown or not."""
    each = max(count_field(body, name, most=_ANSWERS_MAX) or 1 for name in ("n", "best_of"))
    if each * prompts > CHOICES_MAX:
        raise BadRequest(
            f"{prompts:,} prompts with {each} answers each are more than {CHOICES_MAX:,}: send fewer at once",
            param="prompt",
        )
    return each * prompts


def _wants_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, Mapping):
        raise BadRequest("`stream_options` must be an object", param="stream_options")
    return options.get("include_usage") is True
