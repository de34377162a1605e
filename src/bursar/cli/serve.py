"""`bursar serve`: the gateway, and what a person must know in the moment it starts.

Owns the words at the start. Logs go to stderr and carry ids and amounts, never a prompt or a key.
"""

from __future__ import annotations

import logging
import socket
import sys
from dataclasses import replace

import click

from bursar.actions.control import ControlState, state_of
from bursar.cli.options import Source, source_options
from bursar.cli.words import limits_words, scope_words
from bursar.config.settings import Settings, StoreKind
from bursar.core.budget import Budget
from bursar.core.provider import Provider
from bursar.gateway.server import BACKLOG, listen
from bursar.gateway.server import serve as serve_gateway
from bursar.wiring.ledger import open_ledger
from bursar.wiring.pepper import open_keyring

__all__ = ["serve"]

NO_BUDGET = """\
WARNING: there is no budget. Every call is recorded, and NOTHING IS LIMITED.
         Set one:  bursar serve --budget '$5/day'     or write a file:  bursar init"""


@click.command()
@source_options
@click.option("--budget", "budgets", multiple=True, metavar="TEXT", help="A budget, such as '$5/day'; repeatable.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on (default: 127.0.0.1).")
@click.option("--port", type=int, metavar="PORT", help="Port to listen on (default: 8484; 0 takes a free one).")
@click.option("--workers", type=int, metavar="N", help="Processes that share the port and the ledger (default: 1).")
def serve(
    source: Source,
    budgets: tuple[str, ...],
    host: str | None,
    port: int | None,
    workers: int | None,
) -> None:
    """Start the gateway: an address that speaks the OpenAI and the Anthropic API and keeps to your budgets.

    Clients keep their keys and their code; only their base URL changes. Stop it with Ctrl-C: streams may finish first.
    """
    flags: dict[str, str | tuple[str, ...]] = {}
    for key, said in (("server.host", host), ("server.port", port), ("server.workers", workers)):
        if said is not None:
            flags[key] = str(said)
    if budgets:
        flags["budget"] = budgets
    settings = source.load(flags)
    state = _look(settings)
    listening = listen(settings)
    listening.listen(BACKLOG)  # From here on a client that connects waits, and is not turned away.
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    _announce(replace(settings, budgets=state.all_budgets(settings.budgets)), listening)
    for problem in state.problems:
        click.echo(f"{click.style('not in force:', fg='red')} {problem}", err=True)
    sys.exit(serve_gateway(settings, listening))


def _look(settings: Settings) -> ControlState:
    """Read what is set. A ledger that cannot be opened, or keys without their pepper, are said here, in one line."""
    ledger = open_ledger(settings)
    try:
        state = state_of(ledger)
    finally:
        ledger.close_store()
    open_keyring(settings, state.keys)
    return state


def _announce(settings: Settings, listening: socket.socket) -> None:
    """Say where it is, how to use it and what it will do."""
    url = f"http://{_shown_host(settings.server.host)}:{listening.getsockname()[1]}"
    store = settings.store
    ledger = "in memory, gone at the end" if store.kind is StoreKind.MEMORY else f"{store.path} ({store.durability})"
    lines = [
        f"bursar listens on {url}",
        "",
        "  Point your clients at it; they keep their own keys:",
        f"    export OPENAI_BASE_URL={url}/v1",
        f"    export ANTHROPIC_BASE_URL={url}",
        "",
        f"  configuration  {settings.file or 'none'}",
        f"  ledger         {ledger}",
        *_listed("providers", [_provider_line(provider) for provider in settings.providers]),
        *_listed("budgets", [_budget_line(budget) for budget in settings.budgets] or ["none"]),
        "",
    ]
    click.echo("\n".join(lines))
    if not settings.budgets:
        click.echo(click.style(NO_BUDGET, fg="red", bold=True), err=True)
    sys.stdout.flush()


def _shown_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listed(name: str, lines: list[str]) -> list[str]:
    return [f"  {name if not index else '':<13}  {line}" for index, line in enumerate(lines)]


def _provider_line(provider: Provider) -> str:
    notes = ", ".join(
        note
        for note in (
            "free" if provider.is_free else "",
            "key from the environment" if provider.api_key else "",
            f"models {' '.join(provider.models)}" if provider.models else "",
        )
        if note
    )
    return f"{provider.name:<10} {provider.base_url}{f' ({notes})' if notes else ''}"


def _budget_line(budget: Budget) -> str:
    strict = " (strict)" if budget.is_strict else ""
    return f"{budget.name}: {limits_words(budget)}{scope_words(budget)}{strict}"
