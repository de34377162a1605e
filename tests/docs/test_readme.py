"""The tour of the README, walked: its commands are taken from its text and run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bursar.testing import Script, ScriptedProvider

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BURSAR = Path(sys.executable).with_name("bursar")


def blocks(kind: str) -> list[str]:
    return [text for found, text in FENCE.findall(README) if found == kind]


def commands() -> list[list[str]]:
    """The `bursar` commands of the tour, without their comments."""
    lines = [line.split("#")[0].strip() for text in blocks("sh") for line in text.splitlines()]
    return [line.replace("'", "").split()[1:] for line in lines if line.startswith(".venv/bin/bursar")]


def test_the_tour_of_the_readme_works_as_written(tmp_path: Path) -> None:
    serve, *looks = commands()
    assert serve[0] == "serve"
    assert [look[0] for look in looks] == ["spend", "budget", "call", "verify", "doctor"]
    with ScriptedProvider({"*": Script(output_tokens=20)}) as provider:
        (budgets,) = re.findall(r"^echo '(budgets:.*)' >bursar.yaml$", README, re.MULTILINE)
        (tmp_path / "bursar.yaml").write_text(
            f"{budgets}\nproviders:\n  openai:\n    base_url: {provider.url}/v1\n"
            "prices:\n  '*': {input: 2.5, output: 10}\n"
        )
        words = [str(BURSAR), *serve, "--port", "0"]
        with subprocess.Popen(
            words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as gateway:
            try:
                url = address(gateway)
                ask_as_in_the_readme(url)
            finally:
                gateway.send_signal(signal.SIGTERM)
                gateway.communicate(timeout=30)
        assert gateway.returncode == 0
        assert provider.invoice()["billed"] == 1
    for look in looks:
        words = [str(BURSAR), *look]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in ((0, 1) if look[0] == "doctor" else (0,)), (look, done.stderr)
        assert done.stdout.strip()
        if look[0] == "spend":
            assert "researcher" in done.stdout


def address(gateway: subprocess.Popen[str]) -> str:
    """Read what the gateway prints until it has told its address."""
    assert gateway.stdout is not None
    for line in gateway.stdout:
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            return found.group()
    raise AssertionError("the gateway told no address")


def ask_as_in_the_readme(url: str) -> None:
    """Run the README's Python, then make one call with the client that it made."""
    (code,) = blocks("python")
    ask = "client.chat.completions.create(model='m', messages=[{'role': 'user', 'content': 'hello'}])\n"
    environ = {**os.environ, "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "none"}
    subprocess.run([sys.executable, "-c", code + ask], env=environ, check=True, timeout=60)
