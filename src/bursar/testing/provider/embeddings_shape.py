"""The wire of OpenAI's embeddings: requests in, vectors and errors out.

Owns that JSON, as the real API writes it. It must never decide what is billed: the input alone, since nothing is
generated.
"""

from __future__ import annotations

import base64
import hashlib
from array import array
from collections.abc import Mapping
from functools import lru_cache
from math import sqrt
from typing import Any, Literal

from bursar.testing.provider.answer import Answer, Ask
from bursar.testing.provider.openai_common import OpenAICommon, count_of
from bursar.testing.provider.openai_inputs import Input, inputs_bytes, inputs_of
from bursar.testing.provider.shape import Problem, WholeOnly, compact, required

__all__ = ["EmbeddingsShape"]

DIMENSIONS = 1536
DIMENSIONS_MAX = 3072
FORMATS = ("float", "base64")
BYTES_PER_NUMBER = 2


class EmbeddingsShape(WholeOnly, OpenAICommon):
    """Speak OpenAI's embeddings. Equal inputs have equal vectors of length 1; other inputs have nothing in common."""

    wire: Literal["embeddings"] = "embeddings"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        """Parse a request. Raises Problem as OpenAI would refuse it."""
        model = required(body, "model", str, Problem(400, "you must provide a model parameter"))
        if body.get("input") is None:
            raise Problem(400, "'input' is a required property")
        inputs = inputs_of(body, "input")
        if "" in inputs:
            raise Problem(400, "'$.input' is invalid. Please check the API reference.")
        if body.get("encoding_format") not in (None, *FORMATS):
            text = f"{body['encoding_format']!r} is not one of ['float', 'base64'] - 'encoding_format'"
            raise Problem(400, text)
        if body.get("dimensions") is not None:
            count_of(body, "dimensions", most=DIMENSIONS_MAX)
        return Ask(
            wire=self.wire,
            model=model,
            is_stream=False,
            cap_tokens=None,
            cap_name="",
            choices=1,
            wants_usage=True,
            prompt_bytes=inputs_bytes(inputs),
            has_output=False,
            body=body,
        )

    def answer_id(self, unique: str) -> str:
        """Return an id for the invoice; the answer itself names none."""
        return f"embd-{unique}"

    def whole(self, answer: Answer) -> bytes:
        """Return the body of the answer."""
        request = answer.ask.body
        size = request.get("dimensions") or DIMENSIONS
        vectors = (_vector(each, size) for each in inputs_of(request, "input"))
        is_text = request.get("encoding_format") == "base64"
        prompt = answer.prompt.input
        body: dict[str, Any] = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": _text(vector) if is_text else vector.tolist()}
                for index, vector in enumerate(vectors)
            ],
            "model": answer.ask.model,
            "usage": {"prompt_tokens": prompt, "total_tokens": prompt},
        }
        if answer.script.fault == "no_usage":
            del body["usage"]
        return compact(body)


@lru_cache(maxsize=256)
def _vector(item: Input, size: int) -> array[float]:
    """Return a vector of length 1 that depends on the item alone."""
    known = item if isinstance(item, str) else repr(item)
    raw = hashlib.shake_128(known.encode("utf-8", "surrogatepass")).digest(BYTES_PER_NUMBER * size)
    numbers = array("h", raw)
    length = sqrt(sum(number * number for number in numbers)) or 1.0
    return array("f", (number / length for number in numbers))


def _text(vector: array[float]) -> str:
    return base64.b64encode(vector.tobytes()).decode()
