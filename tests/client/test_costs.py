"""What a program can ask about money: of an answer, before a request, and afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import types
from tests.client.house import ASKED, HELLO, House, house

import bursar
from bursar.core.run import RunState
from bursar.errors import BadRequest, UsageError
from bursar.testing import Script

PRICES = """prices:
  m: {input: 1, output: 50}
  claude-m: {input: 2, output: 60}
  gemini-m: {input: 3, output: 70}
  embed-m: {input: 4, output: 0}
"""


@pytest.fixture
def priced(tmp_path: Path) -> Any:
    with house(tmp_path, Script(output_tokens=100), configuration=PRICES) as made:
        yield made


def chat(home: House, **more: Any) -> Any:
    with openai.OpenAI(base_url=home.url, api_key="none") as client:
        return client.chat.completions.create(**{**ASKED, **more})


def raw_chat(home: House) -> Any:
    with openai.OpenAI(base_url=home.url, api_key="none") as client:
        return client.chat.completions.with_raw_response.create(**ASKED)


def by_httpx(home: House) -> Any:
    with httpx2.Client() as client:
        return client.post(home.chat_url, json=ASKED)


def respond(home: House) -> Any:
    with openai.OpenAI(base_url=home.url, api_key="none") as client:
        return client.responses.create(model="m", input="hello")


def embed(home: House) -> Any:
    with openai.OpenAI(base_url=home.url, api_key="none") as client:
        return client.embeddings.create(model="embed-m", input="hello")


def message(home: House) -> Any:
    with anthropic.Anthropic(base_url=home.provider.url, api_key="none") as client:
        return client.messages.create(model="claude-m", max_tokens=200, messages=HELLO)


def generate(home: House) -> Any:
    client = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=home.provider.url))
    return client.models.generate_content(model="gemini-m", contents="hello")


@pytest.mark.parametrize(
    ("ask", "provider", "rates"),
    [
        (chat, "openai", (1, 50)),
        (raw_chat, "openai", (1, 50)),
        (by_httpx, "openai", (1, 50)),
        (lambda home: chat(home).model_dump(), "openai", (1, 50)),
        (respond, "openai", (1, 50)),
        (embed, "openai", (4, 0)),
        (message, "anthropic", (2, 60)),
        (generate, "gemini", (3, 70)),
    ],
    ids=["chat", "raw", "httpx", "dict", "responses", "embeddings", "anthropic", "gemini"],
)
def test_an_answer_tells_what_it_cost(
    priced: House, ask: Callable[[House], Any], provider: str, rates: tuple[int, int]
) -> None:
    cost = bursar.call_cost(ask(priced))
    assert cost.input_tokens > 0
    assert cost.output_tokens == (100 if rates[1] else 0)
    assert cost.usd == Decimal(cost.input_tokens * rates[0] + cost.output_tokens * rates[1]) / 1_000_000
    assert cost.provider == provider
    assert not (priced.path / "bursar.db").exists(), "no ledger is needed for that"


def test_an_answer_costs_what_the_ledger_has_counted(priced: House) -> None:
    with bursar.budget("$1") as budget:
        answer = chat(priced)
        assert bursar.call_cost(answer).usd == budget.spent


CONVERSED = {
    "output": {"message": {"role": "assistant", "content": [{"text": "x"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15},
    "ResponseMetadata": {"HTTPStatusCode": 200, "Date": datetime(2026, 1, 1, tzinfo=UTC)},
}


def test_what_boto3_gives_needs_the_name_of_its_model(priced: House) -> None:
    assert bursar.call_cost(CONVERSED, model="m").usd == Decimal("0.00026")
    with pytest.raises(UsageError, match="does not name its model"):
        bursar.call_cost(CONVERSED)


def test_an_answer_without_a_price_is_never_free(priced: House) -> None:
    answer = chat(priced)
    with pytest.raises(bursar.UnknownPrice, match="no price for model 'new' of provider 'openai'"):
        bursar.call_cost(answer, model="new")
    with pytest.raises(UsageError, match="does not tell its usage"):
        bursar.call_cost({**answer.model_dump(), "usage": None})
    for wrong in ({"a": 1}, 3, None, "text"):
        with pytest.raises(UsageError, match="no answer of an API that bursar knows"):
            bursar.call_cost(wrong)


@pytest.mark.parametrize(
    ("request_", "usd"),
    [
        (ASKED, 50),
        ({"model": "m", "input": "hello", "max_output_tokens": 5000}, 50),
        ({"model": "claude-m", "max_tokens": 5000, "messages": HELLO, "system": "be brief"}, 60),
        ({"model": "gemini-m", "contents": "hello", "config": {"max_output_tokens": 5000}}, 70),
        ({"model": "gemini-m", "contents": "hello", "config": types.GenerateContentConfig(max_output_tokens=5000)}, 70),
        (
            {
                "modelId": "m",
                "messages": [{"role": "user", "content": [{"text": "x"}]}],
                "inferenceConfig": {"maxTokens": 5000},
            },
            50,
        ),
        ({**ASKED, "timeout": 3, "extra_body": {"top_k": 3}, "temperature": openai.NOT_GIVEN}, 50),
    ],
    ids=["chat", "responses", "anthropic", "gemini", "gemini-object", "bedrock", "kwargs"],
)
def test_a_request_tells_what_it_may_cost(priced: House, request_: dict[str, Any], usd: int) -> None:
    found = bursar.estimate(request_)
    assert (found.output_tokens_high, found.output_tokens_low <= 5000) == (5000, True)
    input_usd = found.high - Decimal(usd) * 5000 / 1_000_000
    assert Decimal(0) < input_usd < Decimal("0.01")
    assert Decimal(0) < found.low <= found.high
    assert priced.requests == 0


def test_an_estimate_is_what_is_held(priced: House) -> None:
    found = bursar.estimate(ASKED)
    with bursar.budget("$1"):
        chat(priced)
    assert Decimal(priced.holds()[0].held.cost_nano) / 10**9 == found.high


def test_a_request_that_nothing_bounds_has_no_estimate(priced: House) -> None:
    with pytest.raises(bursar.UnknownPrice):
        bursar.estimate({**ASKED, "model": "new"})
    with pytest.raises(UsageError, match="no request to a model"):
        bursar.estimate({"model": "m"})
    with pytest.raises(UsageError, match="no API"):
        bursar.estimate(ASKED, api="morse")
    with pytest.raises(UsageError, match="no provider 'nobody'"):
        bursar.estimate(ASKED, provider="nobody")
    with pytest.raises(BadRequest):
        bursar.estimate({"model": "m", "messages": 7})


def test_one_can_ask_whether_something_fits(home: House) -> None:
    assert bursar.can_i_afford("$1000"), "nothing limits it"
    with bursar.budget("$0.50", agent="reader") as budget:
        assert bursar.can_i_afford(ASKED)
        assert bursar.can_i_afford(Decimal("0.50"))
        said = bursar.can_i_afford("$0.51")
        assert not said
        assert (said.budget, said.reason) == (
            "reader",
            "Budget 'reader': $0.00 of $0.50 used; this call needs up to $0.51.",
        )
        chat(home)
        with budget.carve("$0.20"):
            assert bursar.can_i_afford("$0.20"), "of the part"
            assert not bursar.can_i_afford(ASKED)
        unpriced = bursar.can_i_afford({**ASKED, "model": "new"})
        assert not unpriced
        assert "no price for model 'new'" in unpriced.reason
        assert budget.calls == 1, "asking holds nothing and is no call"
    with bursar.budget("20k tokens"):
        assert bursar.can_i_afford("20k tokens")
        assert not bursar.can_i_afford("21k tokens")
    with pytest.raises(UsageError):
        bursar.can_i_afford(0.5)  # type: ignore[arg-type]
    home.assert_sound()


def test_a_budget_of_the_configuration_is_asked_as_well(tmp_path: Path) -> None:
    with house(tmp_path, configuration=PRICES + "budgets:\n  reading: {limit: $0.10 / day, match: {agent: reader}}\n"):
        with bursar.budget("$5", agent="reader"):
            assert not bursar.can_i_afford("$0.20")
        with bursar.budget("$5", agent="writer"):
            assert bursar.can_i_afford("$0.20")


def test_what_was_spent_can_be_read_by_labels(home: House) -> None:
    for agent in ("reader", "writer", "writer"):
        with bursar.budget("$1", agent=agent, tags={"team": "x"}):
            chat(home)
    assert [(row.labels, row.cost, row.calls) for row in bursar.spend()] == [
        ({"agent": "writer"}, Decimal("0.50"), 2),
        ({"agent": "reader"}, Decimal("0.25"), 1),
    ]
    (row,) = bursar.spend(by=("model", "tag.team"), since=timedelta(hours=1), where={"agent": "reader"})
    assert (row.labels, row.output_tokens, row.presumed) == ({"model": "m", "tag.team": "x"}, 5000, Decimal(0))
    assert bursar.spend(since=datetime(2100, 1, 1, tzinfo=UTC)) == ()
    assert bursar.spend(until=datetime(2000, 1, 1)) == ()  # noqa: DTZ001 - this machine's own time is what is meant
    with pytest.raises(UsageError, match="'agnet' is no label"):
        bursar.spend(by=("agnet",))


def test_a_program_says_how_its_run_ended(home: House) -> None:
    with bursar.budget("$1", run="r", task="t-17") as budget:
        chat(home)
        with bursar.budget("$0.50") as inner:
            inner.finish("failed", reason="no answer")
        budget.finish()
    with home.ledger() as ledger:
        row = ledger.run_row("default", "r")
        assert row is not None
        assert (row.state, row.outcome, row.reason) == (RunState.FINISHED, "ok", "")
        hold = home.holds()[0]
        assert row.began_ns <= hold.opened_ns
    with pytest.raises(UsageError, match="an outcome has"):
        budget.finish("")
    with pytest.raises(UsageError, match="not entered"):
        bursar.budget("$1").finish()
