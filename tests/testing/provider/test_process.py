"""The provider as a process of its own: its first line, its signals, its speed."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.testing.provider.plain import HELLO, HELLO_TOKENS, Plain

from bursar.testing import ProviderProcess, Script
from bursar.testing.provider import ProviderClient

pytestmark = pytest.mark.slow

MANY = 1_000


@pytest.fixture(scope="module")
def process() -> Iterator[ProviderProcess]:
    """Run one provider process for the tests of this file."""
    with ProviderProcess({"m": Script(output_tokens=3)}) as running:
        yield running


@pytest.fixture
def provider(process: ProviderProcess) -> ProviderProcess:
    """Give that provider at the start of a period."""
    process.new_period()
    return process


def test_a_process_has_the_same_face(provider: ProviderProcess) -> None:
    provider.set("m", Script(output_tokens=3))
    assert Plain(provider.url).generate("openai").json["usage"]["completion_tokens"] == 3
    assert provider.wait(billed=1)["requests"] == 1
    assert provider.invoice()["calls"][0]["cost_nano"] == HELLO_TOKENS * 2_500 + 3 * 10_000


async def _exchange(provider: ProviderProcess, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(provider.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request)
    await writer.drain()
    return reader, writer


def _request(is_stream: bool) -> bytes:
    body = json.dumps({"model": "m", "messages": HELLO, "stream": is_stream}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def test_a_thousand_calls_at_once_are_all_answered_and_billed_exactly(provider: ProviderProcess) -> None:
    provider.set("m", Script(output_tokens=5_000))

    async def call() -> bytes:
        reader, writer = await _exchange(provider, _request(is_stream=False))
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    answers = await asyncio.gather(*(call() for _ in range(MANY)))
    assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}
    ids = {json.loads(answer.partition(b"\r\n\r\n")[2])["id"] for answer in answers}
    report = provider.invoice()
    assert {line["id"] for line in report["calls"]} == ids
    assert (len(ids), report["billed"], report["requests"], report["open"]) == (MANY, MANY, MANY, [])
    assert report["total_nano"] == MANY * (HELLO_TOKENS * 2_500 + 5_000 * 10_000)


async def test_a_thousand_streams_are_open_at_once_and_billed_exactly_when_their_clients_leave(
    provider: ProviderProcess,
) -> None:
    provider.set("m", Script(output_tokens=5_000, tokens_per_s=0.0001, run_ahead_tokens=3))
    open_streams = await asyncio.gather(*(_exchange(provider, _request(is_stream=True)) for _ in range(MANY)))
    assert (await provider.wait_async(open_calls=MANY, timeout_s=30))["ended"] == 0
    for _, writer in open_streams:
        writer.transport.abort()
    await provider.wait_async(open_calls=0, ended=MANY, timeout_s=30)
    report = provider.invoice()
    assert {(line["ended"], line["output_tokens"]) for line in report["calls"]} == {("disconnect", 3)}
    assert report["total_nano"] == MANY * (HELLO_TOKENS * 2_500 + 3 * 10_000)


def _command(*arguments: str) -> subprocess.Popen[str]:
    root = Path(sys.modules["bursar.testing"].__file__ or "").parents[2]
    command = [sys.executable, "-m", "bursar.testing.provider", *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_its_url_first_and_serves_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    scripts = tmp_path / "scripts.json"
    scripts.write_text(json.dumps({"m": {"output_tokens": 9, "fault": "never_ends", "fault_times": 1}}))
    with _command("--port", "0", "--scripts", str(scripts)) as command:
        assert command.stdout is not None
        url = command.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        with Plain(url).ask("openai", stream=True):  # An answer that never ends must not hold up the end.
            ProviderClient(url).wait(billed=1)
            assert Plain(url).generate("openai").json["usage"]["completion_tokens"] == 9
            command.send_signal(number)
            assert command.wait(10) == 0
        assert command.stdout.read() == ""


def test_the_process_ends_with_the_one_that_started_it() -> None:
    with _command("--until-stdin-ends") as command:
        assert command.stdout is not None
        assert command.stdin is not None
        assert command.stdout.readline()
        command.stdin.close()
        assert command.wait(10) == 0


def test_a_stopped_process_ends_well_and_may_be_stopped_again() -> None:
    with ProviderProcess() as provider:
        provider.stop()
        assert provider.process.returncode == 0


def test_a_killed_process_is_gone_at_once() -> None:
    provider = ProviderProcess()
    provider.kill()
    with pytest.raises(ConnectionRefusedError):
        provider.health()
    assert provider.process.returncode == -signal.SIGKILL
    provider.stop()
