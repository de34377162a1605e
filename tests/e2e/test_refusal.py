"""A refusal ends a client's retries at once and tells a person what to do, in every SDK generation."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp.web
import pytest
from tests.e2e.world import chat, session, usd, world

from bursar.config.settings import Limits
from bursar.testing import Rates, Script

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SDKS_OLD = ROOT / ".venv" / "sdks-old"
CLIENT = Path(__file__).with_name("refused_client.py")
LINK = "https://example.com/more-budget"
GENERATIONS = [("openai", "old", "2"), ("openai", "new", "3"), ("anthropic", "old", "0"), ("anthropic", "new", "2")]


def run_client(sdk: str, generation: str, kind: str, url: str) -> dict[str, Any]:
    environ = dict(os.environ)
    if generation == "old":
        if not SDKS_OLD.is_dir():
            pytest.skip("the SDKs of the generation before are not in .venv/sdks-old: scripts/test brings them")
        environ["PYTHONPATH"] = str(SDKS_OLD)
    done = subprocess.run(
        [sys.executable, str(CLIENT), sdk, kind, url],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


class CountingProxy:
    """Count the requests on their way to the gateway, so that a silent retry of an SDK is seen."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.count = 0
        self.headers: dict[str, str] = {}
        self._runner: aiohttp.web.AppRunner | None = None

    async def __aenter__(self) -> CountingProxy:
        app = aiohttp.web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = aiohttp.web.AppRunner(app)
        await self._runner.setup()
        site = aiohttp.web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _pass(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        self.count += 1
        async with (
            session() as client,
            client.request(
                request.method,
                self.target + request.path_qs,
                data=await request.read(),
                headers={name: value for name, value in request.headers.items() if name.lower() != "host"},
            ) as answer,
        ):
            body = await answer.read()
            headers = {
                name: value
                for name, value in answer.headers.items()
                if name.lower() not in ("content-length", "transfer-encoding")
            }
            self.headers = {name.lower(): value for name, value in headers.items()}
            return aiohttp.web.Response(status=answer.status, body=body, headers=headers)


@pytest.mark.parametrize("kind", ["whole", "stream"])
@pytest.mark.parametrize(("sdk", "generation", "major"), GENERATIONS)
async def test_a_refused_call_is_tried_once_and_raises_the_sdks_own_error_with_our_words(
    tmp_path: Path, sdk: str, generation: str, major: str, kind: str
) -> None:
    with world(tmp_path, Script(), [usd(1, name="tiny", link=LINK)]) as made:
        async with CountingProxy(made.url) as proxy:
            seen = await asyncio.to_thread(run_client, sdk, generation, kind, proxy.url)
            assert proxy.count == 1
            # Nothing that an SDK reads as a time to sleep for, though the IETF's fields are there.
            assert proxy.headers["ratelimit"] == '"tiny/usd";r=0'
            assert not {"retry-after", "retry-after-ms"} & set(proxy.headers)
        assert seen["version"].split(".")[0] == major
        assert seen["status"] == 402
        assert seen["type"] == (
            "PaymentRequiredError" if (sdk, generation) == ("anthropic", "new") else "APIStatusError"
        )
        assert "'tiny'" in seen["text"]
        assert LINK in seen["text"]
        assert seen["code"] == {"openai": "budget_exceeded", "anthropic": "billing_error"}[sdk]
        assert "rate limit" not in seen["text"].lower() and "429" not in seen["text"]
        assert made.provider.invoice()["requests"] == 0


async def test_codex_is_told_by_the_one_status_that_it_does_not_retry(tmp_path: Path) -> None:
    with world(tmp_path, Script(), [usd(1)]) as made:
        async with session() as client:
            body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
            headers = {"originator": "codex_cli_rs"}
            async with client.post(f"{made.url}/v1/chat/completions", json=body, headers=headers) as response:
                told = await response.json()
        assert response.status == 429
        assert "retry-after" not in response.headers
        assert told["error"]["code"] == told["error"]["type"] == "usage_limit_reached"


async def test_a_contended_call_waits_and_succeeds(tmp_path: Path) -> None:
    script = Script(output_tokens=1000, first_byte_s=0.5, rates=Rates(input=0, cache_read=0, output=10_000_000))
    budget = usd(15_000_000)  # $0.015: one call of $0.01 at a time beside what is spent, and a second only afterwards
    with world(tmp_path, script, [budget]) as made:
        made.provider.set("*", Script(output_tokens=100, first_byte_s=0.5, rates=script.rates))
        async with session() as client:
            told = await asyncio.gather(*(chat(client, made.url, cap=1000, is_stream=False) for _ in range(4)))
        # Each holds $0.01 and costs $0.001: never two at once, yet all four are served.
        assert [one.status for one in told] == [200] * 4
        assert made.assert_sound().settled == 4_000_000


async def test_a_call_that_waits_too_long_is_told_to_come_back_shortly(tmp_path: Path) -> None:
    script = Script(output_tokens=1000, first_byte_s=3, rates=Rates(input=0, cache_read=0, output=10_000_000))
    with world(tmp_path, script, [usd(15_000_000)], limits=Limits(hold_wait_s=0.3)) as made:
        async with session() as client:
            first = asyncio.create_task(chat(client, made.url, cap=1000, is_stream=False))
            await made.provider.wait_async(requests=1)
            body = {"model": "m", "max_tokens": 1000, "messages": [{"role": "user", "content": "hello"}]}
            async with client.post(f"{made.url}/v1/chat/completions", json=body) as response:
                told = await response.json()
            assert (await first).status == 200
        assert response.status == 429
        assert 0 < int(response.headers["retry-after"]) <= 60
        assert "x-should-retry" not in response.headers
        assert told["error"]["code"] == "contended"
        assert "rate limit" not in told["error"]["message"].lower() and "429" not in told["error"]["message"]
