"""A run waits for a person, goes on when one says so, and is stopped when one says so: commands, admin API, links."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from click.testing import CliRunner
from tests.gateway.house import DOLLAR, House, house, until, usd
from tests.guards.kit import SEARCHES, agent, client_of, guards_of, only, row_of

from bursar.cli import main
from bursar.core.guards import Guards
from bursar.core.run import RunState
from bursar.guards import parked as parked_stream
from bursar.guards import parking as parking_stage
from bursar.testing import Script

PLENTY = [usd(1000 * DOLLAR)]


def parking(wait_s: float = 0, **said: str) -> Guards:
    return guards_of(
        str(
            {
                **{rule.guard: "off" for rule in guards_of("default").rules},
                **said,
                "on_trip": "park",
                "park_wait_s": wait_s,
            }
        ).replace("'", "")
    )


def ask(client: openai.OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(
        **{"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50, **more}
    )


def command(home: House, *words: str) -> str:
    done = CliRunner().invoke(main, [*words, "--store", str(home.ledger_path)])
    assert done.exit_code == 0, done.output
    return done.output


def refused(client: openai.OpenAI) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client)
    return caught.value


@pytest.fixture
def parked(tmp_path: Path) -> Iterator[House]:
    """A run that has had its two steps and was refused a third."""
    with house(tmp_path, PLENTY, guards=parking(steps="2")) as home:
        client = client_of(home)
        ask(client)
        ask(client)
        refused(client)
        yield home


def test_a_parked_run_is_refused_in_words_that_say_how_to_approve_it(parked: House) -> None:
    error = refused(client_of(parked))
    assert error.status_code == 402
    assert error.response.headers["x-bursar-run-state"] == "parked"
    assert error.response.headers["x-should-retry"] == "false"
    assert "bursar runs approve r" in error.message
    assert row_of(parked).state is RunState.PARKED


def test_the_command_approves_a_run_for_as_many_steps_again(parked: House) -> None:
    assert "goes on" in command(parked, "runs", "approve", "r")
    client = client_of(parked)
    ask(client)
    ask(client)
    refused(client)


def test_the_command_stops_a_run_at_once(parked: House) -> None:
    ask(client_of(parked, "other"))
    command(parked, "runs", "stop", "other", "--reason", "enough of it")
    error = refused(client_of(parked, "other"))
    assert error.response.headers["x-bursar-run-state"] == "stopped"
    assert "enough of it" in error.message


def test_the_admin_api_shows_approves_stops_and_finishes(parked: House) -> None:
    path = "/bursar/v1/runs/r"
    headers = {"content-type": "application/json"}
    assert parked.send("GET", f"{path}/state").json["state"] == "parked"
    assert parked.send("POST", f"{path}/approve", b'{"add": ["1 steps"]}', headers).json["state"] == "running"
    ask(client_of(parked))
    refused(client_of(parked))
    assert parked.send("POST", f"{path}/stop", b'{"reason": "no"}', headers).json["state"] == "stopped"
    assert parked.send("POST", f"{path}/finish", b'{"outcome": "failed"}', headers).json["outcome"] == "failed"
    assert parked.send("POST", f"{path}/approve", b"{}", headers).status == 409
    assert parked.send("GET", "/bursar/v1/runs/nobody/state").status == 404
    actions = [row["action"] for row in parked.send("GET", "/bursar/v1/audit").json["items"]]
    assert actions[:3] == ["run finish", "run stop", "run approve"]


def test_a_link_shows_the_run_and_only_its_button_decides_once(parked: House) -> None:
    made = parked.send("POST", "/bursar/v1/runs/r/link", b'{"seconds": 60}', {"content-type": "application/json"}).json
    page = parked.send("GET", made["path"])
    assert page.status == 200
    assert "parked" in page.body.decode()
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert row_of(parked).state is RunState.PARKED, "opening it changes nothing"
    origin = {"origin": "https://gateway.example.com", "content-type": "application/x-www-form-urlencoded"}
    assert parked.send("POST", made["path"], b"do=nothing", origin).status == 400
    assert parked.send("POST", made["path"], b"do=approve", origin).status == 200
    assert row_of(parked).state is RunState.RUNNING
    for method in ("GET", "POST"):
        assert parked.send(method, made["path"], b"do=approve" if method == "POST" else b"", origin).status == 409
    assert parked.send("GET", made["path"][:-3]).status == 404
    with parked.ledger() as ledger:
        assert ledger.audit("default", 1)[0].actor == "link"


def test_a_run_that_its_cost_guard_parks_goes_on_with_the_money_that_is_added(tmp_path: Path) -> None:
    script = Script(tool_call=SEARCHES.tool_call, output_tokens=50, input_tokens=400)
    with house(tmp_path, PLENTY, scripts={"*": script}, guards=parking(cost="$0.02")) as home:
        client = client_of(home)
        ran, error = agent(client)
        assert ran > 1
        assert error is not None
        assert error.response.headers["x-bursar-run-state"] == "parked"
        said = b'{"add": ["$0.05"]}'
        path, kind = "/bursar/v1/runs/r/approve", {"content-type": "application/json"}
        assert home.send("POST", path, said, kind).json["state"] == "running"
        more, error = agent(client)
        assert more > ran
        assert error is not None
        assert row_of(home).state is RunState.PARKED


def waiting(home: House, pool: ThreadPoolExecutor, **more: Any) -> Future[Any]:
    client = client_of(home)
    for _ in range(2):
        ask(client)
    future = pool.submit(ask, client, **more)
    until(lambda: row_of(home).state is RunState.PARKED)
    return future


def test_a_call_of_a_parked_run_waits_and_goes_on_when_somebody_approves(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, guards=parking(30, steps="2")) as home, ThreadPoolExecutor() as pool:
        future = waiting(home, pool)
        command(home, "runs", "approve", "r")
        assert future.result(20).choices
        assert row_of(home).steps == 3


def test_a_call_of_a_parked_run_is_refused_when_somebody_stops_it(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, guards=parking(30, steps="2")) as home, ThreadPoolExecutor() as pool:
        future = waiting(home, pool)
        command(home, "runs", "stop", "r")
        error = future.exception(20)
        assert isinstance(error, openai.APIStatusError)
        assert error.status_code == 402
        assert home.provider.invoice()["requests"] == 2


@pytest.mark.parametrize("act", ["approve", "stop"])
def test_a_stream_of_a_parked_run_is_kept_alive_until_somebody_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    monkeypatch.setattr(parking_stage, "QUIET_S", 0.1)
    monkeypatch.setattr(parked_stream, "KEEPALIVE_S", 0.2)
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    with house(tmp_path, PLENTY, guards=parking(30, steps="1")) as home:
        ask(client_of(home))
        url, run = f"{home.url}/v1/chat/completions", {"x-bursar-run": "r"}
        comments, last = 0, ""
        with httpx2.stream("POST", url, json=body, headers=run, timeout=30) as answer:
            assert answer.status_code == 200
            for line in answer.iter_lines():
                comments += "approval" in line
                if comments == 3 and row_of(home).state is RunState.PARKED:
                    command(home, "runs", act, "r")
                last = line or last
        assert comments >= 3
        assert ("cost-usd" in last) is (act == "approve")
        assert ("was stopped" in last) is (act == "stop")
        home.assert_free()


def test_a_call_of_a_parked_run_waits_no_longer_than_the_setting(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, guards=parking(0.3, steps="1")) as home:
        ask(client_of(home))
        assert refused(client_of(home)).response.headers["x-bursar-run-state"] == "parked"
        home.assert_free()


def test_what_only_stops_is_never_parked(tmp_path: Path) -> None:
    with house(tmp_path, PLENTY, guards=only(steps="1")) as home:
        ask(client_of(home))
        assert refused(client_of(home)).response.headers["x-bursar-run-state"] == "stopped"
        assert "was stopped by its guard 'steps'" in refused(client_of(home)).message
