"""`bursar run`: any program, unchanged, inside one budget.

Owns the words at the end, the run's budget and its exit code. The money is held by what the gateway and the library
share; the program is `run_child.py`'s, what it is told `run_ways.py`'s.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

from bursar.actions.holds import lapse_gone
from bursar.cli.options import Source, ledger_of, now, pairs, source_options
from bursar.cli.run_child import NOT_EXECUTABLE, NOT_FOUND, Seen, started
from bursar.cli.run_door import Door
from bursar.cli.run_pipe import run_pipe
from bursar.cli.run_ways import Ways, program_command, program_environment, ways_of
from bursar.cli.table import clean
from bursar.cli.words import money
from bursar.client.limits import read_limits
from bursar.config.environment import GUARDS
from bursar.config.inherited import inherited_text, whole_environment
from bursar.config.settings import Settings, StoreKind
from bursar.core.budget import Limit, Unit
from bursar.core.labels import Labels, is_label
from bursar.core.ledger import SpendQuery
from bursar.errors import BudgetExceeded, UsageError
from bursar.ids import new_id
from bursar.pipeline.budgets import Budgets
from bursar.pipeline.refusals import format_amount
from bursar.wiring.handed import Handed, OpenScope, handed, own_budget, read_scopes
from bursar.wiring.ledger import TENANT, open_ledger

__all__ = ["run"]

REFUSALS_MAX = 5
NAME_LENGTH_MAX = 128
FIXED = ("key", "provider", "model", "wire")
"""Labels that are not the run's to give."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One run: what it may spend, and where its ledger is."""

    settings: Settings
    limits: tuple[Limit, ...]
    scopes: tuple[OpenScope, ...]
    """The open budgets, its own the last."""
    began_ns: int
    source: Source

    @property
    def own(self) -> OpenScope:
        return self.scopes[-1]

    @property
    def id(self) -> str:
        labels: dict[str, str] = {}
        for scope in self.scopes:
            labels.update(scope.labels)
        return labels["run"]


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--budget", "amount", metavar="AMOUNT", help="The most that it may spend: 5, '$0.50', '50k tokens'.")
@click.option("--tokens", metavar="N", help="The most tokens: 200000, 200k.")
@click.option("--requests", metavar="N", help="The most model calls.")
@click.option("--agent", metavar="NAME", help="Who works: a label of every call.")
@click.option("--task", metavar="NAME", help="What for.")
@click.option("--user", metavar="NAME", help="For whom.")
@click.option("--run", "run_id", metavar="ID", help="The run's name (default: a new one).")
@click.option("--label", "labels", multiple=True, metavar="LABEL=VALUE", help="Another label, or a tag; repeatable.")
@click.option("--guards", metavar="SET", help="Circuit breakers for this run: default or off.")
@click.option(
    "--stop-after",
    type=click.IntRange(0, 1_000_000),
    default=REFUSALS_MAX,
    show_default=True,
    metavar="N",
    help="End a program that goes on asking after N refusals; 0 never does.",
)
@click.option("--quiet", "-q", is_flag=True, help="Say nothing at the end.")
@source_options
@click.argument("command", metavar="-- PROGRAM [ARGS]...", nargs=-1, required=True, type=click.UNPROCESSED)
def run(source: Source, command: tuple[str, ...], stop_after: int, quiet: bool, **said: Any) -> None:
    """Run a program inside a budget; nothing in it is changed.

    Every model call of the program, and of what it starts, counts. Its exit code is this command's, but 3 when a budget
    or a guard stopped it, or ended one of its answers.
    """
    environ = whole_environment()
    made = _made(source, said)
    with run_pipe() as (path, pipe):
        seen = _kept(made, command, environ, (path, pipe, said["guards"] or ""), stop_after)
    if not seen.message and seen.shared[0]:
        seen.message = _last_word(made, seen)
    if not quiet:
        with contextlib.suppress(OSError):  # Nobody reads it any more.
            _sum_up(made, seen)
    sys.exit(BudgetExceeded.exit_code if seen.message else seen.exit_code)


def _made(source: Source, said: Mapping[str, Any]) -> _Run:
    """Make the run: its budget, its labels, and a ledger that can be used."""
    settings = source.load({"guards": said["guards"]} if said["guards"] else {})
    if settings.store.kind is StoreKind.MEMORY:
        raise UsageError("store.kind is memory: a ledger in memory cannot be shared by the programs of a run")
    limits = read_limits(_amount(said["amount"]), said["tokens"], said["requests"])
    ledger = open_ledger(settings)
    try:
        began_ns = now(ledger)
    finally:
        ledger.close_store()
    outer = read_scopes(inherited_text())
    labels = _labels(said)
    if not any("run" in scope.labels for scope in outer):
        labels = {"run": new_id(began_ns), **labels}
    name = (labels.get("agent") or labels.get("task") or "run")[:NAME_LENGTH_MAX]
    budget = own_budget(limits, name=name, instance=new_id(began_ns), link=settings.link)
    return _Run(settings, limits, (*outer, OpenScope(budget, labels)), began_ns, source)


def _amount(written: str | None) -> str | None:
    """Read a bare number as dollars."""
    text = (written or "").strip()
    return f"${text}" if text and text.replace(".", "", 1).isdecimal() else text or None


def _labels(said: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, values in pairs("--label", said["labels"]).items():
        if name in FIXED:
            raise UsageError(f"--label {name}: this is known of each call, and cannot be set")
        found[name if is_label(name) else f"tag.{name}"] = values[-1]
    found |= {name: said[name] for name in ("agent", "task", "user") if said[name]}
    if said["run_id"]:
        found["run"] = said["run_id"]
    return dict(Labels.of(found).pairs)


def _kept(
    made: _Run, command: Sequence[str], environ: Mapping[str, str], told: tuple[str, int, str], stop_after: int
) -> Seen:
    """Start the program with its gateway, and look after both until it ends."""
    (path, pipe, guards), outer, door = told, handed(), Door()
    ways = ways_of(made.settings, environ, outer, door.url)
    own = made.own.budget
    run_handed = Handed({**outer.pipes, own.instance: path}, ways.homes)
    environment = program_environment(environ, made.settings, ways, made.scopes, run_handed)
    if guards:
        environment[GUARDS] = guards
    identities = {scope.budget.identity: scope.budget.instance for scope in made.scopes}

    def tell(what: str, message: str, identity: str, share_ns: int) -> None:
        own = {identities[identity]} if identity in identities else None
        run_handed.tell(message, own, what=what, share_ns=share_ns)

    def open_door() -> None:
        door.open(_without_keys(made.settings, ways), ways, made.scopes, tell)

    try:
        with started(program_command(command, environ, ways), environment, stop_after) as (child, signals):
            return child.keep(pipe, signals, door.listening, open_door)
    except FileNotFoundError as error:
        click.echo(f"bursar: {command[0]}: {error.strerror}", err=True)
        sys.exit(NOT_FOUND)
    except OSError as error:
        click.echo(f"bursar: {command[0]}: {error.strerror}", err=True)
        sys.exit(NOT_EXECUTABLE)
    finally:
        door.close()


def _without_keys(settings: Settings, ways: Ways) -> Settings:
    """Let the programs' own keys go through; those of a configuration are for those who serve it."""
    providers = tuple(replace(each, api_key="", headers=(), secrets=()) for each in ways.providers)
    return replace(settings, providers=providers, admin_secret="", metrics_secret="")


def _last_word(made: _Run, seen: Seen) -> str:
    """Say which share of a budget ended the last answer; nothing where the program went on after it."""
    ended_ns, message = seen.shared
    with ledger_of(made.settings) as ledger:
        at_ns = now(ledger)
        lapse_gone(ledger, at_ns, made.settings.limits.lapse_s)
        later = ledger.spend(SpendQuery(TENANT, ("run",), ended_ns, at_ns + 1, {"run": made.id}))
    return "" if later else message


def _sum_up(made: _Run, seen: Seen) -> None:
    """Say in a few lines what it came to."""
    budget = made.own.budget
    with ledger_of(made.settings) as ledger:
        at_ns = now(ledger)
        lapse_gone(ledger, at_ns, made.settings.limits.lapse_s)
        lines = Budgets(()).lines((budget,), Labels({}), at_ns)
        found = {line.unit: (line, ledger.balance(TENANT, line)) for line in lines}
        rows = ledger.spend(SpendQuery(TENANT, ("run",), made.began_ns, at_ns + 1, {"run": made.id}))
    used = {unit: sum(balance) for unit, (_, balance) in found.items()}
    calls, cost = used[Unit.REQUESTS], money(used[Unit.USD])
    given = sum(row.settled.input_tokens + row.presumed.input_tokens for row in rows)
    output = sum(row.settled.output_tokens + row.presumed.output_tokens for row in rows)
    limits = {limit.unit: limit.amount for limit in made.limits}
    of = f" of {money(limits[Unit.USD])}" if Unit.USD in limits else ""
    rests = ", ".join(format_amount(unit, max(0, most - used[unit])) for unit, most in limits.items())
    head = f"{cost}{of} spent, {calls:,} call{'' if calls == 1 else 's'}, {given:,} tokens in, {output:,} out"
    told = [head + (f"; left: {rests}" if rests else "")]
    if seen.message:
        told.append(f"STOPPED: {clean(seen.message)}")
    if seen.is_ended:
        told.append(f"it went on asking after {seen.refusals:,} refusals and was ended")
    if calls or seen.refusals:
        store = f" --store {made.source.store}" if made.source.store else ""
        told.append(f"the story: bursar runs show {clean(made.id)}{store}")
    for line in told:
        click.echo(f"bursar: {line}", err=True)
