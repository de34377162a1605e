"""Each breaker stops a run cleanly, with one refused request: the real gateway and the real SDK."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.gateway.house import DOLLAR, house, until, usd
from tests.guards.kit import SEARCHES, agent, client_of, guards_of, only, row_of

from bursar.core.run import RunState
from bursar.testing import Script
from bursar.testing.gateway import GatewayProcess

PLENTY = [usd(1000 * DOLLAR)]


def ask(client: openai.OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(
        **{"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50, **more}
    )


def test_the_defaults_let_an_agent_run_ten_tools_and_then_stop_it_with_one_refusal(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, scripts={"*": SEARCHES}, guards=guards_of("default")) as made:
        ran, error = agent(client_of(made))
        assert ran == 10
        assert error is not None
        assert error.status_code == 402
        assert error.response.headers["x-should-retry"] == "false"
        assert error.response.headers["x-bursar-guard"] == "tool_calls"
        assert "10 of 10 tool calls" in error.message
        assert made.provider.invoice()["requests"] == 10
        row = row_of(made)
        assert (row.state, row.tool_calls, row.steps, row.in_flight) == (RunState.STOPPED, 10, 10, 0)
        made.assert_free()


def test_nothing_of_a_run_is_kept_while_no_guard_is_on(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, scripts={"*": SEARCHES}) as made:
        assert agent(client_of(made), turns=12) == (12, None)
        with made.ledger() as ledger:
            assert ledger.run_row("default", "r") is None


@pytest.mark.parametrize("guard", ["steps", "tool_calls"])
def test_a_breaker_that_counts_admits_exactly_so_many(tmp_path: Path, guard: str) -> None:
    with house(tmp_path, PLENTY, scripts={"*": SEARCHES}, guards=only(**{guard: "4"})) as made:
        ran, error = agent(client_of(made))
        assert ran == 4
        assert error is not None
        assert error.status_code == 402
        assert error.response.headers["x-bursar-guard"] == guard
        # Another run has its own.
        assert agent(client_of(made, "other"), turns=1) == (1, None)


@pytest.mark.parametrize(("guard", "limit"), [("tokens", "4000"), ("cost", "$0.02")])
def test_a_breaker_of_tokens_or_money_holds_what_it_limits_before_it_is_spent(
    tmp_path: Path, guard: str, limit: str
) -> None:
    script = Script(tool_call=SEARCHES.tool_call, output_tokens=50, input_tokens=400)
    with house(tmp_path, PLENTY, scripts={"*": script}, guards=only(**{guard: limit})) as made:
        ran, error = agent(client_of(made))
        assert error is not None
        assert error.status_code == 402
        assert error.response.headers["x-bursar-budget"] == f"guard {guard}"
        with made.ledger() as ledger:
            (row,) = [row for row in ledger.balances("default") if row.budget == f"guard {guard}"]
        assert row.scope == "run=r"
        assert ran == made.provider.invoice()["requests"] > 2
        assert row.balance.settled == (ran * 450 if guard == "tokens" else made.invoice_nano())
        assert agent(client_of(made, "other"), turns=1) == (1, None)


def test_a_stream_ends_in_the_apis_own_way_when_the_runs_seconds_are_over(tmp_path: Path) -> None:
    slow = Script(output_tokens=10_000, tokens_per_s=20.0)
    with house(tmp_path, PLENTY, scripts={"*": slow}, guards=only(seconds="1")) as made:
        client = client_of(made)
        chunks = list(ask(client, stream=True, max_tokens=None, stream_options={"include_usage": True}))
        reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
        assert reasons == ["length"]
        assert chunks[-1].usage is not None
        with pytest.raises(openai.APIStatusError) as refused:
            ask(client)
        assert refused.value.response.headers["x-bursar-guard"] == "seconds"
        (hold,) = made.holds()
        assert "cut" in hold.flags
        made.assert_sound()


def test_a_whole_answer_is_not_awaited_beyond_the_runs_seconds(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, scripts={"*": Script(first_byte_s=15)}, guards=only(seconds="1")) as made:
        with pytest.raises(openai.APIStatusError) as refused:
            ask(client_of(made))
        assert refused.value.status_code == 402
        assert "seconds" in refused.value.message
        made.assert_sound()


@pytest.mark.parametrize("streamed", [False, True])
def test_of_a_hundred_parallel_calls_at_ten_steps_exactly_ten_are_admitted(tmp_path: Path, streamed: bool) -> None:
    with house(tmp_path, PLENTY, guards=only(steps="10")) as made:
        client = client_of(made)

        def one(_: int) -> int:
            try:
                answer = ask(client, stream=streamed)
                if streamed:
                    list(answer)
            except openai.APIStatusError as error:
                return error.status_code
            return 200

        with ThreadPoolExecutor(100) as pool:
            assert Counter(pool.map(one, range(100))) == {200: 10, 402: 90}
        assert made.provider.invoice()["requests"] == 10
        assert row_of(made).in_flight == 0


def test_at_three_parallel_calls_there_are_never_four_and_all_are_answered_in_turn(tmp_path: Path) -> None:
    slow = Script(first_byte_s=0.1)
    with house(tmp_path, PLENTY, scripts={"*": slow}, guards=only(parallel="3")) as made:
        client = client_of(made)
        with ThreadPoolExecutor(20) as pool:
            waiting = [pool.submit(ask, client) for _ in range(20)]
            peak = 0
            while not all(each.done() for each in waiting):
                peak = max(peak, len(made.provider.invoice()["open"]))
        assert [each.exception() for each in waiting] == [None] * 20
        assert peak == 3
        assert row_of(made).state is RunState.RUNNING


def test_a_run_may_begin_so_many_others_and_no_deeper_ones(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, guards=only(children="2", depth="1")) as made:
        ask(client_of(made, "top"))
        for name in ("a", "b"):
            ask(client_of(made, name, parent_run="top"))
        for name, parent, guard in (("c", "top", "children"), ("aa", "a", "depth")):
            with pytest.raises(openai.APIStatusError) as refused:
                ask(client_of(made, name, parent_run=parent))
            assert refused.value.response.headers["x-bursar-guard"] == guard
        ask(client_of(made, "top"))
        assert (row_of(made, "top").children, row_of(made, "a").depth) == (2, 1)


def test_a_run_that_spends_too_fast_is_refused_until_the_minute_is_over(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, scripts={"*": SEARCHES}, guards=only(spend_per_minute="$0.01")) as made:
        ran, error = agent(client_of(made))
        assert ran > 1
        assert error is not None
        assert error.response.headers["x-bursar-budget"] == "guard spend_per_minute"
        assert "x-bursar-reset" in error.response.headers


def test_a_guard_looks_only_at_what_its_labels_match(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, guards=only(steps="{limit: 1, match: {agent: wild}}")) as made:
        for _ in range(3):
            ask(client_of(made, agent="tame"))
        ask(client_of(made, "w", agent="wild"))
        with pytest.raises(openai.APIStatusError):
            ask(client_of(made, "w", agent="wild"))


def test_two_gateways_on_one_file_count_one_run(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, guards=only(steps="6"), is_process=True) as one:
        settings = one.process.settings
        with GatewayProcess(settings) as second:
            clients = [client_of(one), client_of(replace(one, gateway=second))]

            def ok(number: int) -> bool:
                try:
                    ask(clients[number % 2])
                except openai.APIStatusError:
                    return False
                return True

            with ThreadPoolExecutor(16) as pool:
                assert sum(pool.map(ok, range(40))) == 6
        assert one.provider.invoice()["requests"] == 6


def test_a_gateway_that_is_killed_leaves_no_call_in_flight_behind(tmp_path: Path) -> None:
    slow = Script(first_byte_s=30)
    with house(tmp_path, PLENTY, scripts={"*": slow}, guards=only(parallel="2"), is_process=True) as made:
        pool = ThreadPoolExecutor(2)
        client = client_of(made).with_options(max_retries=0)
        waiting = [pool.submit(ask, client) for _ in range(2)]
        until(lambda: len(made.holds()) == 2)
        assert row_of(made).in_flight == 2
        made.process.kill()
        for each in waiting:
            assert each.exception() is not None
        with GatewayProcess(made.process.settings):
            until(lambda: row_of(made).in_flight == 0)
