"""A framework's program before the scripted provider: where it is, how it is started, what it spent and what it said.

A program runs in a process of its own, with the framework's own interpreter where `scripts/frameworks` has made one and
with this one's otherwise. It is told by its environment alone where the provider is, as any program can be.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bursar.core.hold import State
from bursar.core.ledger import HoldRow
from bursar.stores.sqlite import SqliteLedger
from bursar.testing import Rates, Script, ScriptedProvider, ToolCall

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PLAIN = Path(__file__).parent / "plain"
TIMEOUT_S = 120.0
CENT = 10_000_000
ANSWER = "Tower Bridge was opened in 1894."
ARGUMENTS = json.dumps({"topic": "tower bridge"})


GPT_5_MINI = Rates(input=250_000, cache_read=25_000, output=2_000_000)
GEMINI_2_5_FLASH = Rates(input=300_000, cache_read=30_000, output=2_500_000)
CLAUDE_HAIKU_4_5 = Rates(input=1_000_000, cache_read=100_000, output=5_000_000, cache_write=1_250_000)
"""What the price list says; a stated price would hide what a person gets who states none."""


@dataclass(frozen=True)
class Framework:
    """One framework: the module that must be there, the model of its example and what that one costs."""

    name: str
    module: str
    model: str = "gpt-5-mini"
    rates: Rates = GPT_5_MINI
    tool: str = "look_up"
    options: tuple[str, ...] = ()
    """What the example is started with."""
    guards: str = "default"
    """The breakers; CrewAI itself gives up at the fifth time that a tool is called in the same way."""
    limit_nano: int = 5 * CENT
    """The budget of its programs."""
    dear_tokens: int = 6_000
    """Output tokens of which that budget pays three or four answers."""

    @property
    def lock(self) -> str:
        """The framework's name among the locks and the files."""
        return self.name.split(":", maxsplit=1)[0]

    @property
    def file(self) -> str:
        return f"with_{self.lock.replace('-', '_')}.py"

    @property
    def python(self) -> Path | None:
        """The interpreter that has it."""
        own = ROOT / ".venv" / "frameworks" / self.lock / "bin" / "python"
        if own.exists():
            return own
        return Path(sys.executable) if is_here(self.module) else None


def is_here(module: str) -> bool:
    """Tell whether this interpreter has the module."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return False
    return found is not None and found.origin is not None


FRAMEWORKS = (
    Framework("openai-agents", "agents"),
    Framework("openai-agents:streamed", "agents", options=("--stream",)),
    Framework("pydantic-ai", "pydantic_ai"),
    Framework("langchain", "langchain"),
    Framework("litellm", "litellm"),
    Framework("llama-index", "llama_index"),
    Framework("crewai", "crewai", guards="{tool_calls: 3}"),
    Framework("google-adk", "google.adk.agents", "gemini-2.5-flash", GEMINI_2_5_FLASH, dear_tokens=4_000),
    Framework("agent-framework", "agent_framework"),
    Framework(
        "claude-agent-sdk",
        "claude_agent_sdk",
        "claude-haiku-4-5",
        CLAUDE_HAIKU_4_5,
        tool="mcp__notes__look_up",
        limit_nano=50 * CENT,
        dear_tokens=25_000,
    ),
)


def chosen() -> list[Framework]:
    """The frameworks to test: all, or the one that the environment names."""
    wanted = os.environ.get("BURSAR_FRAMEWORK", "")
    found = [each for each in FRAMEWORKS if wanted in ("", each.lock)]
    assert found, f"there is no example for {wanted}"
    return found


def interpreter_of(framework: Framework) -> Path:
    """Give the framework's interpreter; skip where there is none, but never the one that was asked for."""
    python = framework.python
    if python is None:
        assert not os.environ.get("BURSAR_FRAMEWORK"), f"{framework.name} is not here"
        pytest.skip(f"{framework.name} is not here: scripts/frameworks brings it")
    return python


@dataclass(frozen=True)
class Told:
    """What a program left behind when it ended."""

    exit_code: int
    out: str
    err: str


@dataclass(frozen=True)
class Stage:
    """A provider, and a folder with a ledger in which a program runs."""

    framework: Framework
    provider: ScriptedProvider
    folder: Path

    def script(self, *, output_tokens: int, tool_calls: int | None) -> None:
        """Let the model call its tool so many times (None: for ever), and then answer."""
        self.provider.set(
            self.framework.model,
            Script(
                input_tokens=100,
                output_tokens=output_tokens,
                text=ANSWER if tool_calls is not None else None,
                tool_call=ToolCall(self.framework.tool, ARGUMENTS),
                tool_call_times=tool_calls,
                rates=self.framework.rates,
            ),
        )

    def configure(self, text: str) -> None:
        """Write the configuration; without one a program has what everybody has."""
        (self.folder / "bursar.yaml").write_text(text, encoding="utf-8")

    def run(self, file: Path, *options: str) -> Told:
        """Run a program to its end. Raises TimeoutExpired."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run(
            [str(interpreter_of(self.framework)), str(file), *options],
            cwd=self.folder,
            env=environment_of(self.provider.url, home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Told(done.returncode, done.stdout, done.stderr)

    def run_example(self) -> Told:
        return self.run(EXAMPLES / self.framework.file, *self.framework.options)

    def run_plain(self) -> Told:
        """Run the same agent without an adapter."""
        return self.run(PLAIN / self.framework.file, *self.framework.options)

    @property
    def billed(self) -> list[Any]:
        """What reached the provider, in order."""
        return list(self.provider.invoice()["calls"])

    def billed_nano(self) -> int:
        return int(self.provider.invoice(calls=0)["total_nano"])

    def holds(self) -> Sequence[HoldRow]:
        """All calls of the ledger, oldest first; at rest it must prove itself."""
        ledger = SqliteLedger(self.folder / "bursar.db")
        try:
            assert list(ledger.verify()) == []
            return list(reversed(ledger.holds("default", tuple(State), 10_000)))
        finally:
            ledger.close_store()


def environment_of(url: str, home: Path) -> dict[str, str]:
    """What a program is told: where the providers are, and that it is to tell nobody else what it does."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "OPENAI_API_KEY": "none",
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_BASE": f"{url}/v1",
        "GOOGLE_API_KEY": "none",
        "GOOGLE_GEMINI_BASE_URL": url,
        "ANTHROPIC_API_KEY": "none",
        "ANTHROPIC_BASE_URL": url,
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "CREWAI_DISABLE_TELEMETRY": "true",
        "CREWAI_TRACING_ENABLED": "false",
        "OTEL_SDK_DISABLED": "true",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_TERMINAL_TITLE": "1",
    }
