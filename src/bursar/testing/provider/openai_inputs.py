"""Bare prompts, as OpenAI's embeddings and legacy completions take them: a string, strings, or arrays of tokens.

Owns how many a body holds and how large they are. It must never know an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bursar.testing.provider.answer import BYTES_PER_TOKEN
from bursar.testing.provider.shape import Problem

__all__ = ["INPUTS_MAX", "Input", "inputs_bytes", "inputs_of"]

INPUTS_MAX = 2048

Input = str | tuple[int, ...]
"""One prompt: text, or tokens."""


def inputs_of(body: Mapping[str, Any], name: str) -> list[Input]:
    """Return the prompts under `name`. Raises Problem as OpenAI refuses anything else."""
    value = body[name]
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        raise _invalid(name)
    if isinstance(value[0], int):
        return [_tokens(value, name)]
    if len(value) > INPUTS_MAX:
        text = f"Invalid '{name}': array too long. Expected an array with maximum length {INPUTS_MAX}."
        raise Problem(400, text, param=name, code="array_above_max_length")
    return [each if isinstance(each, str) else _tokens(each, name) for each in value]


def _tokens(value: object, name: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not value:
        raise _invalid(name)
    if not all(isinstance(token, int) and not isinstance(token, bool) for token in value):
        raise _invalid(name)
    return tuple(value)


def _invalid(name: str) -> Problem:
    return Problem(400, f"'$.{name}' is invalid. Please check the API reference.", param=None)


def inputs_bytes(inputs: list[Input]) -> int:
    """Return the size of all prompts: UTF-8 bytes of text, four bytes for a token."""
    return sum(
        len(each.encode("utf-8", "surrogatepass")) if isinstance(each, str) else BYTES_PER_TOKEN * len(each)
        for each in inputs
    )
