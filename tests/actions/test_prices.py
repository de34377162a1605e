"""Prices set while bursar runs: checked as the file's, and never silently far below the list (S37, S38, S47)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bursar.actions.acting import By
from bursar.actions.control import state_of
from bursar.actions.prices import PriceWish, remove_price, set_price
from bursar.config.settings import PriceRow, Settings
from bursar.core.control import Change, KeyRow, Kind, Role
from bursar.core.window import to_datetime
from bursar.errors import Forbidden, NotFound, UsageError
from bursar.testing.clock import START_NS
from bursar.wiring.prices import open_list, open_prices

Store = Any
OPERATOR = By("operator", START_NS)
LISTED = open_list(Settings())
IN_FILE = (PriceRow("Filed-*", "openai", rates=(("input", "1"), ("output", "2"))),)
RATES = {"input": "0.15", "output": "0.60"}


def put(ledger: Store, model: str = "own", price: Any = RATES, provider: str = "*", **other: Any) -> PriceRow:
    by = other.pop("by", OPERATOR)
    return set_price(ledger, IN_FILE, LISTED, PriceWish(provider, model, price, **other), by)


def test_a_price_is_read_back_and_applies(ledger: Store) -> None:
    row = put(ledger, provider="openai")
    assert row == PriceRow("own", "openai", rates=(("input", "0.15"), ("output", "0.60")))
    state = state_of(ledger)
    assert state.prices == (row,)
    assert state.all_prices(IN_FILE) == (*IN_FILE, row)
    book = open_prices(replace(Settings(), prices=state.all_prices(IN_FILE)))
    card = book.card("openai", "own", at=to_datetime(START_NS))
    assert card is not None
    assert card.rates(0).input_tokens == 150_000


def test_setting_it_again_changes_it_whatever_its_case(ledger: Store) -> None:
    put(ledger, "Own")
    changed = put(ledger, "own", {"input": 1, "output": 2})
    assert state_of(ledger).prices == (changed,)


@pytest.mark.parametrize(
    ("price", "param"),
    [
        ({"input": "-1", "output": "1"}, "input"),
        ({"input": "NaN", "output": "1"}, "input"),
        ({"input": "Infinity", "output": "1"}, "input"),
        ({"input": "1e400", "output": "1"}, "input"),
        ({"input": "1", "output": "999999999999"}, "output"),
        ({"input": "0.0000001", "output": "1"}, "input"),
        ({"input": 0.15, "output": "1"}, "input"),
        ({"input": "1"}, None),
        ({"input": "0", "output": "0"}, None),
        ({"input": "1", "output": "1", "free": True}, None),
        ({"input": "1", "output": "1", "discount": "1"}, "discount"),
        ({}, None),
    ],
)
def test_a_price_that_makes_no_sense_is_refused(ledger: Store, price: Any, param: str | None) -> None:
    """S38, S47"""
    with pytest.raises(UsageError) as caught:
        put(ledger, price=price)
    assert caught.value.param == param
    assert ledger.control_version() == 0


@pytest.mark.parametrize(
    ("provider", "model"), [("opnai", "m"), ("", "m"), ("*", ""), ("*", "a b"), ("*", "x" * 300), ("*", "a\0")]
)
def test_names_are_checked(ledger: Store, provider: str, model: str) -> None:
    """S61"""
    with pytest.raises(UsageError):
        put(ledger, model, provider=provider)


@pytest.mark.parametrize(
    ("provider", "model", "price"),
    [
        ("openai", "gpt-4o", {"input": "0.24", "output": "10"}),
        ("*", "gpt-4o", {"input": "2.50", "output": "0.99"}),
        ("openai", "GPT-4o", {"input": "0.24", "output": "10"}),
        ("openai", "gpt-4*", {"input": "0.15", "output": "0.60"}),
        ("*", "*", {"input": "0.01", "output": "0.01"}),
        ("openai", "gpt-4o", {"free": True}),
        ("anthropic", "claude-sonnet-4-5", {"input": "3", "output": "15", "cached_input": "0.0001"}),
    ],
)
def test_a_price_far_below_the_lists_must_be_meant(ledger: Store, provider: str, model: str, price: Any) -> None:
    """S47: a slipped point would let everybody pass their budget."""
    with pytest.raises(UsageError, match="10 times lower"):
        put(ledger, model, price, provider)
    assert ledger.control_version() == 0
    put(ledger, model, price, provider, force=True)


@pytest.mark.parametrize(
    ("provider", "model", "price"),
    [
        ("openai", "gpt-4o", {"input": "0.25", "output": "1"}),
        ("openai", "gpt-4o", {"input": "250", "output": "1000"}),
        ("ollama", "gpt-4o", {"free": True}),
        ("*", "nobody-knows-this", {"free": True}),
    ],
)
def test_other_prices_need_nothing(ledger: Store, provider: str, model: str, price: Any) -> None:
    put(ledger, model, price, provider)


def test_what_the_file_states_is_changed_there(ledger: Store) -> None:
    for act in (
        lambda: put(ledger, "filed-*", provider="openai"),
        lambda: remove_price(ledger, IN_FILE, "openai", "filed-*", OPERATOR),
    ):
        with pytest.raises(UsageError, match=r"written in bursar\.yaml"):
            act()
    set_price(ledger, (), LISTED, PriceWish("openai", "filed-*", RATES), OPERATOR)
    assert state_of(ledger).all_prices(IN_FILE) == IN_FILE


def test_a_removed_price_is_gone(ledger: Store) -> None:
    put(ledger)
    with pytest.raises(NotFound):
        remove_price(ledger, IN_FILE, "*", "other", OPERATOR)
    remove_price(ledger, IN_FILE, "*", "OWN", OPERATOR)
    assert state_of(ledger).prices == ()
    assert [each.action for each in ledger.audit(None, 9)] == ["price remove", "price set"]


def test_no_key_sets_a_price(ledger: Store) -> None:
    """S37: prices are every tenant's."""
    by = By.key(KeyRow("k", "acme", "boss", Role.ADMIN, "d", "hint", {}, frozenset(), 1), START_NS)
    put(ledger)
    with pytest.raises(Forbidden):
        put(ledger, by=by)
    with pytest.raises(Forbidden):
        remove_price(ledger, IN_FILE, "*", "own", by)


def test_a_broken_stored_price_is_told(ledger: Store) -> None:
    for price in ('{"input":"-1","output":"1"}', '{"input":"0","output":"0"}', "7"):
        body = f'{{"provider":"*","model":"m","price":{price}}}'
        ledger.change([Change(Kind.PRICE, "*", "*/m", body, "", "by hand", "x", 1)])
        state = state_of(ledger)
        assert state.prices == ()
        assert len(state.problems) == 1
