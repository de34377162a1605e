"""`bursar.estimate` and `bursar.can_i_afford`: what a request may cost, before it is made.

Owns the questions. The answers are those of the pipeline's own quote and admission; nothing is held, so that by the
time of the call they may be other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from bursar.client.limits import Amount, read_limits
from bursar.client.places import provider_at
from bursar.client.runtime import runtime
from bursar.client.scopes import Around, around
from bursar.client.shapes import request_of
from bursar.core.admission import Ask, Cover, Denial, admit
from bursar.core.budget import Budget, Unit
from bursar.core.labels import Labels
from bursar.core.ledger import Refused, Reservation
from bursar.core.money import NANO_PER_USD
from bursar.errors import BadRequest, BudgetExceeded, UnknownPrice, UsageError
from bursar.ids import new_id
from bursar.metering.plan import MAXIMUM_UNKNOWN
from bursar.pipeline.call import Call
from bursar.pipeline.quote import Quote
from bursar.pipeline.refusals import harmless, refuse_budget
from bursar.wire.base import Refusal
from bursar.wiring.driving import Way, drive
from bursar.wiring.local import TENANT, LocalEngine

__all__ = ["Affordable", "Estimate", "can_i_afford", "estimate"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a request may cost in USD, as it would be held."""

    low: Decimal
    """With the usual answer of this model, as far as the ledger knows one."""
    high: Decimal
    """With the longest answer that the request allows."""
    input_tokens: int
    """The most input that is expected."""
    output_tokens_low: int
    output_tokens_high: int
    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class Affordable:
    """Whether something fits; as a truth value it says just that."""

    is_affordable: bool
    reason: str = ""
    """Why not, in the words of the refusal."""
    budget: str = ""
    """The budget that has no room."""

    def __bool__(self) -> bool:
        return self.is_affordable


def estimate(request: Mapping[str, Any], /, *, provider: str = "", api: str = "") -> Estimate:
    """Say what a request may cost: a dictionary of what an SDK's `create` would be given, the model included.

    `provider` names one of the configuration where it is not the API's own maker, `api` the API where the arguments do
    not show it (`anthropic.messages`, `openai.chat`, ...). Uses what the ledger has learnt. Raises UnknownPrice,
    BadRequest for what nothing bounds, UsageError.
    """
    engine = runtime.engine()
    quote = _quote(engine, _call(engine, request, provider, api, around()))
    offer = quote.offers[0]
    if not offer.cards:
        raise UnknownPrice(f"no price for model {offer.model!r} of provider {offer.provider.name!r}")
    cover, low = quote.reservation.cover, quote.reservation.ask.at_least
    most = quote.terms.cap_most if quote.terms.cap_most is not None else MAXIMUM_UNKNOWN
    high = max(low, quote.reservation.ask.at_most, most if low else 0)
    cheap, dear = cover.amounts(low), cover.amounts(high)
    return Estimate(
        Decimal(cheap.cost_nano) / NANO_PER_USD,
        Decimal(dear.cost_nano) / NANO_PER_USD,
        cover.input_tokens,
        cheap.output_tokens,
        dear.output_tokens,
        offer.provider.name,
        offer.model,
    )


def can_i_afford(what: Mapping[str, Any] | Amount, /, *, provider: str = "", api: str = "") -> Affordable:
    """Say whether a request, or an amount, would be let through now: by the open budgets and the configuration's.

    It holds nothing, so that somebody else may be quicker. Raises BadRequest and UsageError for what cannot be read.
    """
    engine, here = runtime.engine(), around()
    try:
        asked, budgets = _asked(engine, what, here, provider, api)
    except BudgetExceeded as error:
        return Affordable(False, error.message, error.budget)
    stopped = next((scope.stopped for scope in here.scopes if scope.stopped), "")
    paused = engine.paused(Labels(asked.labels))
    if stopped or paused is not None:
        return Affordable(False, stopped or (paused.message if paused is not None else ""))
    balances = [drive(engine.balance(line, Way.BLOCKING)) for line in asked.lines]
    verdict = admit(asked.cover, asked.ask, asked.lines, balances)
    if not isinstance(verdict, Denial):
        return Affordable(True)
    line = asked.lines[verdict.index]
    refused = Refused(line, balances[verdict.index], verdict.is_exhausted)
    return Affordable(False, harmless(refuse_budget(budgets, asked, refused)).message, line.budget)


def _asked(
    engine: LocalEngine, what: Mapping[str, Any] | Amount, here: Around, provider: str, api: str
) -> tuple[Reservation, tuple[Budget, ...]]:
    if isinstance(what, Mapping):
        quote = _quote(engine, _call(engine, what, provider, api, here))
        return quote.reservation, quote.budgets
    (limit, *_) = read_limits(what, None, None) or (None,)
    if limit is None or limit.unit not in (Unit.USD, Unit.TOKENS):
        raise UsageError(f"{what!r}: write an amount such as '$0.50' or '20k tokens', or a request")
    labels, at_ns = Labels.of(here.labels), engine.clock()
    budgets = engine.budgets(labels, here.budgets)
    lines = tuple(line for line in engine.lines(budgets, labels) if line.unit is limit.unit)
    is_usd = limit.unit is Unit.USD
    cover = Cover(limit.amount * 1000, 0, 0) if is_usd else Cover(0, 0, limit.amount)
    ask = Ask(0, 0)
    return Reservation(new_id(at_ns), TENANT, engine.process, at_ns, labels.pairs, cover, ask, lines), budgets


def _call(engine: LocalEngine, request: Mapping[str, Any], name: str, api: str, here: Around) -> Call:
    """Make the call that such a request would be."""
    shaped = request_of(request, api)
    wire, parsed = shaped.wire, shaped.request
    if name:
        provider = next((each for each in engine.settings.providers if each.name == name), None)
        if provider is None:
            raise UsageError(f"no provider {name!r} is configured")
    else:
        base = "https://bedrock-runtime.us-east-1.amazonaws.com" if wire.name.startswith("bedrock.") else ""
        provider = provider_at(engine, base, wire.name)
    labels = Labels.of({**here.labels, "provider": provider.name, "model": parsed.model, "wire": wire.name})
    return Call(
        new_id(engine.clock()),
        TENANT,
        engine.wires.spoken_by(wire, provider),
        replace(parsed, is_stream=False),
        provider,
        parsed.model,
        labels,
        wire.path(parsed.model),
        {},
        budgets=here.budgets,
        is_interruptible=False,
    )


def _quote(engine: LocalEngine, call: Call) -> Quote:
    quote = engine.quote(call)
    if isinstance(quote, Refusal):
        if quote.code == "price_unknown":
            raise UnknownPrice(quote.message)
        raise BadRequest(quote.message, param=quote.param)
    return quote
