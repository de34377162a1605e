"""`bursar serve` and `bursar demo` as processes: real ports, a real SDK, real signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest

import bursar
from bursar.cli.serve import NO_BUDGET
from bursar.core.hold import State
from bursar.stores.sqlite import SqliteLedger
from bursar.testing import Script, ScriptedProvider

pytestmark = pytest.mark.slow

WAIT_S = 120
CONFIG = """\
providers:
  openai: {{base_url: '{url}/v1'}}
budgets:
  - {{name: everything, limit: $1 / day, per: agent}}
"""


def _environment(**more: str) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
    return {**kept, "PYTHONPATH": str(Path(bursar.__file__).parents[1]), **more}


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "bursar.cli", *words]


def _run(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself; its temporary files go into the directory, too."""
    environment = _environment(TMPDIR=str(directory), NO_COLOR="1")
    return subprocess.run(
        _command(*words),
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


@contextmanager
def _serving(directory: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run `bursar serve` in a directory, and give what it prints at the start."""
    process = subprocess.Popen(
        _command("serve", "--port", "0", *words),
        cwd=directory,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = []
        while (line := process.stdout.readline()) and not line.startswith("  budgets"):
            lines.append(line.rstrip())
        yield process, [*lines, line.rstrip()]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _client(url: str) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{url}/v1",
        api_key="k",
        default_headers={"x-bursar-agent": "tester"},
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_served_call_is_answered_recorded_and_billed_alike(tmp_path: Path, workers: str) -> None:
    with ScriptedProvider({"gpt-4o": Script(output_tokens=50)}) as provider:
        (tmp_path / "bursar.yaml").write_text(CONFIG.format(url=provider.url))
        with _serving(tmp_path, "--workers", workers) as (process, lines):
            found = re.fullmatch(r"bursar listens on (http://127\.0\.0\.1:[1-9]\d*)", lines[0])
            assert found is not None
            url = found.group(1)
            assert f"    export OPENAI_BASE_URL={url}/v1" in lines
            assert f"    export ANTHROPIC_BASE_URL={url}" in lines
            assert f"    export GOOGLE_GEMINI_BASE_URL={url}" in lines
            assert "keep their own keys" in lines[2]
            assert lines[7].split(maxsplit=1) == ["pages", "/healthz, /readyz, /metrics, /bursar/v1/ (administration)"]
            assert lines[-1].endswith("everything: $1.00 per day (UTC), for each agent")
            with _client(url) as client:
                answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
            assert answer.usage is not None
            assert answer.usage.completion_tokens == 50
            process.send_signal(signal.SIGTERM)
            _, told = process.communicate(timeout=WAIT_S)
            assert process.returncode in (0, -signal.SIGTERM)
            assert "WARNING: there is no budget" not in told
            assert "Traceback" not in told
        ledger = SqliteLedger(tmp_path / "bursar.db")
        (row,) = ledger.holds("default", tuple(State), 10)
        assert row.labels["agent"] == "tester"
        assert row.settled.cost_nano == provider.invoice()["total_nano"] > 0
        assert not ledger.verify()
        ledger.close_store()


def test_without_a_budget_it_says_so_loudly_on_stderr(tmp_path: Path) -> None:
    with _serving(tmp_path) as (process, lines):
        assert lines[-1].split() == ["budgets", "none"]
        assert process.stderr is not None
        told = [process.stderr.readline().rstrip("\n") for _ in NO_BUDGET.splitlines()]
        assert told == NO_BUDGET.splitlines()


def _told_at_the_start(directory: Path, *words: str, **variables: str) -> tuple[str, str]:
    """Run `bursar serve` until it has said everything, and give its stdout and stderr."""
    command = _command("serve", "--port", "0", "--budget", "$5/day", *words)
    with subprocess.Popen(
        command,
        cwd=directory,
        env=_environment(NO_COLOR="1", **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        while (line := process.stdout.readline()) and not line.startswith("  budgets"):
            lines.append(line)
        port = lines[0].rstrip().rpartition(":")[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=WAIT_S) as answer:
            assert answer.status == 200, "it serves, so everything has been said"
        process.send_signal(signal.SIGTERM)
        out, told = process.communicate(timeout=WAIT_S)
    return "".join([*lines, line, out]), told


def test_once_there_is_a_key_it_says_whose_keys_are_sent_where(tmp_path: Path) -> None:
    assert _run(tmp_path, "key", "create", "--name", "ci").returncode == 0
    out, told = _told_at_the_start(tmp_path)
    assert "As API key each sends a key of this gateway" in out and "x-bursar-key" in out
    assert "keep their own keys" not in out
    assert "https://api.openai.com/v1 (no key: the client's own)" in out
    assert "no key of the provider for openai, anthropic, gemini." in told
    secret = "sk-" + "s" * 40
    (tmp_path / "bursar.yaml").write_text(
        "providers:\n  openai: {api_key_env: HOUSE_KEY}\n  groq: {base_url: https://api.groq.com/openai/v1}\n"
    )
    out, told = _told_at_the_start(tmp_path, HOUSE_KEY=secret)
    assert "no key of the provider for groq." in told, "of the rest nothing says that they are used"
    assert "https://api.openai.com/v1 (key from the environment)" in out
    assert secret not in out + told


def test_on_a_network_it_says_that_this_is_plain_http_and_shows_no_secret(tmp_path: Path) -> None:
    out, told = _told_at_the_start(tmp_path, "--host", "0.0.0.0", BURSAR_ADMIN_SECRET="a" * 40)
    assert "As API key each sends a key of this gateway" in out
    assert "plain HTTP on a network" in told and "TLS in front" in told
    assert "a" * 40 not in out + told
    assert "plain HTTP" not in _told_at_the_start(tmp_path)[1]


def test_a_budget_on_the_command_line_is_kept_to(tmp_path: Path) -> None:
    with ScriptedProvider({"gpt-4o": Script(output_tokens=50)}) as provider:
        (tmp_path / "bursar.yaml").write_text(f"providers:\n  openai: {{base_url: '{provider.url}/v1'}}\n")
        with _serving(tmp_path, "--budget", "$0.001 / day") as (_, lines):
            url = lines[0].split()[-1]
            with _client(url) as client, pytest.raises(openai.APIStatusError) as refused:
                client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
        assert refused.value.status_code == 402
        assert "$0.001/day" in refused.value.message
        assert provider.invoice()["requests"] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--host", "0.0.0.0"), "does not listen on 0.0.0.0"),
        (("--budget", "five dollars"), "--budget"),
        (("--store", "/nonexistent/x.db"), "/nonexistent/x.db"),
        (("--port", "99999"), "port"),
    ],
)
def test_what_cannot_start_says_why_in_one_line(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    done = _run(tmp_path, "serve", "--port", "0", *words)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with _serving(tmp_path) as (_, lines):
        port = lines[0].rpartition(":")[2]
        done = _run(tmp_path, "serve", "--port", port)
    assert done.returncode == 2
    assert f":{port} cannot be used" in done.stderr


def test_the_demo_tells_the_truth_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = _run(tmp_path, "demo", "--once")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    steps = re.findall(r"step +\d+ .* spent \$(\d\.\d{4})", done.stdout)
    assert len(steps) > 5
    assert 0.25 < float(steps[-1]) <= 0.5
    assert "openai.APIStatusError: Error code: 402 - Budget 'researcher'" in done.stdout
    assert "Requests that the SDK sent for this call: 1; of these reached the provider: 0." in done.stdout
    assert "finish_reason 'length'" in done.stdout
    assert "the hold grew" in done.stdout
    assert "every balance equals its entries" in done.stdout
    assert "The provider's bill equals the ledger, to the nano-dollar, and no budget was passed." in done.stdout
    assert "MISMATCH" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_demo_stays_up_until_it_is_interrupted(tmp_path: Path) -> None:
    process = subprocess.Popen(
        _command("demo", "--store", "kept.db"),
        cwd=tmp_path,
        env=_environment(TMPDIR=str(tmp_path), NO_COLOR="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = ""
        for line in process.stdout:
            if line.startswith("The gateway stays up at "):
                url = line.split()[5].rstrip(".")
            if "Ctrl-C ends everything" in line:
                break
        with _client(url) as client:
            client.chat.completions.create(model="play-chat", messages=[{"role": "user", "content": "hello"}])
        process.send_signal(signal.SIGINT)
        rest, told = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "stopped" in rest
    assert told == ""
    with pytest.raises(openai.APIConnectionError), _client(url).with_options(max_retries=0) as client:
        client.models.list()
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("kept.db-")] == ["kept.db"]
