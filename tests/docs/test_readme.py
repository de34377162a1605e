"""The tour of the README, walked: its commands are taken from its text and run."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
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
    lines = [line for text in blocks("sh") for line in text.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith(".venv/bin/bursar")]


def test_the_tour_of_the_readme_works_as_written(tmp_path: Path) -> None:
    serve, *others = commands()
    assert serve[0] == "serve"
    assert len(others) >= 11
    assert [words[0] for words in others][-5:] == ["budget", "budget", "pause", "resume", "key"]
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
                told = {" ".join(words[:2]): look(tmp_path, words) for words in others}
                assert "researcher" in told["spend --by"] and "researcher" in told["top --once"]
                key = told["key create"].strip()
                wait_until_closed(url)
                ask_as_in_the_readme(url, key)
                with pytest.raises(subprocess.CalledProcessError):
                    ask_as_in_the_readme(url)
            finally:
                gateway.send_signal(signal.SIGTERM)
                gateway.communicate(timeout=30)
        assert gateway.returncode == 0
        assert provider.invoice()["billed"] == 2
        assert key not in json.dumps(provider.requests())
    assert re.search(r"^ada +1 ", look(tmp_path, ["spend", "--by", "key"]), re.MULTILINE)


def look(directory: Path, words: list[str]) -> str:
    """Run a command of the tour; what it finds wrong with so small a set-up is no failure of the tour."""
    done = subprocess.run([str(BURSAR), *words], cwd=directory, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in ((0, 1) if words[0] == "doctor" else (0,)), (words, done.stderr)
    assert done.stdout.strip()
    return done.stdout


def address(gateway: subprocess.Popen[str]) -> str:
    """Read what the gateway prints until it has told its address."""
    assert gateway.stdout is not None
    for line in gateway.stdout:
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            return found.group()
    raise AssertionError("the gateway told no address")


def wait_until_closed(url: str) -> None:
    """Ask until the gateway knows of its first key."""
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        try:
            urllib.request.urlopen(f"{url}/metrics", timeout=30).close()
        except urllib.error.HTTPError as error:
            if error.code == 401:
                return
            raise
    raise AssertionError("the door is still open")


def ask_as_in_the_readme(url: str, key: str = "none") -> None:
    """Run the README's Python, then make one call with the client that it made."""
    code, _ = blocks("python")
    ask = "client.chat.completions.create(model='m', messages=[{'role': 'user', 'content': 'hello'}])\n"
    environ = {**os.environ, "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": key}
    subprocess.run([sys.executable, "-c", code + ask], env=environ, check=True, timeout=60)
