"""`bursar key`: make, list, rotate and revoke keys.

Owns the words. A key is printed once, on stdout alone, so that `KEY=$(bursar key create …)` holds it and nothing else;
all explanations go to stderr. What a key may be is decided in `actions/keys.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import click

from bursar.actions.control import state_of
from bursar.actions.keys import SETTABLE, KeyWish, create_key, list_keys, revoke_key, rotate_key
from bursar.actions.shown import key_shown
from bursar.cli.options import (
    Source,
    acting,
    json_option,
    ledger_of,
    ledger_to_change,
    now,
    pairs,
    source_options,
    tenant_option,
    tz_option,
    zone_of,
)
from bursar.cli.table import Column, clean, echo_json, echo_table
from bursar.cli.when import parse_duration, parse_ending
from bursar.cli.words import instant
from bursar.core.control import KeyRow, Role
from bursar.errors import UsageError
from bursar.wiring.pepper import open_pepper

__all__ = ["key"]

ALL = "all"
COLUMNS = (
    Column("id", is_text=True, is_id=True),
    Column("tenant", is_text=True),
    Column("name", is_text=True),
    Column("role", is_text=True),
    Column("key", is_text=True),
    Column("labels", is_text=True),
    Column("may set", is_text=True),
    Column("state", is_text=True),
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What --label, --may-set and --expires say."""

    labels: tuple[str, ...]
    may_set: tuple[str, ...]
    expires: str | None


@click.group()
def key() -> None:
    """Keys for your clients: whose calls they are, and what the calls may say of themselves."""


@key.command()
@tenant_option("Whose key it is.")
@click.option("--name", required=True, metavar="NAME", help="What you call it; the label `key` of its calls.")
@click.option(
    "--label", "labels", multiple=True, metavar="LABEL=VALUE", help="A label that its calls have; repeatable."
)
@click.option(
    "--may-set",
    multiple=True,
    metavar="LABELS",
    help="Labels that the client may set: task,run,step,user; tag.* is every tag.",
)
@click.option(
    "--role",
    type=click.Choice([str(role) for role in Role]),
    default=str(Role.CALL),
    show_default=True,
    help="What it is for.",
)
@click.option("--expires", metavar="TIME", help="After 90d, or at 2027-01-01; without it never.")
@source_options
@json_option
def create(
    labels: tuple[str, ...], may_set: tuple[str, ...], expires: str | None, source: Source, as_json: bool, **said: Any
) -> None:
    """Make a key, and print it: this once, and never again.

    On stdout is the key alone, so `KEY=$(bursar key create --name ci)` keeps it.
    """
    settings = source.load()
    asked = _Asked(labels, may_set, expires)
    with ledger_to_change(settings) as ledger:
        keys = state_of(ledger).keys
        pepper = open_pepper(settings, create=True, has_keys=bool(keys))
        assert pepper is not None
        by = acting(ledger)
        row, token = create_key(ledger, pepper, _wish(asked, said, zone_of(None, settings), by.at_ns), by)
    if not any(each.is_live(row.created_ns) for each in keys):
        click.echo("this is the first key: from now on the gateway asks every call for one", err=True)
    _echo_new(row, token, as_json)


def _wish(asked: _Asked, said: dict[str, Any], zone: ZoneInfo, now_ns: int) -> KeyWish:
    return KeyWish(
        tenant=said["tenant"],
        name=said["name"],
        role=Role(said["role"]),
        labels=_one_each(pairs("--label", asked.labels)),
        may_set=frozenset(name for text in asked.may_set for name in _names(text)),
        expires_ns=0 if asked.expires is None else parse_ending(asked.expires, zone, now_ns),
    )


def _one_each(found: dict[str, list[str]]) -> dict[str, str]:
    for label, values in found.items():
        if len(values) > 1:
            raise UsageError(f"--label {label}: twice, and a call has one {label}")
    return {label: values[0] for label, values in found.items()}


def _names(text: str) -> list[str]:
    """Read label names; `all` stands for every label that a client can set."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if ALL in names:
        return [*SETTABLE, "tag.*"]
    return [name if name.startswith("tag.") else name.lower().replace("-", "_") for name in names]


@key.command("list")
@tenant_option("Only this tenant's keys (default: all).", None)
@source_options
@tz_option
@json_option
def list_(tenant: str | None, source: Source, tz: str | None, as_json: bool) -> None:
    """List keys, without the keys themselves; expired and revoked ones are among them."""
    settings = source.load()
    with ledger_of(settings) as ledger:
        rows, now_ns = list_keys(ledger, tenant), now(ledger)
    if as_json:
        echo_json([key_shown(row) for row in rows])
    elif rows:
        echo_table(COLUMNS, [_cells(row, zone_of(tz, settings), now_ns) for row in rows])
    else:
        click.echo("no key was made: calls need none until `bursar key create` makes the first")


@key.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap", default="1h", show_default=True, metavar="TIME", help="How long the old key still opens: 0, 30m, 1d."
)
@source_options
@json_option
def rotate(key_id: str, overlap: str, source: Source, as_json: bool) -> None:
    """Make a new key in place of one, which ends when the overlap is over. It has a new ID."""
    settings = source.load()
    overlap_s = parse_duration(overlap)
    with ledger_of(settings) as ledger:
        pepper = open_pepper(settings, create=True, has_keys=bool(state_of(ledger).keys))
        assert pepper is not None
        row, token = rotate_key(ledger, pepper, None, key_id.strip(), overlap_s, acting(ledger))
    until = f"the old one opens for {overlap} more" if overlap_s else "the old one is dead"
    click.echo(f"{key_id.strip()}: {until}", err=True)
    _echo_new(row, token, as_json)


@key.command()
@click.argument("key_id", metavar="ID")
@source_options
@json_option
def revoke(key_id: str, source: Source, as_json: bool) -> None:
    """End a key now, for good."""
    settings = source.load()
    with ledger_of(settings) as ledger:
        row = revoke_key(ledger, None, key_id.strip(), acting(ledger))
    if as_json:
        echo_json(key_shown(row))
    else:
        click.echo(f"{row.id}: key {row.name!r} of tenant {row.tenant} is revoked")


def _echo_new(row: KeyRow, token: str, as_json: bool) -> None:
    if as_json:
        echo_json({**key_shown(row), "key": token})
        return
    click.echo(f"key {row.id}, {row.name!r} of tenant {row.tenant}, role {row.role}: it is shown this once", err=True)
    click.echo(token)


def _cells(row: KeyRow, zone: ZoneInfo, now_ns: int) -> Sequence[str]:
    labels = " ".join(f"{name}={value}" for name, value in row.labels.items())
    may_set = " ".join(sorted(row.may_set))
    return [row.id, row.tenant, row.name, row.role, f"…{row.hint}", labels, may_set, clean(_state(row, zone, now_ns))]


def _state(row: KeyRow, zone: ZoneInfo, now_ns: int) -> str:
    ends = [(at_ns, word) for at_ns, word in ((row.revoked_ns, "revoked"), (row.expires_ns, "expired")) if at_ns]
    if not ends:
        return "in force"
    at_ns, word = min(ends)
    if at_ns <= now_ns:
        return word
    return f"until {instant(at_ns, zone, '%Y-%m-%d %H:%M')}"
