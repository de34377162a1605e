"""The rows of the rivals' table, in a process of their own, so that each generation of the SDKs can run them.

Prints one JSON object: for each row how many of its calls succeeded, and how many requests reached the provider.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import openai

import bursar
from bursar.testing import Rates, Script, ScriptedProvider

HELLO: Any = [{"role": "user", "content": "hello"}]
ASKED: dict[str, Any] = {"model": "m", "max_tokens": 5000, "messages": HELLO}
CALLS = 12
UNWANTED = getattr(openai, "LengthFinishReasonError", ())


def chat(url: str) -> Any:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none").chat.completions


def messages(url: str) -> Any:
    return anthropic.Anthropic(base_url=url, api_key="none").messages


def one_by_one(ask: Callable[[], object]) -> int:
    """Ask and ask again; count what succeeded."""
    return sum(is_served(ask) for _ in range(CALLS))


def is_served(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        if error.status_code != 402 or not isinstance(error, bursar.BudgetExceeded):
            raise
        return False
    except UNWANTED:
        return True
    return True


def chat_helper(url: str) -> object:
    with chat(url).stream(**ASKED) as stream:
        return stream.get_final_completion()


def messages_helper(url: str) -> object:
    with messages(url).stream(**ASKED) as stream:
        return stream.get_final_message()


def responses(url: str, **more: Any) -> Any:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    return client.responses.create(model=ASKED["model"], input="hello", max_output_tokens=ASKED["max_tokens"], **more)


def without_context(url: str) -> int:
    """Sixty calls in twenty threads that know nothing of the scope."""
    completions = chat(url)
    with ThreadPoolExecutor(20) as pool:
        return sum(pool.map(lambda _: is_served(lambda: completions.create(**ASKED)), range(60)))


def gathered(ask: Callable[[], Any]) -> int:
    """Forty calls at once in one event loop."""

    async def one() -> bool:
        try:
            await ask()
        except bursar.BudgetExceeded:
            return False
        return True

    async def every() -> int:
        return sum(await asyncio.gather(*(one() for _ in range(40))))

    return asyncio.run(every())


def chat_gathered(url: str) -> int:
    return gathered(lambda: openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none").chat.completions.create(**ASKED))


def messages_gathered(url: str) -> int:
    async def ask() -> object:
        async with anthropic.AsyncAnthropic(base_url=url, api_key="none").messages.stream(**ASKED) as stream:
            return await stream.get_final_message()

    return gathered(ask)


def beta(url: str) -> object:
    return anthropic.Anthropic(base_url=url, api_key="none").beta.messages.create(**ASKED)


ROWS: dict[str, Callable[[str], int]] = {
    "chat": lambda url: one_by_one(lambda: chat(url).create(**ASKED)),
    "chat, raw response": lambda url: one_by_one(lambda: chat(url).with_raw_response.create(**ASKED).parse()),
    "chat, streaming response": lambda url: one_by_one(lambda: entered(chat(url).with_streaming_response)),
    "chat, streamed": lambda url: one_by_one(lambda: list(chat(url).create(**ASKED, stream=True))),
    "chat, .stream()": lambda url: one_by_one(lambda: chat_helper(url)),
    "chat, threads without context": without_context,
    "chat, 40 at once": chat_gathered,
    "responses": lambda url: one_by_one(lambda: responses(url)),
    "responses, streamed": lambda url: one_by_one(lambda: list(responses(url, stream=True))),
    "messages": lambda url: one_by_one(lambda: messages(url).create(**ASKED)),
    "messages, raw response": lambda url: one_by_one(lambda: messages(url).with_raw_response.create(**ASKED).parse()),
    "messages, streamed": lambda url: one_by_one(lambda: list(messages(url).create(**ASKED, stream=True))),
    "messages, .stream()": lambda url: one_by_one(lambda: messages_helper(url)),
    "messages, beta": lambda url: one_by_one(lambda: beta(url)),
    "messages, 40 at once": messages_gathered,
}


def entered(completions: Any) -> object:
    with completions.create(**ASKED) as response:
        read: bytes = response.read()
    return read


def main(directory: Path, tokens: int) -> None:
    os.chdir(directory)
    (directory / "bursar.yaml").write_text("prices:\n  m: {input: 0, output: 50}\n")
    ASKED["max_tokens"] = tokens
    script = Script(output_tokens=tokens, rates=Rates(input=0, cache_read=0, output=50_000_000))
    told: dict[str, Any] = {"openai": openai.__version__, "anthropic": anthropic.__version__, "rows": {}}
    for name, row in ROWS.items():
        told["rows"][name] = counted(script, row)
    ASKED["model"] = "nobody-knows-its-price"
    for name in ("chat", "messages", "chat, 40 at once"):
        told["rows"][f"{name}, unknown model"] = counted(script, ROWS[name])
    bursar.close()
    print(json.dumps(told))


def counted(script: Script, row: Callable[[str], int]) -> list[Any]:
    with ScriptedProvider({"*": script}) as provider, bursar.budget("$1") as budget:
        served = row(provider.url)
        invoice = provider.invoice(calls=0)
        return [served, invoice["requests"], invoice["total_nano"], str(budget.spent), budget.calls]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
