"""`bursar verify`: the ledger proves itself.

Owns the words of the audit; the audit is `actions/verify.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bursar.actions.shown import audit_json
from bursar.actions.verify import Audit, audit
from bursar.cli.options import Source, json_option, ledger_of, source_options
from bursar.cli.table import clean, echo_json
from bursar.cli.words import amount_words, money
from bursar.core.ledger import Mismatch

__all__ = ["verify"]

SHOWN_MAX = 50


@click.command()
@source_options
@json_option
def verify(source: Source, as_json: bool) -> None:
    """Recompute every balance from the ledger's entries and open holds, and compare. Every tenant's are looked at.

    Also tells what waits for a person. Exit code 1 when a balance differs. It is safe while the gateway runs.
    """
    settings = source.load()
    with ledger_of(settings) as ledger:
        found = audit(ledger, None)
    if as_json:
        echo_json(audit_json(found))
    else:
        _echo(found, settings.store.path)
    sys.exit(0 if found.is_proven else 1)


def _echo(found: Audit, path: Path) -> None:
    click.echo(
        f"ledger {path}: {found.balances:,} balances against {found.calls:,} calls and {found.open_calls:,} open holds"
    )
    if found.is_proven:
        click.secho("every balance equals its entries", fg="green")
    for mismatch in found.mismatches[:SHOWN_MAX]:
        click.secho(_mismatch(mismatch), fg="red")
    if len(found.mismatches) > SHOWN_MAX:
        click.echo(f"and {len(found.mismatches) - SHOWN_MAX:,} more")
    if len(found.tenants) > 1:
        click.echo(f"  tenants   {', '.join(clean(each) for each in found.tenants)}")
    click.echo(f"  settled   {money(found.settled.cost_nano)}")
    click.echo(
        f"  presumed  {money(found.presumed.cost_nano)} in {found.presumed_calls:,} calls that nobody answered for"
    )
    if found.presumed_calls:
        click.echo("            `bursar holds list --state presumed` names them, `bursar holds correct` mends them")
        if len(found.tenants) > 1:
            click.echo("            (with --tenant NAME for each)")
    if found.orphans:
        click.echo(
            f"  {len(found.orphans):,} open holds of processes that are gone: `bursar holds lapse` presumes them"
        )
    if found.flags:
        told = ", ".join(f"{flag} {count:,}" for flag, count in sorted(found.flags.items()))
        click.echo(f"  flags     {told} (of the latest {found.flags_of:,} calls)")


def _mismatch(mismatch: Mismatch) -> str:
    where = f"{mismatch.budget}{' of ' + mismatch.scope if mismatch.scope else ''}"
    kept, folded = (amount_words(mismatch.unit, amount) for amount in (mismatch.balance, mismatch.folded))
    return f"MISMATCH {where}: {mismatch.book} says {kept}, the entries say {folded}"
