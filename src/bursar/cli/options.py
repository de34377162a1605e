"""What several commands share: where the configuration and the ledger are, which time zone, which tenant.

Owns those options and the opening of the ledger for a command. It must never make a ledger that is not there: a report
of an empty new file would say that nothing was spent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from bursar.config.load import Flags, from_environment
from bursar.config.settings import Settings, StoreKind
from bursar.config.values import timezone
from bursar.errors import NotFound, UsageError
from bursar.wiring import StoreClock, open_ledger

__all__ = ["TENANT", "OpenLedger", "config_options", "json_option", "ledger_of", "load", "now", "tz_option", "zone_of"]

TENANT = "default"
Command = TypeVar("Command", bound=Callable[..., Any])
OpenLedger = Any
"""The ledger as wiring opens it; each action names what it needs of it in a Protocol of its own."""


def config_options(command: Command) -> Command:
    """Add --config and --store."""
    config = click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="The configuration (default: BURSAR_CONFIG, else bursar.yaml here, else none).",
    )
    store = click.option("--store", metavar="PATH", help="The ledger's file (default: store.path, else bursar.db).")
    return config(store(command))


def json_option(command: Command) -> Command:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def tz_option(command: Command) -> Command:
    """Add --tz."""
    return click.option(
        "--tz",
        metavar="ZONE",
        help="Time zone of days and times (default: the budgets' own if they share one, else UTC).",
    )(command)


def load(config: Path | None, store: str | None = None, flags: Flags | None = None) -> Settings:
    """Load the settings as every command does: file < environment < flag."""
    said = dict(flags or {})
    if store:
        said["store.path"] = store
    return from_environment(config, said)


def zone_of(tz: str | None, settings: Settings) -> ZoneInfo:
    """Read --tz. Without it a day is what the budgets call a day, when they agree."""
    if tz is None:
        zones = {budget.window.timezone for budget in settings.budgets}
        return ZoneInfo(zones.pop() if len(zones) == 1 else "UTC")
    try:
        return ZoneInfo(timezone(tz))
    except ValueError as error:
        raise UsageError(str(error)) from error


@contextmanager
def ledger_of(settings: Settings) -> Iterator[OpenLedger]:
    """Open the ledger that is there, whether a gateway runs on it or not. Raises NotFound when there is none."""
    store = settings.store
    if store.kind is StoreKind.MEMORY:
        raise UsageError("store.kind is memory: that ledger ends with its gateway, and no command can read it")
    if not store.path.exists():
        raise NotFound(
            f"there is no ledger at {store.path}: the first `bursar serve` makes it; --store names another file"
        )
    ledger = open_ledger(settings)
    try:
        yield ledger
    finally:
        ledger.close_store()


def now(ledger: OpenLedger) -> int:
    """Tell the time as the ledger knows it: never behind what it has seen."""
    return StoreClock(ledger.latest_ns())() if ledger else time.time_ns()
