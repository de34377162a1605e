"""What happens in the demo, told as it happens: a loop that is stopped, a stream that ends in time, the books.

Owns the acts and their words. Every figure is read from a reply, the ledger or the provider's invoice; nothing is
claimed that was not looked at.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import openai

from bursar.actions.budgets import budget_status
from bursar.cli.options import TENANT, Source, ledger_of, now
from bursar.cli.table import Column, echo_table
from bursar.cli.words import money
from bursar.config.settings import Settings
from bursar.core.ledger import SpendQuery
from bursar.core.money import Nano, parse_usd
from bursar.core.window import FOREVER_NS

__all__ = ["AGENT_MODEL", "WRITER_MODEL", "World", "tell"]

AGENT_MODEL = "play-chat"
WRITER_MODEL = "play-writer"
STEPS_MAX = 100
RESULT = "2026-11-21T03:14:07Z error: connection reset by peer while reading upstream response header\n" * 90
"""What the agent's tool finds each time: about 2,000 tokens of log lines."""
SHOW_EVERY_S = 0.8
CALL_S = 60.0
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "search",
            "description": "Search the logs.",
            "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
        },
    }
]


@dataclass(frozen=True, slots=True)
class World:
    """The running demo."""

    url: str
    directory: Path
    """Holds its bursar.yaml; commands run here."""
    began_ns: int
    invoice: Callable[[], Any]
    """The provider's own bill so far."""
    run: Callable[..., int]
    """Runs a bursar command and shows what it prints."""

    @property
    def settings(self) -> Settings:
        return Source(self.directory / "bursar.yaml").load()


@dataclass(slots=True)
class _Sent:
    """Counts the requests that an SDK really sends, retries included."""

    count: int = 0

    def __call__(self, _request: object) -> None:
        self.count += 1


def tell(world: World) -> None:
    """Tell the whole story."""
    click.echo(
        f"A gateway runs at {world.url}; behind it a model server that only plays, and bills as a real one\n"
        f"(input $2.50, output $10.00 per million tokens). No key, no network, no money.\n"
        f"Configuration and ledger: {world.directory}"
    )
    _head("1. An agent runs in circles. Its budget: $0.50 a day.")
    last_id = _runaway(world)
    _head("2. A long answer is streamed. The writer's budget: $0.06 a day.")
    _stream(world)
    _head("3. Who spent what?")
    _show(world, "spend", "--by", "agent,model")
    click.echo()
    _show(world, "budget", "list")
    if last_id:
        _head("4. Why did the last step cost that much?")
        _show(world, "call", last_id)
    _head("5. Can the books be trusted?")
    _show(world, "verify")
    click.echo()
    _compare(world)


def _head(text: str) -> None:
    click.echo()
    click.secho(text, bold=True)
    click.echo()


def _show(world: World, *words: str) -> None:
    click.secho(f"$ bursar {' '.join(words)}", fg="cyan")
    world.run(*words)


def _client(world: World, sent: _Sent, **labels: str) -> openai.OpenAI:
    """Make an ordinary OpenAI client that says who it is. Proxy variables are not for an address on this machine."""
    return openai.OpenAI(
        base_url=f"{world.url}/v1",
        api_key="no-key-needed",
        default_headers={f"x-bursar-{name}": value for name, value in labels.items()},
        timeout=CALL_S,
        http_client=openai.DefaultHttpxClient(trust_env=False, event_hooks={"request": [sent]}),
    )


def _runaway(world: World) -> str:
    """Let an agent call its tool for ever; give the id of its last call that was answered."""
    sent = _Sent()
    messages: list[Any] = [
        {"role": "system", "content": "You find the cause of outages. Search until you are sure."},
        {"role": "user", "content": "Why was the shop down last night?"},
    ]
    spent, call_id = Decimal(0), ""
    with _client(world, sent, agent="researcher", run="outage-17", user="ada") as client:
        for step in range(1, STEPS_MAX + 1):
            before, billed = sent.count, world.invoice()["requests"]
            try:
                raw = client.chat.completions.with_raw_response.create(
                    model=AGENT_MODEL, messages=messages, tools=TOOLS, extra_headers={"x-bursar-step": str(step)}
                )
            except openai.APIStatusError as error:
                _refused(world, error, attempts=sent.count - before, billed=billed)
                return call_id
            answer = raw.parse()
            cost, call_id = Decimal(raw.headers["x-bursar-cost-usd"]), raw.headers["x-bursar-call"]
            spent += cost
            _echo_step(step, answer.usage, cost, spent, raw.headers["x-bursar-remaining-usd"])
            asked = answer.choices[0].message
            messages.append(asked.model_dump(exclude_none=True))
            ids = [each.id for each in asked.tool_calls or ()]
            messages += [{"role": "tool", "tool_call_id": tool_id, "content": RESULT} for tool_id in ids]
    click.echo(f"  it was not stopped within {STEPS_MAX} steps")
    return call_id


def _echo_step(step: int, usage: Any, cost: Decimal, spent: Decimal, left: str) -> None:
    click.echo(
        f"  step {step:>2}  searches again: {usage.prompt_tokens:>6,} tokens in, {usage.completion_tokens:>3,} out  "
        f"{_usd(cost)}   spent {_usd(spent)}   left {_usd(Decimal(left))}"
    )


def _usd(amount: Decimal) -> str:
    return f"${amount:.4f}"


def _refused(world: World, error: openai.APIStatusError, *, attempts: int, billed: int) -> None:
    """Show a refusal as the SDK's user sees it, and what it cost."""
    click.echo("\n  Then the SDK raises, in the agent's own code:\n")
    kind = f"{type(error).__module__.partition('.')[0]}.{type(error).__name__}"
    for line in textwrap.wrap(f"{kind}: {error}", 100):
        click.secho(f"    {line}", fg="red")
    reached = world.invoice()["requests"] - billed
    click.echo(f"\n  Requests that the SDK sent for this call: {attempts}; of these reached the provider: {reached}.")


def _stream(world: World) -> None:
    """Stream a long answer into a small budget, and show how the hold follows it."""
    click.echo("  The model would write for ever; nobody set max_tokens.")
    with _client(world, _Sent(), agent="writer", run="essay-1", user="bob") as client:
        began = time.monotonic()
        stream = client.chat.completions.create(
            model=WRITER_MODEL,
            messages=[{"role": "user", "content": "Write everything you know about budgets."}],
            stream=True,
            stream_options={"include_usage": True},
        )
        letters, due, ended, usage = 0, SHOW_EVERY_S, None, None
        held: list[Nano] = []
        for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                letters += len(choice.delta.content or "")
                ended = choice.finish_reason or ended
            if time.monotonic() - began >= due:
                due += SHOW_EVERY_S
                held.append(_held(world))
                elapsed_s = time.monotonic() - began
                click.echo(f"  {elapsed_s:>4.1f} s  {letters:>6,} letters have come   held {money(held[-1])}")
    tokens = f"{usage.completion_tokens:,} tokens" if usage else "an unknown number of tokens"
    click.echo(f"\n  It ended after {tokens} with finish_reason {ended!r}, as this API ends every answer at its cap.")
    if held and held[-1] > held[0]:
        grown = f"{money(held[0])} was held at first; the hold grew to {money(held[-1])} while the stream ran"
        click.echo(f"  {grown}, before it was\n  needed, and no further than the budget had room.")


def _held(world: World) -> Nano:
    """Say what the ledger holds for the writer at this moment."""
    with ledger_of(world.settings) as ledger:
        statuses = budget_status(ledger, world.settings.budgets, TENANT, now(ledger))
    return next(status.standings[0].balance.held for status in statuses if status.budget.name == "writer")


def _compare(world: World) -> None:
    """Set the provider's invoice beside the ledger and the budgets."""
    billed: dict[str, Nano] = {}
    for line in world.invoice()["calls"]:
        billed[line["model"]] = billed.get(line["model"], 0) + line["cost_nano"]
    with ledger_of(world.settings) as ledger:
        rows = ledger.spend(SpendQuery(TENANT, ("agent", "model"), world.began_ns, FOREVER_NS))
    limits = {budget.name: budget.limits[0].amount for budget in world.settings.budgets}
    cells, verdicts = [], []
    for row in sorted(rows, key=lambda row: row.values):
        agent, model = row.values
        recorded = row.settled.cost_nano + row.presumed.cost_nano
        bill, limit = billed.get(model, 0), limits.get(agent, parse_usd("0"))
        verdicts += [bill == recorded, bill <= limit]
        same = "equal" if bill == recorded else f"differs by {money(recorded - bill)}"
        within = "within" if bill <= limit else "ABOVE"
        cells.append([agent, money(bill), money(recorded), money(limit), f"{same}, {within}"])
    columns = [Column("agent", is_text=True), *(Column(name) for name in ("provider's bill", "ledger", "budget"))]
    echo_table([*columns, Column("", is_text=True)], cells)
    if all(verdicts):
        click.secho("The provider's bill equals the ledger, to the nano-dollar, and no budget was passed.", fg="green")
