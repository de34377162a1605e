"""A real agent program before a gateway: where it is, how it is started, what it asked and what it showed.

Owns nothing of the project but a look at the gateway's door. A program gets a home and a folder of its own, and of
settings only where the gateway is: who it is must be known without being told.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.house import GatewayThread, House

from bursar.core.ledger import HoldRow
from bursar.testing import Script

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "agents.md"
AGENTS = ROOT / ".venv" / "agents"
CLAUDE = AGENTS / "claude_agent_sdk" / "_bundled" / "claude"
CODEX = AGENTS / "codex_cli_bin" / "bin" / "codex"
BILLED = frozenset({"/v1/messages", "/v1/responses"})
LINK = "https://budgets.example/more"
HELD_BY_ANOTHER = 8000
"""Output tokens of another call, made while a stream of the agent runs."""
TIMEOUT_S = 60.0
"""Ten times what the slowest of these runs takes: a program that waits or tries again and again does not end in it."""

Message = MutableMapping[str, Any]


def needs(program: Path) -> pytest.MarkDecorator:
    """Skip where a program is not there."""
    return pytest.mark.skipif(not program.exists(), reason=f"{program.name} is not here: scripts/agents brings it")


@dataclass
class Asked:
    """One request as it came to the gateway, and the status that it got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)
    status: int = 0


@dataclass(frozen=True)
class Told:
    """What a program left behind when it ended."""

    exit_code: int
    out: str
    err: str


class Door:
    """Look at all that comes to a gateway, also what it refuses; `on_billed` is called as each generation arrives."""

    def __init__(self, home: House, on_billed: Callable[[int], None] = lambda _: None) -> None:
        assert isinstance(home.gateway, GatewayThread)
        config = home.gateway.server.config
        self._app = config.loaded_app
        self._on_billed = on_billed
        self.asked: list[Asked] = []
        config.loaded_app = self

    @property
    def billed(self) -> list[Asked]:
        """The requests to generate."""
        return [each for each in self.asked if each.path in BILLED]

    @property
    def others(self) -> set[tuple[str, str]]:
        """What else was asked."""
        return {(each.method, each.path) for each in self.asked if each.path not in BILLED}

    @property
    def statuses(self) -> list[int]:
        return [each.status for each in self.billed]

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        asked = Asked(scope["method"], scope["path"], headers)
        self.asked.append(asked)
        if asked.path in BILLED:
            self._on_billed(len(self.billed))

        async def receiving() -> Message:
            message = await receive()
            asked.body += message.get("body", b"")
            return message

        async def sending(message: Message) -> None:
            asked.status = message.get("status", asked.status)
            await send(message)

        await self._app(scope, receiving, sending)


def run(folder: Path, command: list[str], settings: dict[str, str]) -> Told:
    """Run a program in `folder / "work"` to its end. Raises TimeoutExpired."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "TMPDIR": str(folder), **settings}
    done = subprocess.run(
        command,
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return Told(done.returncode, done.stdout, done.stderr)


def claude(home: House, folder: Path, *options: str) -> Told:
    """Let Claude Code do one thing, told only where the gateway is and a key."""
    (folder / "home").mkdir(exist_ok=True)
    settings = {"ANTHROPIC_BASE_URL": home.url, "ANTHROPIC_AUTH_TOKEN": "none"}
    return run(folder, [str(CLAUDE), "-p", "say hello", *options], settings)


def claude_as_documented(home: House, folder: Path) -> Told:
    """Let Claude Code do one thing with the settings file that its page shows."""
    write(folder / "home" / ".claude" / "settings.json", documented("json", home))
    return run(folder, [str(CLAUDE), "-p", "say hello"], {})


def codex(home: House, folder: Path, *options: str) -> Told:
    """Let Codex do one thing, with the settings that its page shows."""
    write(folder / "home" / ".codex" / "config.toml", documented("toml", home))
    command = [str(CODEX), "exec", "--skip-git-repo-check", *options, "say hello"]
    return run(folder, command, {"OPENAI_API_KEY": "none"})


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def documented(language: str, home: House) -> str:
    """Take the page's example in this language, with the address of this gateway."""
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found.group(1).replace("http://127.0.0.1:8484", home.url)


@contextlib.contextmanager
def another_call(home: House) -> Iterator[None]:
    """As soon as a call is under way, let another client make one that holds much and takes four seconds."""
    home.provider.set("other", Script(output_tokens=HELD_BY_ANOTHER, tokens_per_s=HELD_BY_ANOTHER / 4))

    def ask() -> int:
        home.provider.wait(open_calls=1)
        return home.ask("openai", model="other", max_tokens=HELD_BY_ANOTHER).status

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        yield
        assert asked.result() == 200


def agents_of(rows: list[HoldRow]) -> list[str]:
    """Say who asked, in order."""
    return [row.labels["agent"] for row in rows]
