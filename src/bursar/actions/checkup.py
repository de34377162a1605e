"""What is missing or risky in a set-up: each finding with its fix.

Owns the checks. They look at the settings, at an audit of the ledger and at where its file lies; they change nothing
and never guess: what cannot be known from here is no finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from bursar.actions.verify import Audit
from bursar.config.settings import BUILT_IN_PROVIDERS, Durability, Settings, StoreKind
from bursar.core.money import format_usd
from bursar.core.provider import Auth, Provider
from bursar.core.window import WindowKind
from bursar.wire.routes import ROUTES

__all__ = ["Finding", "Severity", "checkup", "exposed", "filesystem_of", "keyless", "mounts"]

NETWORK_FILESYSTEMS = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "glusterfs", "lustre", "ncpfs"}
    | {"nfs", "nfs4", "smb3", "smbfs", "virtiofs"}
)
MOUNTS = Path("/proc/mounts")
_OCTAL = re.compile(r"\\([0-7]{3})")


class Severity(IntEnum):
    """How much a finding matters; the larger, the more."""

    NOTE = 0
    ADVICE = 1
    PROBLEM = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know, and what to do about it."""

    severity: Severity
    what: str
    fix: str = ""


def checkup(settings: Settings, audit: Audit | None, unpriced: tuple[str, ...], filesystem: str) -> tuple[Finding, ...]:
    """Check everything, the worst first.

    `audit` is None while there is no ledger; `unpriced` names models of calls that nobody could price; `filesystem` is
    the type of what the ledger's file lies on, empty when unknown.
    """
    found = [*_budgets(settings), *_providers(settings), *_store(settings, filesystem)]
    if audit is not None:
        found += [*_ledger(audit), *_prices(unpriced)]
    elif settings.store.kind is StoreKind.SQLITE:
        found.append(
            Finding(Severity.NOTE, f"there is no ledger at {settings.store.path} yet, so no call was looked at")
        )
    return tuple(sorted(found, key=lambda finding: -finding.severity))


def _budgets(settings: Settings) -> Iterator[Finding]:
    budgets = settings.budgets
    if not budgets:
        yield Finding(
            Severity.PROBLEM,
            "there is no budget: every call is recorded, and nothing is limited",
            "`bursar init`, or `bursar serve --budget '$5/day'`",
        )
        return
    split = {label for budget in budgets for label in budget.split}
    named = split | {label for budget in budgets for label, _ in budget.match}
    if "user" not in split:
        yield Finding(
            Severity.ADVICE,
            "no budget is per user: one user can use up what all share",
            "add a budget with `per: user`, such as `limit: [50k tokens / day, 1M tokens / month]`",
        )
    if "agent" not in named:
        yield Finding(
            Severity.ADVICE,
            "no budget is per agent: one agent can use up what all share",
            "add a budget with `per: agent`, or one with `match: {agent: NAME}`",
        )
    if not any(budget.window.kind is WindowKind.RUN for budget in budgets):
        yield Finding(
            Severity.ADVICE,
            "no budget is per run: an agent in a loop runs until the day's budget is gone",
            "add a budget with `limit: $1 / run`",
        )


def _providers(settings: Settings) -> Iterator[Finding]:
    for provider in settings.providers:
        if provider.top_speed is None and _is_configured(provider):
            yield Finding(
                Severity.ADVICE,
                f"the top speed of provider {provider.name} is unknown: a stream holds its whole cap from the start",
                f"set providers.{provider.name}.top_speed to tokens per second that it never exceeds",
            )


_SERVED = frozenset(route.wire for route in ROUTES)
"""The APIs that the gateway offers; others are metered in programs alone, which bring their own keys."""


def keyless(settings: Settings) -> tuple[str, ...]:
    """Name the providers in use that cost money and have no key: where clients send bursar's keys, nobody pays there.

    In use is what the configuration names; where no provider has a key, every one counts.
    """
    served = (each for each in settings.providers if not _SERVED.isdisjoint(each.wires))
    lacking = tuple(each for each in served if not (each.api_key or each.is_free or each.auth is Auth.NONE))
    is_any_known = any(each.api_key for each in settings.providers)
    return tuple(each.name for each in lacking if not is_any_known or _is_configured(each))


def _is_configured(provider: Provider) -> bool:
    return provider not in BUILT_IN_PROVIDERS


def exposed(variables: Iterable[str]) -> Iterator[Finding]:
    """Say which providers' keys stand in the environment of the command: agents that are started there see them."""
    for name in variables:
        yield Finding(
            Severity.ADVICE,
            f"{name} is set here: a program that is started from here can call the provider past every budget",
            "set it for the gateway's own service alone, give agents keys of bursar (`bursar key create`), and let the "
            "network forbid them the provider's address",
        )


def _store(settings: Settings, filesystem: str) -> Iterator[Finding]:
    store = settings.store
    if store.kind is StoreKind.MEMORY:
        yield Finding(
            Severity.ADVICE, "the ledger is in memory: a restart forgets what was spent", "set store.kind to sqlite"
        )
        return
    if filesystem in NETWORK_FILESYSTEMS:
        yield Finding(
            Severity.PROBLEM,
            f"the ledger {store.path} lies on a network file system ({filesystem}), where SQLite's locks do not hold",
            "set store.path to a file on a local disk",
        )
    if store.durability is Durability.PROCESS:
        yield Finding(
            Severity.NOTE,
            "durability is `process`: what was recorded survives a crash of bursar, the last moments not a power cut",
            "store.durability: power syncs every commit to the disk",
        )


def _ledger(audit: Audit) -> Iterator[Finding]:
    if audit.mismatches:
        yield Finding(
            Severity.PROBLEM,
            f"{len(audit.mismatches):,} balances differ from their entries",
            "`bursar verify` names them; keep a copy of the file and report it",
        )
    if audit.presumed_calls:
        yield Finding(
            Severity.PROBLEM,
            f"{audit.presumed_calls:,} calls are presumed, {format_usd(audit.presumed.cost_nano)} in all: "
            "they count in full until somebody knows better",
            "look them up at the provider, then `bursar holds correct ID --cost USD`",
        )
    if audit.orphans:
        yield Finding(
            Severity.PROBLEM,
            f"{len(audit.orphans):,} holds are open whose process is gone",
            "`bursar holds lapse`, or start the gateway",
        )


def _prices(unpriced: tuple[str, ...]) -> Iterator[Finding]:
    if unpriced:
        yield Finding(
            Severity.PROBLEM,
            f"calls were made that nobody can price, so their cost is missing: {', '.join(unpriced)}",
            "add these models under `prices:`; `bursar price show MODEL` says what is known",
        )


def filesystem_of(path: Path, mounted: str) -> str:
    """Find the type of file system that a path lies on, in the text of /proc/mounts; empty when it is not there."""
    found, length = "", -1
    for line in mounted.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        mount = Path(_OCTAL.sub(lambda octal: chr(int(octal.group(1), 8)), fields[1]))
        if path.is_relative_to(mount) and len(mount.parts) >= length:
            found, length = fields[2], len(mount.parts)
    return found


def mounts() -> str:
    """Read what is mounted; empty where that cannot be read (only Linux tells it this way)."""
    try:
        return MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
