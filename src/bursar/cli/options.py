"""What several commands share: where the configuration and the ledger are, which time zone, which tenant.

Owns those options and the opening of the ledger for a command. It must never make a ledger that is not there: a report
of an empty new file would say that nothing was spent.
"""

from __future__ import annotations

import functools
import os
import pwd
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import click

from bursar.actions.acting import By
from bursar.cli.table import clean
from bursar.config.load import Flags, from_environment
from bursar.config.settings import Settings, StoreKind
from bursar.config.values import timezone
from bursar.errors import NotFound, UsageError
from bursar.wiring.ledger import open_ledger, store_clock

__all__ = [
    "TENANT",
    "OpenLedger",
    "Source",
    "acting",
    "hint_elsewhere",
    "json_option",
    "ledger_of",
    "ledger_to_change",
    "now",
    "pairs",
    "source_options",
    "tenant_option",
    "tz_option",
    "zone_of",
]

TENANT = "default"
TENANTS_SHOWN = 10
OpenLedger: TypeAlias = Any
"""The ledger as wiring opens it; each action and report names what it needs of it in a Protocol of its own."""


@dataclass(frozen=True, slots=True)
class Source:
    """Which configuration and which ledger a command is about: its --config and --store."""

    config: Path | None = None
    store: str | None = None

    def load(self, flags: Flags | None = None, *, is_calling: bool = False) -> Settings:
        """Load the settings as every command does: file < environment < flag.

        Only what calls providers (`is_calling`) needs their keys: reports are read where these are not.
        """
        said = dict(flags or {})
        if self.store:
            said["store.path"] = self.store
        return from_environment(self.config, said, is_calling=is_calling)


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --config and --store; the command gets them as one `source`."""

    @functools.wraps(command)
    def with_source(*args: Any, config: Path | None, store: str | None, **others: Any) -> Any:
        return command(*args, source=Source(config, store), **others)

    config = click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="The configuration (default: BURSAR_CONFIG, else bursar.yaml here, else none).",
    )
    store = click.option("--store", metavar="PATH", help="The ledger's file (default: store.path, else bursar.db).")
    return config(store(with_source))


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def tz_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --tz."""
    words = "Time zone of days and times (default: the budgets' own if they share one, else UTC)."
    return click.option("--tz", metavar="ZONE", help=words)(command)


def zone_of(tz: str | None, settings: Settings) -> ZoneInfo:
    """Read --tz. Without it a day is what the budgets call a day, when they agree."""
    if tz is None:
        zones = {budget.window.timezone for budget in settings.budgets}
        return ZoneInfo(zones.pop() if len(zones) == 1 else "UTC")
    try:
        return ZoneInfo(timezone(tz))
    except ValueError as error:
        raise UsageError(f"--tz: {error}") from error


def tenant_option(words: str, default: str | None = TENANT) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --tenant."""
    return click.option("--tenant", metavar="NAME", default=default, show_default=default is not None, help=words)


def hint_elsewhere(ledger: OpenLedger, tenant: str) -> None:
    """Where a tenant has no calls and others have, say so on stderr: a forgotten --tenant looks like an empty ledger.

    It looks at every call, so ask it only where nothing was found.
    """
    known = ledger.tenants()
    if not known or tenant in known:
        return
    more = f" and {len(known) - TENANTS_SHOWN:,} more" if len(known) > TENANTS_SHOWN else ""
    named = ", ".join(clean(each) for each in known[:TENANTS_SHOWN])
    click.echo(f"tenant {clean(tenant)} has no calls; there are calls of: {named}{more} (--tenant NAME)", err=True)


def pairs(option: str, texts: Iterable[str]) -> dict[str, list[str]]:
    """Read LABEL=VALUE, which may stand several times; hyphens in a label's name are underscores."""
    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{option} {text[:60]}: write LABEL=VALUE")
        label = name.strip() if name.startswith("tag.") else name.strip().lower().replace("-", "_")
        found.setdefault(label, []).append(value.strip())
    return found


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


@contextmanager
def ledger_to_change(settings: Settings) -> Iterator[OpenLedger]:
    """Open the ledger to set something in it; it is made when there is none, since keys may come before calls."""
    if settings.store.kind is StoreKind.MEMORY:
        raise UsageError("store.kind is memory: that ledger is its gateway's alone, and no command can change it")
    ledger = open_ledger(settings)
    try:
        yield ledger
    finally:
        ledger.close_store()


def acting(ledger: OpenLedger) -> By:
    """Say who runs this command, as the audit log remembers it: the user of this machine, not what a variable says."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return By.local(user, now(ledger))


def now(ledger: OpenLedger) -> int:
    """Tell the time as the ledger knows it: never behind what it has seen."""
    return store_clock(ledger.latest_ns())()
