"""A refusal that somebody has wrapped leaves the block of its budget as `BudgetExceeded` as well, and hides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest
from tests.client.house import ASKED, House

import bursar

Wrap = Callable[[Exception], None]


class FrameworkError(Exception):
    """What a framework makes of every error."""

    def __init__(self, message: str, *, step: int) -> None:
        super().__init__(message)
        self.step = step


class Unmade(Exception):
    """An error that cannot be made anew without what it was made of."""

    def __new__(cls, _code: int) -> Unmade:
        return super().__new__(cls)


def ask(home: House, wrap: Wrap, **more: Any) -> None:
    """Ask through something that makes errors of its own of a refusal."""
    with openai.OpenAI(base_url=home.url, api_key="none") as client:
        try:
            client.chat.completions.create(**{**ASKED, **more})
        except openai.APIStatusError as error:
            wrap(error)


def raised_from(error: Exception) -> None:
    raise FrameworkError("it failed", step=3) from error


def raised_while_handled(_error: Exception) -> None:
    raise FrameworkError("it failed", step=3)


def raised_from_none(_error: Exception) -> None:
    raise FrameworkError("given up", step=3) from None


def raised_twice(error: Exception) -> None:
    try:
        raised_from(error)
    except FrameworkError as first:
        raise RuntimeError("the whole failed") from first


@pytest.mark.parametrize("wrap", [raised_from, raised_while_handled, raised_twice])
def test_a_wrapped_refusal_leaves_its_block_as_both(home: House, wrap: Wrap) -> None:
    kind = RuntimeError if wrap is raised_twice else FrameworkError
    with pytest.raises(kind) as caught, bursar.budget("$1"), bursar.budget("$0.10", name="tiny"):
        ask(home, wrap)
    left: Any = caught.value
    assert isinstance(left, bursar.BudgetExceeded) and left.budget == "tiny" and "'tiny'" in str(left)
    assert type(left.__cause__) is kind, "nothing is hidden"
    assert wrap is raised_twice or vars(left)["step"] == 3, "what the framework's error knows, it knows as well"


def test_a_wrapped_refusal_for_want_of_a_price_says_so(home: House) -> None:
    with pytest.raises(bursar.UnknownPrice, match="nobody-knows-its-price"), bursar.budget("$1"):
        ask(home, raised_from, model="nobody-knows-its-price")


def test_an_error_about_a_refused_response_is_one(home: House) -> None:
    with pytest.raises(bursar.BudgetExceeded, match="tiny") as caught, bursar.budget("$0.10", name="tiny"):
        httpx2.post(home.chat_url, json=ASKED).raise_for_status()
    left: Any = caught.value
    assert isinstance(left, httpx2.HTTPStatusError) and left.response.status_code == 402


def test_an_async_block_a_decorated_function_and_a_carved_part_are_left_alike(home: House) -> None:
    async def later() -> None:
        async with bursar.budget("$0.10"):
            ask(home, raised_from)

    with pytest.raises(bursar.BudgetExceeded):
        asyncio.run(later())
    with pytest.raises(bursar.BudgetExceeded):
        bursar.budget("$0.10")(ask)(home, raised_from)
    with bursar.budget("$1") as boss:
        with pytest.raises(bursar.BudgetExceeded), boss.carve("$0.10"):
            ask(home, raised_from)
        assert boss.remaining == 1, "its rest went back"


def test_only_the_budget_that_refused_makes_it_its_own(home: House) -> None:
    inner: list[BaseException] = []

    def work() -> None:
        try:
            with bursar.budget("$1"):
                ask(home, raised_from)
        except FrameworkError as error:
            inner.append(error)
            raise

    with pytest.raises(bursar.BudgetExceeded) as caught, bursar.budget("$0.10", name="outer"):
        work()
    assert type(inner[0]) is FrameworkError and caught.value.budget == "outer"


@pytest.mark.parametrize(
    "make",
    [
        lambda error: error,
        lambda _: ZeroDivisionError(),
        lambda error: ExceptionGroup("some", [error]),
        lambda _: Unmade(1),
        lambda _: KeyboardInterrupt(),
    ],
    ids=["itself", "a mistake in its handling", "a group", "a class that cannot be made anew", "the user"],
)
def test_what_says_something_else_leaves_a_block_as_it_is(
    home: House, make: Callable[[Exception], BaseException]
) -> None:
    raised: list[BaseException] = []

    def wrap(error: Exception) -> None:
        raised.append(make(error))
        raise raised[0]

    with pytest.raises(BaseException) as caught, bursar.budget("$0.10"):
        ask(home, wrap)
    assert caught.value is raised[0]


def test_an_error_with_nothing_behind_it_leaves_a_block_as_it_is(home: House) -> None:
    with pytest.raises(FrameworkError) as caught, bursar.budget("$0.10"):
        ask(home, raised_from_none)
    assert type(caught.value) is FrameworkError
