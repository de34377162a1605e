"""`bursar doctor`: what is missing or risky in this set-up, with the fix.

Owns the words around the findings; the checks are `actions/checkup.py`.
"""

from __future__ import annotations

import sys

import click

from bursar.actions.checkup import Finding, Severity, checkup, filesystem_of, mounts
from bursar.actions.verify import FLAGGED_MAX, Audit, audit
from bursar.cli.options import TENANT, Source, json_option, ledger_of, source_options
from bursar.cli.table import echo_json
from bursar.config.settings import Settings, StoreKind
from bursar.core.hold import State
from bursar.core.labels import Labels

__all__ = ["doctor"]

COLOURS = {Severity.NOTE: None, Severity.ADVICE: "yellow", Severity.PROBLEM: "red"}


@click.command()
@source_options
@json_option
def doctor(source: Source, as_json: bool) -> None:
    """Check the configuration and the ledger: missing limits, unknown prices, money that waits for a person.

    Exit code 1 when there is a problem; advice and notes are no problem.
    """
    settings = source.load()
    found, unpriced = _look(settings)
    filesystem = filesystem_of(settings.store.path.resolve(), mounts())
    findings = checkup(settings, found, unpriced, filesystem)
    is_ill = any(finding.severity is Severity.PROBLEM for finding in findings)
    if as_json:
        echo_json([{"severity": each.severity.name.lower(), "what": each.what, "fix": each.fix} for each in findings])
    else:
        for finding in findings:
            _echo(finding)
        click.echo("\nproblems were found" if is_ill else "\nno problem was found")
    sys.exit(1 if is_ill else 0)


def _look(settings: Settings) -> tuple[Audit | None, tuple[str, ...]]:
    """Read the ledger, when there is one: its audit, and the models of calls without a price."""
    if settings.store.kind is StoreKind.MEMORY or not settings.store.path.exists():
        return None, ()
    with ledger_of(settings) as ledger:
        latest = ledger.holds(TENANT, (State.SETTLED, State.PRESUMED), FLAGGED_MAX)
        unpriced = {Labels(row.labels)["model"] for row in latest if "unpriced" in row.flags}
        return audit(ledger, TENANT), tuple(sorted(unpriced))


def _echo(finding: Finding) -> None:
    name = finding.severity.name.lower()
    click.echo(f"{click.style(f'{name:<8}', fg=COLOURS[finding.severity])} {finding.what}")
    if finding.fix:
        click.echo(f"{'':<8} → {finding.fix}")
