"""What is known of models, from data, operators and refusals."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from bursar.pricing.facts import LEARNED_MAX, FactOverride, FactsBook

DATA = json.loads((files("bursar.pricing") / "data" / "models.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("provider", "model", "most"),
    [
        ("openai", "gpt-5.6-sol", 128_000),
        ("openai", "gpt-5-pro-2025-10-06", 272_000),
        ("openai", "gpt-5-chat-latest", 16_384),
        ("openai", "gpt-4o-2024-08-06", 16_384),
        ("openai", "gpt-4o-2024-05-13", 4_096),
        ("openai", "gpt-4.1-mini", 32_768),
        ("openai", "gpt-4-1106-preview", 4_096),
        ("openai", "o3-mini-2025-01-31", 100_000),
        ("openai", "o1-mini", 65_536),
        ("anthropic", "claude-opus-5-5", 128_000),
        ("anthropic", "claude-opus-4-5-20251101", 64_000),
        ("anthropic", "claude-opus-4-1-20250805", 32_000),
        ("anthropic", "claude-3-5-haiku-latest", 8_192),
        ("openrouter", "anthropic/claude-haiku-4.5", 64_000),
        ("aws", "us.anthropic.claude-sonnet-4-20250514-v1:0", 64_000),
        ("openai", "gpt-from-the-future", None),
    ],
)
def test_the_output_maximum_is_the_closest_patterns(provider: str, model: str, most: int | None) -> None:
    assert FactsBook().facts(provider, model).max_output_tokens == most


def test_what_nobody_knows_errs_towards_more() -> None:
    facts = FactsBook().facts("somewhere", "something")
    assert (facts.max_output_tokens, facts.top_speed_tokens_per_s) == (None, 300)
    assert facts.tool_overhead_tokens == 1_000
    assert not facts.charges_writes_unasked


def test_cache_writes_are_unasked_from_gpt_5_6_on() -> None:
    unasked = {
        model: FactsBook().facts("azure", model).charges_writes_unasked
        for model in ("gpt-5.5", "gpt-5.6", "gpt-5.6-luna", "gpt-6-astra", "gpt-6.1-sol", "claude-opus-5")
    }
    assert [model for model, is_unasked in unasked.items() if is_unasked] == [
        "gpt-5.6",
        "gpt-5.6-luna",
        "gpt-6-astra",
        "gpt-6.1-sol",
    ]


def test_a_learned_maximum_only_lowers_what_is_stated() -> None:
    book = FactsBook((FactOverride(provider="*", model="gpt-5*", max_output_tokens=9_000),))
    assert book.facts("openai", "gpt-5").max_output_tokens == 9_000
    assert book.facts("openai", "gpt-5").top_speed_tokens_per_s == 300
    book.learn_maximum("openai", "gpt-5", 4_000)
    assert book.facts("openai", "gpt-5").max_output_tokens == 4_000
    assert book.facts("azure", "gpt-5").max_output_tokens == 9_000
    book.learn_maximum("azure", "gpt-5", 200_000)
    assert book.facts("azure", "gpt-5").max_output_tokens == 9_000


def test_a_senselessly_small_maximum_is_not_learnt() -> None:
    book = FactsBook()
    book.learn_maximum("p", "m", 1)
    assert book.facts("p", "m").max_output_tokens is None


def test_a_stated_speed_is_found_whatever_the_case_and_dots() -> None:
    book = FactsBook((FactOverride(provider="*", model="GPT-4.1*", top_speed_tokens_per_s=70),))
    assert book.stated_speed("openai", "gpt-4.1-mini") == 70
    assert book.stated_speed("openai", "o3") is None


def test_the_closest_override_wins() -> None:
    book = FactsBook(
        (
            FactOverride(provider="*", model="*", top_speed_tokens_per_s=1),
            FactOverride(provider="work", model="gpt-*", top_speed_tokens_per_s=2),
            FactOverride(provider="*", model="gpt-*", top_speed_tokens_per_s=3),
        )
    )
    assert [book.facts(*name).top_speed_tokens_per_s for name in (("a", "b"), ("work", "gpt-5"), ("a", "gpt-5"))] == [
        1,
        2,
        3,
    ]


@pytest.mark.parametrize("tokens", [0, -5, 2**63])
def test_a_senseless_maximum_is_not_learned(tokens: int) -> None:
    book = FactsBook()
    book.learn_maximum("openai", "gpt-5", tokens)
    assert book.facts("openai", "gpt-5").max_output_tokens == 128_000


def test_what_is_remembered_is_bounded() -> None:
    book = FactsBook()
    for number in range(LEARNED_MAX + 50):
        book.learn_maximum("p", f"m-{number}", 700)
        book.facts("p", f"m-{number}")
    assert len(book._learned) == len(book._resolved) == LEARNED_MAX
    assert book.facts("p", f"m-{LEARNED_MAX + 49}").max_output_tokens == 700
    assert book.facts("p", "x" * 1_000_000).max_output_tokens is None
    book.learn_maximum("p", "x" * 1_000_000, 700)
    assert len(book._learned) == LEARNED_MAX


@pytest.mark.parametrize(
    "wrong", [{"max_output_tokens": 0}, {"top_speed_tokens_per_s": -1}, {"tool_overhead_tokens": 1.5}]
)
def test_a_fact_that_is_no_count_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FactOverride(provider="p", model="m", **wrong)


def test_the_data_is_dated_and_every_row_has_a_source_and_a_known_fact() -> None:
    assert DATA["dated"] >= "2026-11-22"
    facts = {"max_output_tokens", "top_speed_tokens_per_s", "tool_overhead_tokens", "charges_writes_unasked"}
    for row in DATA["models"]:
        assert row["sources"]
        assert set(row) & facts
        assert set(row) <= facts | {"providers", "models", "sources", "note"}, row


def test_no_pattern_of_one_provider_is_stated_twice() -> None:
    names = [(provider, model) for row in DATA["models"] for provider in row["providers"] for model in row["models"]]
    assert len(names) == len(set(names))


def test_what_a_provider_said_to_one_tenant_teaches_no_other() -> None:
    """An error may repeat the words of the client that caused it."""
    book = FactsBook()
    book.learn_maximum("p", "m", 300, "acme")
    assert book.facts("p", "m", "acme").max_output_tokens == 300
    assert book.facts("p", "m", "rival").max_output_tokens is None
    assert book.facts("p", "m").max_output_tokens is None
