"""The part of the providers' page about Bedrock, tried: its program runs as written, its price is read as meant."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bursar.config.load import from_environment
from bursar.testing import Script, ScriptedProvider

pytest.importorskip("boto3")

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")
PART = PAGE.partition("## Amazon Bedrock\n")[2].partition("\n## ")[0]


def fenced(language: str) -> str:
    (text,) = re.findall(rf"^```{language}\n(.*?)^```", PART, re.MULTILINE | re.DOTALL)
    return str(text)


def test_the_program_of_the_page_runs_as_written(tmp_path: Path) -> None:
    program = fenced("python") + "print(b.calls, b.spent > 0, answer['stopReason'])\n"
    with ScriptedProvider({"*": Script(output_tokens=20)}) as provider:
        keys = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "SECRET"}
        environ = {**os.environ, **keys, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": provider.url}
        command = [sys.executable, "-c", program]
        done = subprocess.run(
            command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stdout) == (0, "1 True end_turn\n"), done.stderr


def test_the_price_of_the_page_is_read_as_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bursar.yaml").write_text(fenced("yaml"))
    monkeypatch.chdir(tmp_path)
    (row,) = from_environment(is_calling=False).prices
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"
    assert (row.provider, row.model, dict(row.rates)) == ("bedrock", arn, {"input": "3", "output": "15"})
