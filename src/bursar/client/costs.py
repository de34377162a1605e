"""`bursar.call_cost`: what an answer cost, by the price cards.

Owns that figure; it opens no ledger, and records nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bursar.client.places import provider_of
from bursar.client.runtime import runtime
from bursar.client.shapes import answer_of
from bursar.config.settings import Limits
from bursar.core.admission import Cover
from bursar.core.money import NANO_PER_USD
from bursar.errors import BadRequest, UnknownPrice, UsageError
from bursar.pipeline.settlement import told
from bursar.wire.base import Request, Wire
from bursar.wire.bedrock_common import asked_by
from bursar.wiring.wires import Wires

__all__ = ["CallCost", "call_cost"]


@dataclass(frozen=True, slots=True)
class CallCost:
    """What one answer came to. Tokens are counted once: input with what was cached, output with reasoning."""

    usd: Decimal
    """Exact, rounded up to a nano-USD."""
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    provider: str
    model: str
    price: str
    """Where the price is from, and its edition; `provider` where the answer itself states what it cost."""


def call_cost(response: Any, /, *, model: str = "", provider: str = "") -> CallCost:
    """Say what a whole answer cost: an object of the SDKs of OpenAI, Anthropic or Google, a dictionary, a raw response.

    `model` is needed where the answer does not name it (boto3's `converse`); `provider` where it is not the API's own
    maker. Raises UnknownPrice, and UsageError for what is no answer or tells no usage.
    """
    said = answer_of(response)
    model = model or said.model
    if not model:
        raise UsageError("this answer does not name its model: call_cost(response, model='...')")
    settings, prices = runtime.prices()
    if not provider:
        try:
            is_bedrock = said.wire.startswith("bedrock.")
            provider = "bedrock" if is_bedrock else provider_of(settings.providers, said.base, said.wire).name
        except BadRequest as error:
            raise UsageError(f"{error.message}: name it, call_cost(response, provider='...')") from error
    wire = _wire(said.wire, model)
    answer = wire.read_whole(_request(said.wire, model), said.body)
    if answer is None or answer.usage is None:
        raise UsageError("this answer does not tell its usage")
    card = prices.card(provider, model, tier=answer.service_tier, at=datetime.now(UTC))
    if card is None and not answer.cost_reported:
        tier = f" in service tier {answer.service_tier!r}" if answer.service_tier else ""
        raise UnknownPrice(f"no price for model {model!r}{tier} of provider {provider!r}: add one under prices:")
    charge = told(answer, answer.usage, card, Cover(0, 0, answer.usage.input_total))
    amounts = charge.amounts
    return CallCost(
        Decimal(amounts.cost_nano) / NANO_PER_USD,
        amounts.input_tokens,
        amounts.cached_tokens,
        amounts.cache_write_tokens,
        amounts.output_tokens,
        amounts.reasoning_tokens,
        provider,
        model,
        charge.price,
    )


def _wire(name: str, model: str) -> Wire:
    wires = Wires(Limits().body_bytes_max)
    return (
        wires.bedrock(name, asked_by(model, {}, is_stream=False)) if name.startswith("bedrock.") else wires.wire(name)
    )


def _request(wire: str, model: str) -> Request:
    """Give a request that asks for nothing special: of the true one only the answer is here."""
    return Request(wire, model, {}, is_stream=False, wants_usage=True, cap=None)
