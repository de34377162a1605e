"""A whole configuration in a program: its budgets, keys, prices and guards count for every call of the process."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from google import genai
from google.genai import errors as genai_errors
from google.genai import types as genai_types
from tests.client.house import ASKED, PRICES, House, house
from tests.telemetry.sink import sink, values

import bursar
from bursar.config.settings import Settings
from bursar.errors import ConfigError, UsageError

USERS = "budgets:\n  - {name: users, per: user, limit: $0.25 / day, link: 'https://example.com/more'}\n"


def ask(home: House, **more: Any) -> Any:
    with openai.OpenAI(base_url=home.url, api_key="mine") as client:
        return client.chat.completions.create(**{**ASKED, **more})


def test_budgets_of_a_configuration_count_without_a_block(tmp_path: Path) -> None:
    with house(tmp_path, configuration=PRICES + USERS) as home:
        bursar.configure("bursar.yaml")
        ask(home, user="ada")
        with pytest.raises(bursar.BudgetExceeded, match=r"'users' of user=ada.*https://example.com/more"):
            ask(home, user="ada")
        ask(home, user="bob")
        with bursar.budget("$5", user="bob") as budget, pytest.raises(bursar.BudgetExceeded):
            ask(home)
        assert budget.is_exceeded, "it was the innermost around the call"
        assert home.requests == 2
        bursar.close()
        ask(home, user="ada")


def test_budgets_of_the_configuration_found_here_count_beside_those_of_a_block(tmp_path: Path) -> None:
    with house(tmp_path, configuration=PRICES + USERS) as home:
        with bursar.budget("$5", user="ada"):
            ask(home)
            with pytest.raises(bursar.BudgetExceeded):
                ask(home)
        ask(home, user="ada")
        assert home.requests == 2, "outside of the block nothing is metered"


def test_a_configured_key_stands_alone_where_its_provider_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOUSE_KEY", "the-operators")
    with house(tmp_path) as home:
        provider = f"providers:\n  openai: {{base_url: '{home.url}', api_key_env: HOUSE_KEY}}\n"
        Path("bursar.yaml").write_text(PRICES + provider)
        with bursar.budget("$1"):
            ask(home)
        bursar.configure("bursar.yaml")
        ask(home)
        sent = [dict(request["headers"])["authorization"] for request in home.provider.requests()]
        assert sent == ["Bearer mine", "Bearer the-operators"]


def test_keywords_set_single_keys(home: House, tmp_path: Path) -> None:
    bursar.configure(budget="$0.25 / day", store_path=str(tmp_path / "other.db"))
    ask(home)
    with pytest.raises(bursar.BudgetExceeded):
        ask(home)
    assert (tmp_path / "other.db").exists() and not (tmp_path / "bursar.db").exists()
    with pytest.raises(ConfigError):
        bursar.configure(stoer_path="x")


def test_settings_are_taken_as_they_are_and_never_while_a_budget_is_open(home: House) -> None:
    bursar.configure(Settings())
    with bursar.budget("$1"), pytest.raises(UsageError, match="open"):
        bursar.configure("bursar.yaml")


@pytest.mark.parametrize("is_async", [False, True])
def test_a_guard_stops_a_run_in_a_program_as_at_the_gateway(tmp_path: Path, is_async: bool) -> None:
    with house(tmp_path, configuration=PRICES + "guards: {steps: 2}\n") as home:

        async def later() -> None:
            async with openai.AsyncOpenAI(base_url=home.url, api_key="none") as client:
                await client.chat.completions.create(**ASKED)

        def once() -> None:
            asyncio.run(later()) if is_async else ask(home)

        with bursar.budget("$9", agent="looper") as budget:
            once()
            once()
            with pytest.raises(bursar.BudgetExceeded, match="steps"):
                once()
        assert (budget.calls, budget.is_exceeded, home.requests) == (2, True, 2)


def test_an_error_of_another_sdk_ends_a_block_that_stops(home: House) -> None:
    options = genai_types.HttpOptions(base_url=home.provider.url)
    Path("bursar.yaml").write_text("prices:\n  m: {input: 0, output: 50}\n")
    config = genai_types.GenerateContentConfig(max_output_tokens=5000)
    with genai.Client(api_key="none", http_options=options) as client:
        with bursar.budget("$1", on_exceed="stop") as budget:
            for _ in range(9):
                client.models.generate_content(model="m", contents="hello", config=config)
        assert (budget.calls, budget.is_exceeded, home.requests) == (4, True, 4)
        with bursar.budget("$0.10"), pytest.raises(genai_errors.ClientError, match="budget"):
            client.models.generate_content(model="m", contents="hello", config=config)


def test_a_pool_s_thread_keeps_nothing_of_a_block_that_it_was_in(home: House) -> None:
    seen: list[int] = []
    with bursar.budget("$5") as outer, bursar.budget("$1") as inner:

        def work() -> None:
            with inner:
                ask(home)
                with inner:
                    pass
                ask(home)
            from bursar.client.scopes import scopes_here

            seen.append(len(scopes_here()))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert (outer.calls, inner.calls, seen) == (2, 2, [0])


def test_each_call_of_a_program_goes_out_as_an_event(home: House) -> None:
    with sink() as receiver:
        Path("bursar.yaml").write_text(f"{PRICES}telemetry:\n  otlp: {{endpoint: '{receiver.url}/v1/logs'}}\n")
        with bursar.budget("$0.25", agent="reader") as budget:
            ask(home)
            with pytest.raises(bursar.BudgetExceeded):
                ask(home)
        assert budget.calls == 1
        bursar.close()
        events = [values(record.attributes) for record in receiver.records]
        assert [event.get("bursar.cost_nano_usd", 0) for event in events] == [250_000_000, 0]
        assert {event["bursar.label.agent"] for event in events} == {"reader"}


def test_a_plain_client_is_metered_by_a_configuration_as_well(home: House) -> None:
    bursar.configure()
    with httpx2.Client() as client:
        assert client.post(home.chat_url, json=ASKED).status_code == 200
    bursar.close()
    (hold,) = home.holds()
    assert hold.settled.cost_nano == 250_000_000
