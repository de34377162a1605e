"""Read one answer, streamed or whole, or two, and end well whatever they come to. It knows nothing of bursar."""

import asyncio
import json
import os
import sys
import urllib.request
from typing import Any

ASKED: Any = {"model": "m", "max_tokens": 20_000, "messages": [{"role": "user", "content": "hello"}]}


def raw() -> None:
    """Ask with the standard library, which nobody meters."""
    address = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    body = json.dumps({**ASKED, "stream": True}).encode()
    request = urllib.request.Request(address, body, {"authorization": "Bearer k"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        print("length" if b'"length"' in answer.read() else "stop")


def raw_whole() -> None:
    """Ask so for an answer that does not stream."""
    address = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    request = urllib.request.Request(address, json.dumps(ASKED).encode(), {"authorization": "Bearer k"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        print(json.load(answer)["choices"][0]["finish_reason"])


def whole(**more: Any) -> None:
    import openai

    with openai.OpenAI(api_key="k") as client:
        print(client.chat.completions.create(**{**ASKED, **more}).choices[0].finish_reason)


def goes_on() -> None:
    whole()
    whole(max_tokens=100)


async def read(**more: Any) -> None:
    import openai

    async with openai.AsyncOpenAI(api_key="k") as client:
        stream = await client.chat.completions.create(**{**ASKED, **more}, stream=True)
        print(*[choice.finish_reason async for chunk in stream for choice in chunk.choices if choice.finish_reason])


async def both() -> None:
    await asyncio.gather(read(), read())


def one() -> None:
    asyncio.run(read())


def two() -> None:
    asyncio.run(both())


def capped() -> None:
    asyncio.run(read(max_tokens=100))


def inner() -> None:
    import bursar

    with bursar.budget("$0.30"):
        one()


globals()[sys.argv[1]]()
