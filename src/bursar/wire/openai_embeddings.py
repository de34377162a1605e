"""The wire `openai.embeddings`: `POST /v1/embeddings`, of OpenAI and the many servers that speak like it.

Owns what an embedding request may cost: its input, since it has no output. Nothing is written into a body but the
model; it must never touch the answer, whatever its `encoding_format`.

Refused, each naming its field: `stream`, more than 2,048 items, items that are neither text nor tokens (images have no
known size here), service tiers, and the fields of `refuse_control_fields`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from bursar.core.usage import COUNT_MAX, Usage
from bursar.errors import BadRequest
from bursar.wire.adapter import Adapter, loaded
from bursar.wire.anatomy import shape_key
from bursar.wire.base import Anatomy, Answer, Request
from bursar.wire.fields import flag_field, model_field, refuse_control_fields
from bursar.wire.openai_prompts import prompt_labels, read_prompts, refuse_service_tier
from bursar.wire.strict_json import dump_parsed
from bursar.wire.text import strings_bytes

__all__ = ["OpenAIEmbeddings"]

_NO_INPUT = frozenset(
    {"model", "input", "encoding_format", "dimensions", "user", "safety_identifier", "metadata", "service_tier"}
)
"""Fields that are no input text, or are counted by name; the text of every other field counts as system prompt."""
_TAIL_BYTES_MAX = 4 * 1024
"""How much of a large answer is looked at: providers write usage behind the vectors."""
_WHOLE_BYTES_MAX = 64 * 1024
"""Answers up to this size are parsed whole."""


@dataclass(frozen=True, slots=True)
class OpenAIEmbeddings(Adapter):
    """Embeddings."""

    name: str = "openai.embeddings"
    _path: ClassVar[str] = "/embeddings"

    def parse(self, raw: bytes) -> Request:
        """Parse a body strictly. Raises BadRequest (with `param`) for what cannot be parsed or bounded."""
        body = self.parsed(raw)
        refuse_control_fields(body)
        model = model_field(body)
        if flag_field(body, "stream"):
            raise BadRequest("embeddings do not stream: leave `stream` out", param="stream")
        refuse_service_tier(body)
        if body.get("input") is None:
            raise BadRequest("`input` is required", param="input")
        other = sum(strings_bytes(value) for name, value in body.items() if name not in _NO_INPUT)
        return Request(
            wire=self.name,
            model=model,
            body=body,
            is_stream=False,
            wants_usage=True,
            cap=None,
            anatomy=Anatomy(system=other, user=read_prompts(body["input"], "input").size_bytes),
            shape_key=shape_key(),
            body_labels=prompt_labels(body),
            has_output=False,
        )

    def encode(self, request: Request, *, model: str, cap: int | None) -> bytes:
        """Write the body that goes upstream. There is no output, and so no cap, whatever is held."""
        return dump_parsed({**request.body, "model": model})

    def read_whole(self, request: Request, body: bytes) -> Answer | None:
        """Read a whole answer; None when it is none of this API. The vectors of a large one are not walked."""
        value = _tail(body) or loaded(body)
        if value is None or not (isinstance(value.get("data"), list) or isinstance(value.get("usage"), Mapping)):
            return None
        model = value.get("model")
        return Answer(
            usage=embeddings_usage(value.get("usage")),
            visible_tokens=0,
            model=model if isinstance(model, str) else "",
        )

    def reader(self, request: Request) -> NoReturn:
        """Embeddings do not stream, and `parse` refuses what asks for it."""
        raise NotImplementedError("embeddings do not stream")

    def named_maximum(self, status: int, body: bytes) -> int | None:
        """There is no output to have a maximum."""
        return None

    def named_room(self, status: int, body: bytes) -> int | None:
        """There is no output to have room for."""
        return None


def embeddings_usage(raw: object) -> Usage | None:
    """Read the input; servers that tell only `total_tokens` (Voyage) have nothing but input in it."""
    if not isinstance(raw, Mapping):
        return None
    told = [raw[name] for name in ("prompt_tokens", "total_tokens") if raw.get(name) is not None]
    if not told or any(type(count) is not int or not 0 <= count <= COUNT_MAX for count in told):
        return None
    return Usage(input_tokens=max(told))


def _tail(body: bytes) -> dict[str, Any] | None:
    """Read what stands behind the vectors of a large answer; None when usage is not there."""
    end = body[-_TAIL_BYTES_MAX:] if len(body) > _WHOLE_BYTES_MAX and body[:64].lstrip()[:1] == b"{" else b""
    _, closed, behind = end.rpartition(b"]")
    if not closed:
        return None
    value = loaded(b"{" + behind.lstrip().removeprefix(b","))
    return value if value is not None and isinstance(value.get("usage"), Mapping) else None
