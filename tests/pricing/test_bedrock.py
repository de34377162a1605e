"""Prices on Bedrock: by region, profile and ARN; a name that an account chose has none until one is stated."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bursar.pricing.book import PriceBook, PriceOverride

NOW = datetime(2026, 11, 26, tzinfo=UTC)
OPUS = "anthropic.claude-opus-4-6-v1"
APPLICATION = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/amazon.nova-lite"


def input_rate(model: str, *overrides: PriceOverride, tier: str = "") -> int | None:
    card = PriceBook(overrides).card("bedrock", model, tier=tier, at=NOW)
    return None if card is None else card.tiers[0].rates.input_tokens


@pytest.mark.parametrize(
    "same", [OPUS, f"us.{OPUS}", f"apac.{OPUS}", f"arn:aws:bedrock:us-east-1::foundation-model/{OPUS}",
             f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.{OPUS}:0"]
)  # fmt: skip
def test_a_region_and_its_profiles_cost_the_same_and_a_global_one_no_more(same: str) -> None:
    rate, most = input_rate(same), input_rate(f"global.{OPUS}")
    assert rate is not None and most is not None
    assert (rate, rate >= most) == (input_rate(OPUS), True)


@pytest.mark.parametrize(
    "model",
    [
        APPLICATION,
        f"arn:aws:bedrock:us-east-1:1:custom-model/{OPUS}/x",
        "us-gov.anthropic.claude-opus-5",
        "acme.model-1",
        "",
    ],
)
def test_what_no_list_knows_has_no_price(model: str) -> None:
    assert input_rate(model) is None


@pytest.mark.parametrize("tier", ["optimized", "flex", "priority"])
def test_a_tier_that_no_list_knows_has_no_price(tier: str) -> None:
    assert input_rate(OPUS, tier=tier) is None


def test_a_name_of_an_accounts_own_costs_what_the_operator_states() -> None:
    stated = PriceOverride(provider="bedrock", model=APPLICATION, input="3", output="15")
    assert input_rate(APPLICATION, stated) == 3_000_000
