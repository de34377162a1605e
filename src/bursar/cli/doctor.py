"""`bursar doctor`: what is missing or risky in this set-up, with the fix.

Owns the words around the findings; the checks are `actions/checkup.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import click

from bursar.actions.checkup import Finding, Severity, checkup, exposed, filesystem_of, keyless, mounts
from bursar.actions.control import ControlState, state_of
from bursar.actions.shown import finding_json
from bursar.actions.verify import Audit, audit
from bursar.cli.options import Source, json_option, ledger_of, source_options
from bursar.cli.table import echo_json
from bursar.config.load import exposed_keys
from bursar.config.settings import Settings, StoreKind
from bursar.errors import ConfigError
from bursar.reports.unpriced import unpriced_models
from bursar.wiring.pepper import open_keyring

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
    found, unpriced, state = _look(settings)
    filesystem = filesystem_of(settings.store.path.resolve(), mounts())
    in_force = replace(settings, budgets=state.all_budgets(settings.budgets))
    checked = checkup(in_force, found, unpriced, filesystem)
    findings = (*_unset(source), *_set(settings, state), *checked, *exposed(exposed_keys()))
    is_ill = any(finding.severity is Severity.PROBLEM for finding in findings)
    if as_json:
        echo_json([finding_json(each) for each in findings])
    else:
        for finding in findings:
            _echo(finding)
        click.echo("\nproblems were found" if is_ill else "\nno problem was found")
    sys.exit(1 if is_ill else 0)


def _look(settings: Settings) -> tuple[Audit | None, tuple[str, ...], ControlState]:
    """Read the ledger, when there is one: its audit, the models of calls without a price, and what is set.

    Every tenant is looked at.
    """
    if settings.store.kind is StoreKind.MEMORY or not settings.store.path.exists():
        return None, (), ControlState()
    with ledger_of(settings) as ledger:
        found = audit(ledger, None)
        unpriced = {each.model for tenant in found.tenants for each in unpriced_models(ledger, tenant)}
        return found, tuple(sorted(unpriced)), state_of(ledger)


def _unset(source: Source) -> Iterator[Finding]:
    """Find what only the gateway needs: variables with the providers' keys."""
    try:
        source.load(is_calling=True)
    except ConfigError as error:
        for line in error.message.splitlines():
            yield Finding(Severity.PROBLEM, line, "run it where `bursar serve` runs, with the gateway's environment")


def _set(settings: Settings, state: ControlState) -> Iterator[Finding]:
    """Find what was set and is not in force, and keys that nobody can use."""
    for problem in state.problems:
        yield Finding(Severity.PROBLEM, f"not in force: {problem}", "set it again, or take it out")
    try:
        open_keyring(settings, state.keys)
    except ConfigError as error:
        yield Finding(Severity.PROBLEM, error.message, "`bursar key --help`; docs/keys.md says where it lies")
    without = keyless(settings)
    if without and (state.keys or settings.asks_always_for_keys):
        yield Finding(
            Severity.ADVICE,
            f"clients need a key of the gateway, and it has no key of the provider for {', '.join(without)}: "
            "calls fail there unless a client sends its own beside the header x-bursar-key",
            f"name the variable with the key: providers.{without[0]}.api_key_env",
        )


def _echo(finding: Finding) -> None:
    name = finding.severity.name.lower()
    click.echo(f"{click.style(f'{name:<8}', fg=COLOURS[finding.severity])} {finding.what}")
    if finding.fix:
        click.echo(f"{'':<8} → {finding.fix}")
