"""An agent that never stops: it swallows whatever its SDK raises. It knows nothing of bursar."""

import asyncio
import subprocess
import sys
import threading
from typing import Any

import openai

ASKED: Any = {"model": "m", "max_tokens": 5000, "messages": [{"role": "user", "content": "hello"}]}


def plain() -> None:
    client = openai.OpenAI(api_key="k")
    while True:
        try:
            client.chat.completions.create(**ASKED)
            print("ok", flush=True)
        except Exception:  # noqa: BLE001 - this is what it is for
            pass


def threads() -> None:
    for _ in range(8):
        threading.Thread(target=plain).start()


def child() -> None:
    while True:
        subprocess.run([sys.executable, __file__, "once"], check=False)


def once() -> None:
    openai.OpenAI(api_key="k").chat.completions.create(**ASKED)
    print("ok", flush=True)


async def many() -> None:
    client = openai.AsyncOpenAI(api_key="k")
    while True:
        answers = await asyncio.gather(
            *(client.chat.completions.create(**ASKED) for _ in range(10)), return_exceptions=True
        )
        for answer in answers:
            if not isinstance(answer, BaseException):
                print("ok", flush=True)


def tasks() -> None:
    asyncio.run(many())


globals()[sys.argv[1]]()
