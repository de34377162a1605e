"""What a person writes around a block, and what they read from it."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal
from typing import Any

import httpx2
import openai
import pytest
from tests.client.house import ASKED, House

import bursar
from bursar.client.limits import read_limits
from bursar.core.budget import Limit, Unit
from bursar.errors import UsageError


def ask(home: House, **more: Any) -> Any:
    with openai.OpenAI(base_url=home.url, api_key="none") as client:
        return client.chat.completions.create(**{**ASKED, **more})


async def ask_later(home: House, times: int = 1) -> Any:
    async with openai.AsyncOpenAI(base_url=home.url, api_key="none") as client:
        return [await client.chat.completions.create(**ASKED) for _ in range(times)]


def test_a_budget_tells_what_was_spent_and_what_is_left(home: House) -> None:
    with bursar.budget("$1", agent="researcher", task="t-17", user="ada") as budget:
        assert (budget.spent, budget.remaining, budget.calls) == (Decimal(0), Decimal(1), 0)
        ask(home)
        assert (budget.spent, budget.remaining, budget.calls) == (Decimal("0.25"), Decimal("0.75"), 1)
    assert budget.spent == Decimal("0.25"), "it can be read afterwards"
    (hold,) = home.holds()
    assert hold.labels.items() >= {"agent": "researcher", "task": "t-17", "user": "ada", "model": "m"}.items()
    assert hold.labels["run"] == budget.report().run


def test_a_report_names_agent_task_step_and_model(home: House) -> None:
    with bursar.budget("$5", agent="researcher", task="t-17") as budget:
        with bursar.budget(step="read"):
            ask(home)
        with bursar.budget(step="write"):
            ask(home)
            ask(home)
    report = budget.report()
    assert [(row.agent, row.task, row.step, row.model, row.calls) for row in report.rows] == [
        ("researcher", "t-17", "write", "m", 2),
        ("researcher", "t-17", "read", "m", 1),
    ]
    assert (report.spent, report.limit, report.calls) == (Decimal("0.75"), Decimal(5), 3)
    assert str(report).splitlines()[0] == f"researcher: $0.75 of $5.00, 3 calls (run {report.run})"


def test_a_child_never_outspends_its_parent(home: House) -> None:
    with bursar.budget("$0.50") as parent:
        with bursar.budget("$5", agent="reader") as child:
            ask(home)
            ask(home)
            with pytest.raises(bursar.BudgetExceeded):
                ask(home)
        assert (child.spent, parent.spent) == (Decimal("0.50"), Decimal("0.50"))
        assert parent.is_exceeded and not child.is_exceeded
    assert home.requests == 2


def test_a_spent_child_leaves_its_parent_the_rest(home: House) -> None:
    with bursar.budget("$1") as parent:
        with bursar.budget("$0.25") as child:
            ask(home)
            with pytest.raises(bursar.BudgetExceeded):
                ask(home)
        ask(home)
        assert (child.is_exceeded, parent.is_exceeded, parent.remaining) == (True, False, Decimal("0.50"))


def test_tokens_and_requests_are_limits_too(home: House) -> None:
    with bursar.budget(requests=2) as budget:
        ask(home)
        ask(home)
        with pytest.raises(bursar.BudgetExceeded, match="request"):
            ask(home)
        assert (budget.calls, budget.remaining, budget.spent) == (2, None, Decimal("0.50"))
    with bursar.budget(tokens="12k") as budget:
        ask(home)
        ask(home)
        with pytest.raises(bursar.BudgetExceeded, match="tokens"):
            ask(home)
        assert budget.report().tokens == 10_020
    assert home.requests == 4


def test_a_model_without_a_price_may_be_used_under_a_limit_in_tokens(home: House) -> None:
    with bursar.budget(tokens=20_000) as budget:
        ask(home, model="nobody-knows-its-price")
        assert budget.calls == 1
    with bursar.budget("$1"), pytest.raises(bursar.UnknownPrice, match="no price"):
        ask(home, model="nobody-knows-its-price")
    assert home.requests == 1


def test_a_decorated_function_has_the_whole_budget_in_each_call(home: House) -> None:
    @bursar.budget("$0.25", agent="reader")
    def once() -> str:
        """Ask."""
        return str(ask(home).model)

    @bursar.budget("$0.25")
    async def later() -> str:
        (told,) = await ask_later(home)
        return str(told.model)

    assert (once(), once(), once.__doc__) == ("m", "m", "Ask.")
    assert asyncio.run(later()) == "m"
    assert home.requests == 3


def test_entering_again_goes_on_where_it_was_left(home: House) -> None:
    budget = bursar.budget("$0.50")
    for _ in range(2):
        with budget:
            ask(home)
    with budget, pytest.raises(bursar.BudgetExceeded):
        ask(home)
    assert home.requests == 2


def test_a_budget_that_stops_ends_its_block_quietly_and_lets_nothing_more_through(home: House) -> None:
    done = []
    with bursar.budget("$0.50", on_exceed="stop") as budget:
        for number in range(5):
            ask(home)
            done.append(number)
    assert (done, budget.is_exceeded) == ([0, 1], True)
    with bursar.budget("$0.30", on_exceed="stop") as budget:
        ask(home)
        with pytest.raises(bursar.BudgetExceeded):
            ask(home)
        with pytest.raises(bursar.BudgetExceeded):
            ask(home, max_tokens=10)  # It would fit, but the budget has stopped.
    assert home.requests == 3


def test_a_budget_that_stops_does_not_swallow_what_is_not_its_own(home: House) -> None:
    with pytest.raises(ZeroDivisionError), bursar.budget("$1", on_exceed="stop"):
        raise ZeroDivisionError
    with pytest.raises(bursar.BudgetExceeded), bursar.budget("$0.10"), bursar.budget("$1", on_exceed="stop"):
        ask(home)
    with bursar.budget("$0.10", on_exceed="stop"), bursar.budget("$1"):
        ask(home)


def test_a_function_hears_of_a_refusal_before_it_is_raised(home: House) -> None:
    heard: list[bursar.BudgetExceeded] = []
    with bursar.budget("$0.10", name="tiny", on_exceed=heard.append), pytest.raises(bursar.BudgetExceeded):
        ask(home)
    (error,) = heard
    assert error.budget == "tiny" and "'tiny'" in error.message


def test_a_client_without_an_sdk_sees_the_refusal_as_a_response(home: House) -> None:
    with bursar.budget("$0.10") as budget, httpx2.Client() as client:
        response = client.post(home.chat_url, json=ASKED)
        assert response.status_code == 402
        assert response.headers["x-should-retry"] == "false"
        assert response.json()["error"]["code"] == "budget_exceeded"
        assert budget.is_exceeded
    assert home.requests == 0


def test_a_refusal_survives_being_copied_to_another_process(home: House) -> None:
    import pickle

    with bursar.budget("$0.10", name="tiny"), pytest.raises(bursar.BudgetExceeded) as caught:
        ask(home)
    copied = pickle.loads(pickle.dumps(caught.value))
    assert type(copied) is bursar.BudgetExceeded
    assert (copied.message, copied.budget) == (caught.value.message, "tiny")


def test_a_thread_without_a_context_counts_against_the_one_open_budget(home: House) -> None:
    with bursar.budget("$5", agent="outer") as outer, bursar.budget("$1", agent="inner") as inner:
        thread = threading.Thread(target=ask, args=(home,))
        thread.start()
        thread.join()
        assert (outer.calls, inner.calls) == (1, 1)
    (hold,) = home.holds()
    assert (hold.labels["agent"], hold.labels["run"]) == ("inner", outer.report().run)


def test_where_several_are_open_it_counts_against_all_of_them_and_belongs_to_no_run(home: House) -> None:
    both_open, done = threading.Barrier(3), threading.Event()
    budgets: list[Any] = []

    def keep_open(agent: str) -> None:
        with bursar.budget("$1", agent=agent, user="ada") as budget:
            budgets.append(budget)
            both_open.wait()
            done.wait()

    threads = [threading.Thread(target=keep_open, args=(agent,)) for agent in ("one", "two")]
    for thread in threads:
        thread.start()
    both_open.wait()
    ask(home)
    done.set()
    for thread in threads:
        thread.join()
    assert [budget.calls for budget in budgets] == [1, 1]
    (hold,) = home.holds()
    assert hold.labels["run"] == "unattributed" and hold.labels["user"] == "ada" and "agent" not in hold.labels


def test_two_tasks_of_one_loop_have_budgets_of_their_own(home: House) -> None:
    async def one(amount: str) -> int:
        async with bursar.budget(amount, on_exceed="stop") as budget:
            await ask_later(home, 9)
        return budget.calls

    async def both() -> list[int]:
        return list(await asyncio.gather(one("$0.25"), one("$0.75")))

    assert asyncio.run(both()) == [1, 3]


def test_labels_of_a_scope_stand_before_what_a_client_sends(home: House) -> None:
    with bursar.budget("$1", user="ada"):
        ask(home, user="somebody", extra_headers={"x-bursar-step": "7", "x-bursar-user": "nobody"})
    (hold,) = home.holds()
    assert (hold.labels["user"], hold.labels["step"]) == ("ada", "7")


@pytest.mark.parametrize(
    ("amount", "more", "limits"),
    [
        ("$5", {}, [Limit(Unit.USD, 5 * 10**9)]),
        (5, {}, [Limit(Unit.USD, 5 * 10**9)]),
        (Decimal("0.10"), {}, [Limit(Unit.USD, 10**8)]),
        ("50k tokens", {"requests": 3}, [Limit(Unit.TOKENS, 50_000), Limit(Unit.REQUESTS, 3)]),
        (None, {}, []),
    ],
)
def test_limits_are_read_exactly(amount: Any, more: dict[str, Any], limits: list[Limit]) -> None:
    assert list(read_limits(amount, more.get("tokens"), more.get("requests"))) == limits


@pytest.mark.parametrize("amount", [0.5, True, "$5 / day", "five", -1, Decimal("NaN")])
def test_what_is_no_exact_amount_is_refused(amount: Any) -> None:
    with pytest.raises(UsageError):
        bursar.budget(amount)


def test_a_label_is_on_what_is_below_it_and_no_budget(home: House) -> None:
    labels: Any = {"step": "search", "tags": {"project": "alpha"}}
    with bursar.budget("$0.25", agent="one", on_exceed="stop") as budget, bursar.label(**labels):
        ask(home)
        ask(home)
    (hold,) = home.holds()
    assert hold.labels.items() >= {"agent": "one", "step": "search", "tag.project": "alpha"}.items()
    assert budget.is_exceeded
    with pytest.raises(UsageError, match="step"), bursar.label(stpe="x"):  # type: ignore[call-arg]  # as below
        pass
    with bursar.label(step="alone"):
        ask(home)
    assert len(home.holds()) == 1, "without a budget nothing is metered"


def test_a_misspelt_option_is_told() -> None:
    with pytest.raises(UsageError, match="agent"):
        bursar.budget("$1", agnet="x")  # type: ignore[call-arg]  # that is what is tested
    with pytest.raises(UsageError, match="on_exceed"):
        bursar.budget("$1", on_exceed="ignore")  # type: ignore[arg-type]  # as above
