"""One line in bursar.yaml, `bursar serve` with two workers, and the commands that decide about a run."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
from tests.cli.test_serve import _run, _serving
from tests.guards.kit import agent, opened

from bursar.testing import Script, ScriptedProvider, ToolCall

pytestmark = pytest.mark.slow

CONFIG = """\
providers:
  openai: {{base_url: '{url}/v1'}}
prices:
  m: {{input: 2.5, output: 10}}
guards:
  tool_calls: {{limit: 3, on_trip: [warn at 50%, park]}}
  loops: off
"""


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """End the gateway with its workers, whatever happens."""
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def test_a_run_is_parked_by_two_workers_alike_and_goes_on_when_somebody_approves(tmp_path: Path) -> None:
    searches = Script(tool_call=ToolCall("search", '{"q": "x"}'), output_tokens=8)
    with ScriptedProvider({"*": searches}) as provider:
        (tmp_path / "bursar.yaml").write_text(CONFIG.format(url=provider.url))
        with _serving(tmp_path, "--workers", "2") as (process, lines), ended(process):
            found = re.search(r"http://\S+", lines[0])
            assert found is not None
            client = openai.OpenAI(base_url=f"{found[0]}/v1", api_key="k", default_headers={"x-bursar-run": "r"})
            opened.append(client)
            ran, error = agent(client)
            assert ran == 3
            assert error is not None
            assert error.response.headers["x-bursar-run-state"] == "parked"
            assert "parked (tool_calls)" in _run(tmp_path, "runs").stdout
            assert "run r goes on" in _run(tmp_path, "runs", "approve", "r", "--add", "2 tool calls").stdout
            ran, error = agent(client)
            assert ran == 2
            assert error is not None
            done = _run(tmp_path, "runs", "stop", "r", "--reason", "enough")
            assert "is stopped" in done.stdout
            _, error = agent(client)
            assert error is not None
            assert "enough" in error.message
            assert "run stop" in _run(tmp_path, "audit").stdout
            assert "every balance" in _run(tmp_path, "verify").stdout
