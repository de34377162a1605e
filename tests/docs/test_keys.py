"""The page about keys, walked: its commands and programs are taken from its text and run against a gateway."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.docs.test_readme import BURSAR, FENCE, address, wait_until_closed

from bursar.config.load import load
from bursar.testing import Script, ScriptedProvider

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
BLOCKS = FENCE.findall(PAGE)
SECRETS = {name: f"sk-of-the-operator-{name}" for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")}


@dataclass
class Place:
    """A directory with a configuration, and the gateway that serves it."""

    path: Path
    url: str
    provider: ScriptedProvider

    def environ(self, **more: str) -> Mapping[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
        return {**kept, **SECRETS, "PATH": f"{BURSAR.parent}:{os.environ['PATH']}", **more}

    def shell(self, text: str, **more: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", text],
            cwd=self.path,
            env=self.environ(**more),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (text, done.stderr)
        return done.stdout

    def program(self, text: str, key: str) -> subprocess.CompletedProcess[str]:
        code = text.replace("http://127.0.0.1:8484", self.url)
        environ = self.environ(KEY=key, NO_PROXY="*")
        return subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=120, check=False
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ScriptedProvider({"*": Script(output_tokens=20)}) as provider:
        config, tenants = (text for kind, text in BLOCKS if kind == "yaml")
        for name, base in (("openai", "/v1"), ("anthropic", ""), ("gemini", "")):
            config = config.replace(f"{name}: {{", f"{name}: {{base_url: '{provider.url}{base}', ")
        (tmp_path / "bursar.yaml").write_text(f"{config}budgets: [$5 / day]\n")
        (tmp_path / "tenants.yaml").write_text(tenants)
        assert len(load(tmp_path / "tenants.yaml", {}).budgets) == 2
        made = Place(tmp_path, "", provider)
        words = [str(BURSAR), "serve", "--port", "0"]
        with subprocess.Popen(
            words, cwd=tmp_path, env=made.environ(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as gateway:
            try:
                made.url = address(gateway)
                yield made
            finally:
                gateway.send_signal(signal.SIGTERM)
                gateway.communicate(timeout=60)


def test_everything_on_the_page_about_keys_works_as_written(place: Place) -> None:
    first, *others = (text for kind, text in BLOCKS if kind == "sh")
    programs = [text for kind, text in BLOCKS if kind == "python"]
    key = place.shell(f"{first}\necho $KEY").strip()
    assert re.fullmatch(r"bursar-[a-z0-9]{32}", key)
    wait_until_closed(place.url)
    for program in programs:
        done = place.program(program, key)
        assert done.returncode == 0, done.stderr
    assert place.provider.invoice()["billed"] == len(programs) == 4
    seen = json.dumps(place.provider.requests())
    assert key not in seen and "sk-my-own" not in seen
    assert all(secret in seen for secret in SECRETS.values())
    assert '"agent": "ci"' in place.shell("bursar call --json")
    assert place.program(programs[0], "bursar-" + "0" * 32).returncode != 0
    keys = json.loads(place.shell("bursar key list --json"))
    (key_id,) = (each["id"] for each in keys if each["name"] == "ci")
    for text in others:
        place.shell(text.replace(" ID", f" {key_id}"))
    assert place.program(programs[0], key).returncode != 0, "the page has revoked it"
    spent = place.shell("bursar spend --by key")
    assert re.search(r"^ci +4 ", spent, re.MULTILINE)
