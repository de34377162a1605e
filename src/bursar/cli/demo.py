"""`bursar demo`: bursar in a minute, with no key, no network and no bill.

Owns the world of the demo: a scripted provider and a real gateway, each a process of its own, and their end. What
happens in it is told by `demo_story.py`. Everything that is printed was measured while it ran.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import bursar
from bursar.cli.demo_story import AGENT_MODEL, WRITER_MODEL, World, tell
from bursar.errors import BursarError
from bursar.testing import ProviderProcess, Rates, Script, ToolCall

__all__ = ["demo"]

START_S = 30.0
STOP_S = 10.0
INPUT_USD, CACHED_USD, OUTPUT_USD = "2.50", "1.25", "10.00"
RATES = Rates(input=2_500_000, cache_read=1_250_000, output=10_000_000)
"""The same prices, as the provider bills them: pico-USD per token."""
SPEED = 900
CONFIG = """\
# The configuration of `bursar demo`.
providers:
  pretend:                       # a model server that only plays; it bills as a real one does
    base_url: {url}/v1
    models: ["*"]
    top_speed: 1000              # tokens per second that it never exceeds
prices:
  pretend/*: {{input: {input}, cached_input: {cached}, output: {output}}}   # USD per million tokens
budgets:
  - name: researcher
    match: {{agent: researcher}}
    limit: $0.50 / day
    link: https://example.com/ask-for-more
  - name: writer
    match: {{agent: writer}}
    limit: $0.06 / day
  - name: each user
    per: user
    limit: 500k tokens / day
"""


class DemoFailed(BursarError):
    """The demo could not be set up."""


@click.command()
@click.option("--once", is_flag=True, help="Stop after the show instead of staying up to be tried.")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Port of the gateway (default: a free one).")
@click.option("--store", type=click.Path(path_type=Path, dir_okay=False), metavar="PATH", help="Keep the ledger here.")
def demo(once: bool, port: int, store: Path | None) -> None:
    """A runaway agent against a budget: real SDK, real gateway, a provider that only plays.

    It needs no API key and costs nothing.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _world(port, store) as world:
            tell(world)
            if not once:
                _stay(world)
    except KeyboardInterrupt:
        click.echo("\nstopped: the gateway and the provider have ended")


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _world(port: int, store: Path | None) -> Iterator[World]:
    directory = Path(tempfile.mkdtemp(prefix="bursar-demo-"))
    try:
        environment = _environment()
        with ProviderProcess(_scripts()) as provider:
            text = CONFIG.format(url=provider.url, input=INPUT_USD, cached=CACHED_USD, output=OUTPUT_USD)
            ledger = store.resolve() if store else directory / "bursar.db"
            (directory / "bursar.yaml").write_text(f"{text}store:\n  path: {ledger}\n", encoding="utf-8")
            with _gateway(directory, port, environment) as url:
                yield World(url, directory, time.time_ns(), provider.invoice, _runner(directory, environment))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _scripts() -> Mapping[str, Script]:
    looping = ToolCall("search", '{"query": "the cause of the outage"}')
    return {
        AGENT_MODEL: Script(tool_call=looping, output_tokens=60, first_byte_s=0.15, rates=RATES),
        WRITER_MODEL: Script(output_tokens=20_000, tokens_per_s=SPEED, rates=RATES),
    }


def _environment() -> dict[str, str]:
    """Give the environment of the demo's processes: none of the user's settings, and the same package."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
    return {**kept, "PYTHONPATH": str(Path(bursar.__file__).resolve().parents[1])}


@contextmanager
def _gateway(directory: Path, port: int, environment: Mapping[str, str]) -> Iterator[str]:
    """Run `bursar serve` in a process of its own, and give its address."""
    with (directory / "gateway.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*_BURSAR, "serve", "--port", str(port)],
            cwd=directory,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C is for this process; it ends the others in order.
        )
    try:
        yield _address(process, directory)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate(timeout=STOP_S)


def _address(process: subprocess.Popen[str], directory: Path) -> str:
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    if found is None:
        process.wait(START_S)
        told = (directory / "gateway.log").read_text(encoding="utf-8").strip()
        raise DemoFailed(f"the gateway did not start: {told or f'exit code {process.returncode}'}")
    return found.group()


_BURSAR = (sys.executable, "-m", "bursar.cli")


def _runner(directory: Path, environment: Mapping[str, str]) -> Callable[..., Any]:
    """Make what runs a bursar command in the demo's directory, so that it reads the demo's configuration."""

    def run(*words: str) -> int:
        sys.stdout.flush()
        command = [*_BURSAR, *words]
        return subprocess.run(command, cwd=directory, env=dict(environment), check=False).returncode  # noqa: S603

    return run


def _stay(world: World) -> None:
    """Keep everything up to be tried, until Ctrl-C."""
    click.echo(f"""
The gateway stays up at {world.url}. Try it from another terminal:

  export OPENAI_BASE_URL={world.url}/v1 OPENAI_API_KEY=anything

  curl -i {world.url}/v1/chat/completions -H 'content-type: application/json' \\
    -H 'x-bursar-agent: helper' -H 'x-bursar-user: you' \\
    -d '{{"model": "{AGENT_MODEL}", "messages": [{{"role": "user", "content": "hello"}}]}}'

  cd {world.directory}          # its bursar.yaml and ledger
  bursar budget list;  bursar spend --by user,model;  bursar call

Each reply says in its headers what it cost and what is left. Ctrl-C ends everything.""")
    while True:
        time.sleep(3600)
