"""The root of the command line: loads a command when it is asked for, and turns errors into one line and an exit code.

Owns the late loading, the outermost frame and the switch for colours. A late import is right here: the budget is 100 ms
of CPU for `bursar --help`, and the gateway's, the prices' and the SDKs' packages alone take five times that. It also
lets a command that needs no extra run without it.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from bursar import __version__
from bursar.errors import BursarError, UsageError

__all__ = ["Entry", "LazyGroup", "root"]

EXTRAS = {
    "httptools": "gateway",
    "msgspec": "gateway",
    "prometheus_client": "gateway",
    "uvicorn": "gateway",
    "uvloop": "gateway",
    "openai": "demo",
}
"""Which extra brings a package that a command may miss."""


STDOUT = 1
_UNWRITABLE = frozenset({errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC})
"""What a full or broken disk says to a write; a reader that has gone away (EPIPE) is click's to be quiet about."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: `module:attribute`, and the line that the list of commands shows for it."""

    target: str
    summary: str


class LazyGroup(click.Group):
    """A group whose commands are loaded on use."""

    def __init__(self, entries: Mapping[str, Entry], **settings: Any) -> None:
        super().__init__(**settings)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.entries.get(cmd_name)
        return None if entry is None else _load(cmd_name, entry)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.entries.items()])

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run the command line: the outermost frame for an output that cannot be written."""
        try:
            try:
                return super().main(*args, **settings)
            finally:
                _flush()
        except OSError as error:
            if error.filename is not None or error.errno not in _UNWRITABLE:
                raise
            _give_up_output()
            click.echo(f"{click.style('bursar:', fg='red')} the output cannot be written: {error.strerror}", err=True)
            raise SystemExit(1) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command: the outermost frame for what bursar raises on purpose, a missing extra included."""
        try:
            return super().invoke(ctx)
        except BursarError as error:
            click.echo(f"{click.style('bursar:', fg='red')} {error.message}", err=True)
            ctx.exit(error.exit_code)


def _flush() -> None:
    # Python has none where a program starts with a closed one.
    if sys.stdout is not None:
        sys.stdout.flush()


def _give_up_output() -> None:
    """Let what is left of the output go nowhere, so that Python does not try again when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDOUT)
    os.close(nowhere)


def _load(name: str, entry: Entry) -> click.Command:
    module, _, attribute = entry.target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        raise UsageError(f"`bursar {name}` needs {error.name}: pip install 'bursar[{extra}]'") from error
    assert isinstance(found, click.Command)
    return found


class _Presence(click.types.BoolParamType):
    """Whether a variable is set to anything at all, as https://no-color.org wants it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        return bool(value)


def _no_colour(ctx: click.Context, _param: click.Parameter, is_plain: bool) -> None:
    if is_plain:
        ctx.color = False


def root(entries: Mapping[str, Entry]) -> LazyGroup:
    """Make the command `bursar`."""
    colour = click.Option(
        ["--no-color"],
        is_flag=True,
        type=_Presence(),
        envvar="NO_COLOR",
        expose_value=False,
        is_eager=True,
        callback=_no_colour,
        help="Print without colours (also: NO_COLOR=1).",
    )
    group = LazyGroup(
        entries,
        name="bursar",
        params=[colour],
        help="Keep AI agents inside a budget.",
        epilog="Begin with `bursar demo`, then `bursar init` and `bursar serve`. Exit codes: 0 fine, 1 failure, "
        "2 usage, 3 budget exceeded, 4 budget warned.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    return click.version_option(__version__, prog_name="bursar")(group)
