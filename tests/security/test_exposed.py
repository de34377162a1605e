"""S62: an agent with a provider's key needs no gateway, so `bursar doctor` names the keys that it can see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bursar.cli import main
from bursar.config.environment import PROVIDER_KEYS


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in PROVIDER_KEYS:
        monkeypatch.delenv(name, raising=False)


def named() -> list[str]:
    """What doctor says of keys in the environment, each with its fix."""
    done = CliRunner().invoke(main, ["doctor", "--json"], catch_exceptions=False)
    findings = [each for each in json.loads(done.stdout) if "past every budget" in each["what"]]
    assert all("bursar key create" in each["fix"] for each in findings)
    return [each["what"].split(" ")[0] for each in findings]


@pytest.mark.parametrize("name", PROVIDER_KEYS)
def test_a_providers_key_that_is_set_is_named_and_never_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "sk-secret-5b1f")
    assert named() == [name]
    assert "5b1f" not in CliRunner().invoke(main, ["doctor"]).output


def test_a_key_of_bursar_in_its_place_is_as_it_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert named() == []
    monkeypatch.setenv("OPENAI_API_KEY", "bursar-" + "0" * 32)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "")
    assert named() == []
