"""`bursar serve`: the gateway, and what a person must know in the moment it starts.

Owns the words at the start. Logs go to stderr and carry ids and amounts, never a prompt or a key.
"""

from __future__ import annotations

import logging
import socket
import sys
from dataclasses import replace

import click

from bursar.actions.checkup import keyless
from bursar.actions.control import ControlState, state_of
from bursar.cli.options import Source, source_options
from bursar.cli.words import limits_words, scope_words
from bursar.config.settings import Settings, StoreKind
from bursar.core.address import is_loopback
from bursar.core.budget import Budget
from bursar.core.provider import Auth, Provider
from bursar.gateway.server import BACKLOG, listen
from bursar.gateway.server import serve as serve_gateway
from bursar.wiring.ledger import open_ledger
from bursar.wiring.pepper import open_keyring

__all__ = ["serve"]

NO_BUDGET = """\
WARNING: there is no budget. Every call is recorded, and NOTHING IS LIMITED.
         Set one:  bursar serve --budget '$5/day'     or write a file:  bursar init"""
OWN_KEYS = ("  Point your clients at it; they keep their own keys:",)
OUR_KEYS = (
    "  Point your clients at it. As API key each sends a key of this gateway (`bursar key create --name NAME`);",
    "  providers' keys come from the configuration. For a provider without one a client sends its own as ever,",
    "  and the gateway's in the header x-bursar-key:",
)
KEYLESS = """\
WARNING: clients need a key of this gateway, and it has no key of the provider for {names}.
         Calls fail there unless a client sends its own beside the header x-bursar-key.
         Name the variable with the provider's key:  providers: {{{first}: {{api_key_env: NAME}}}}"""
PLAIN_HTTP = """\
WARNING: this is plain HTTP on a network: keys and prompts can be read on the way. Put a proxy with TLS in front and let
         nothing else reach this port (docs/operations.md)."""


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
    """Start the gateway: an address that speaks the OpenAI, Anthropic and Gemini APIs and keeps to your budgets.

    Clients keep their code, and until there are keys of the gateway their own keys; only their base URL changes. Stop
    it with Ctrl-C: streams may finish first.
    """
    flags: dict[str, str | tuple[str, ...]] = {}
    for key, said in (("server.host", host), ("server.port", port), ("server.workers", workers)):
        if said is not None:
            flags[key] = str(said)
    if budgets:
        flags["budget"] = budgets
    settings = source.load(flags, is_calling=True)
    state = _look(settings)
    listening = listen(settings)
    listening.listen(BACKLOG)  # From here on a client that connects waits, and is not turned away.
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    asks = settings.asks_always_for_keys or bool(state.keys)
    _announce(replace(settings, budgets=state.all_budgets(settings.budgets)), listening, asks)
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


def _announce(settings: Settings, listening: socket.socket, asks_for_keys: bool) -> None:
    """Say where it is, how to use it and what it will do."""
    port, store = listening.getsockname()[1], settings.store
    url = f"http://{_reached_host(settings.server.host)}:{port}"
    ledger = "in memory, gone at the end" if store.kind is StoreKind.MEMORY else f"{store.path} ({store.durability})"
    lines = [
        f"bursar listens on http://{_shown_host(settings.server.host)}:{port}",
        "",
        *(OUR_KEYS if asks_for_keys else OWN_KEYS),
        f"    export OPENAI_BASE_URL={url}/v1",
        f"    export ANTHROPIC_BASE_URL={url}",
        f"    export GOOGLE_GEMINI_BASE_URL={url}",
        "",
        f"  pages          {', '.join(_pages(settings))}",
        f"  configuration  {settings.file or 'none'}",
        f"  ledger         {ledger}",
        *_listed("providers", [_provider_line(provider, asks_for_keys) for provider in settings.providers]),
        *_listed("budgets", [_budget_line(budget) for budget in settings.budgets] or ["none"]),
        "",
    ]
    click.echo("\n".join(lines))
    if not settings.budgets:
        _warn(NO_BUDGET)
    without = keyless(settings) if asks_for_keys else ()
    if without:
        _warn(KEYLESS.format(names=", ".join(without), first=without[0]))
    if not is_loopback(settings.server.host):
        _warn(PLAIN_HTTP)
    sys.stdout.flush()


def _warn(words: str) -> None:
    click.echo(click.style(words, fg="red", bold=True), err=True)


def _pages(settings: Settings) -> tuple[str, ...]:
    metrics = ("/metrics",) if settings.telemetry.metrics.enabled else ()
    return ("/healthz", "/readyz", *metrics, "/bursar/v1/ (administration)")


def _shown_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _reached_host(host: str) -> str:
    """Say under which name clients reach an address that stands for all of this machine's."""
    return socket.gethostname() if host in ("0.0.0.0", "::") else _shown_host(host)  # noqa: S104 - compared, not bound


def _listed(name: str, lines: list[str]) -> list[str]:
    return [f"  {name if not index else '':<13}  {line}" for index, line in enumerate(lines)]


def _provider_line(provider: Provider, asks_for_keys: bool) -> str:
    takes_clients = not (provider.api_key or provider.is_free or provider.auth is Auth.NONE)
    notes = ", ".join(
        note
        for note in (
            "free" if provider.is_free else "",
            "key from the environment" if provider.api_key else "",
            "no key: the client's own" if asks_for_keys and takes_clients else "",
            f"models {' '.join(provider.models)}" if provider.models else "",
        )
        if note
    )
    return f"{provider.name:<10} {provider.base_url}{f' ({notes})' if notes else ''}"


def _budget_line(budget: Budget) -> str:
    strict = " (strict)" if budget.is_strict else ""
    return f"{budget.name}: {limits_words(budget)}{scope_words(budget)}{strict}"
