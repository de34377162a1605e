"""Calls by litellm without an adapter: each of its ways in turn, for ever."""

import asyncio
import itertools
from collections.abc import Callable

import litellm

import bursar

ASKED = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "When?"}]}


async def whole() -> None:
    await litellm.acompletion(**ASKED)


async def streamed() -> None:
    async for _ in await litellm.acompletion(stream=True, **ASKED):
        pass


WAYS: tuple[Callable[[], object], ...] = (
    lambda: litellm.completion(**ASKED),
    lambda: list(litellm.completion(stream=True, **ASKED)),
    lambda: litellm.responses(model="openai/gpt-5-mini", input="When?"),
    lambda: asyncio.run(whole()),
    lambda: asyncio.run(streamed()),
)

with bursar.budget("$0.05"):
    for way in itertools.cycle(WAYS):
        way()
