"""What the admin API does: each resource is read, changed, and counts at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from tests.gateway.admin.office import Office, office
from tests.gateway.house import DOLLAR, until, usd
from tests.gateway.keyed import bearer

from bursar.cli.remote import live
from bursar.config.budgets import SET_KEYS
from bursar.config.prices import PRICE_KEYS
from bursar.config.settings import StoreKind, StoreSettings
from bursar.gateway.admin.bodies import BudgetBody, PriceBody
from bursar.reports.live import from_json
from bursar.testing import Script


def test_a_budget_that_is_set_limits_the_very_next_call(desk: Office) -> None:
    caller = bearer(desk.tokens["acme call"])
    assert desk.home.ask(headers=caller).status == 200
    got = desk.ask("PUT", "/budgets/tiny", {"limit": "1 requests / day", "link": "https://x.example"}, who="acme admin")
    assert got.status == 200
    assert got.json["budgets"][0]["limits"] == [{"unit": "requests", "amount": 1}]
    refused = desk.home.ask(headers=caller)
    assert refused.status == 402
    assert "tiny" in refused.message
    shown = desk.get("/budgets/tiny", "acme read")
    assert (shown["source"], shown["tenant"], shown["level"]) == ("set", "acme", "exceeded")
    assert shown["standings"][0]["used"] == 2
    assert desk.ask("DELETE", "/budgets/tiny", who="acme admin").json == {"removed": "tiny", "tenant": "acme"}
    assert desk.home.ask(headers=caller).status == 200


def test_a_top_up_counts_once_for_one_id_and_at_once(desk: Office) -> None:
    caller = bearer(desk.tokens["acme call"])
    desk.ask("PUT", "/budgets/few", {"limit": "1 requests / day"}, who="acme admin")
    assert desk.home.ask(headers=caller).status == 402
    more = {"amount": "1 requests", "id": "ticket-7"}
    for _ in range(3):
        got = desk.ask("POST", "/budgets/few/top-ups", more, who="acme admin")
        assert (got.status, got.json["id"], got.json["amount"]) == (200, "ticket-7", 1)
    assert desk.home.ask(headers=caller).status == 200
    assert desk.home.ask(headers=caller).status == 402
    clash = desk.ask("POST", "/budgets/few/top-ups", {**more, "amount": "2 requests"}, who="acme admin")
    assert (clash.status, clash.json["error"]["code"]) == (409, "conflict")


def test_a_budget_may_have_every_key_that_the_file_may_have() -> None:
    assert {field.name for field in msgspec.structs.fields(BudgetBody)} == SET_KEYS.keys()
    assert {field.name for field in msgspec.structs.fields(PriceBody)} == PRICE_KEYS.keys()


def test_a_budget_with_a_slash_in_its_name_is_found(desk: Office) -> None:
    name = "$5%2Fday%20per%20user"
    assert desk.ask("PUT", f"/budgets/{name}", {"limit": "$5 / day", "per": "user"}).status == 200
    assert desk.get(f"/budgets/{name}")["name"] == "$5/day per user"
    scope = {"amount": "$1", "scope": {"user": "ada"}}
    assert desk.ask("POST", f"/budgets/{name}/top-ups", scope).json["amount_usd"] == "1.00"
    assert desk.get(f"/budgets/{name}")["standings"][0]["limit_nano"] == 6 * DOLLAR


def test_a_key_is_shown_once_works_at_once_and_ends_at_once(desk: Office) -> None:
    made = desk.ask("POST", "/keys", {"name": "ci", "may_set": ["run"]}, who="acme admin")
    assert made.status == 201
    token = made.json["key"]
    assert desk.home.ask(headers=bearer(token)).status == 200
    rotated = desk.ask("POST", f"/keys/{made.json['id']}/rotate", {"overlap_s": 0}, who="acme admin")
    assert rotated.status == 201
    assert desk.home.ask(headers=bearer(token)).status == 401
    assert desk.home.ask(headers=bearer(rotated.json["key"])).status == 200
    over = desk.ask("DELETE", f"/keys/{rotated.json['id']}", who="acme admin")
    assert over.json["revoked"] is not None
    assert desk.home.ask(headers=bearer(rotated.json["key"])).status == 401
    for path in ("/keys", "/audit"):
        told = json.dumps(desk.get(path, "acme read"))
        assert token not in told
        assert rotated.json["key"] not in told
        assert "digest" not in told


def test_a_price_is_looked_up_set_and_taken_out(desk: Office) -> None:
    path = "/prices/openai/own-model"
    assert desk.ask("PUT", path, {"input": "0.15", "output": "0.6"}).status == 200
    own = [row for row in desk.get("/prices")["items"] if row["source"] == "set"]
    assert own == [
        {"provider": "openai", "model": "own-model", "free": False, "input": "0.15", "output": "0.6", "source": "set"}
    ]
    (card,) = desk.get("/prices/lookup?model=own-model&provider=openai", "acme read")["items"]
    assert card["tiers"][0]["usd_per_million_tokens"]["input"] == "0.15"
    cheap = desk.ask("PUT", "/prices/openai/gpt-4o", {"input": "0.0001", "output": "0.0001"})
    assert (cheap.status, cheap.json["error"]["param"]) == (400, "input")
    assert desk.ask("PUT", "/prices/openai/gpt-4o?force=true", {"input": "0.0001", "output": "0.0001"}).status == 200
    assert desk.ask("DELETE", path).json["removed"] == "openai/own-model"
    assert desk.ask("DELETE", path).status == 404


def test_a_pause_stops_calls_and_a_resume_lets_them_go_on(desk: Office) -> None:
    caller = bearer(desk.tokens["acme call"])
    made = desk.ask("POST", "/pauses", {"match": {"agent": "wild"}, "reason": "loop"}, who="acme admin")
    assert made.status == 201
    assert desk.home.ask(headers={**caller, "x-bursar-agent": "wild"}).status == 402
    assert desk.home.ask(headers=caller).status == 200
    assert [row["id"] for row in desk.get("/pauses", "acme read")["items"]] == [made.json["id"]]
    assert desk.ask("DELETE", f"/pauses/{made.json['id']}", who="acme admin").status == 200
    assert desk.home.ask(headers={**caller, "x-bursar-agent": "wild"}).status == 200
    desk.ask("POST", "/pauses", {}, who="acme admin")
    assert desk.home.ask(headers=caller).status == 402
    assert desk.ask("DELETE", "/pauses", who="acme admin").json == {"resumed": 1}
    assert desk.home.ask(headers=caller).status == 200


def test_what_the_operator_stopped_for_all_a_key_sees_and_cannot_let_go_on(desk: Office) -> None:
    made = desk.ask("POST", "/pauses?tenant=*", {"reason": "maintenance"})
    assert made.status == 201
    assert desk.get("/pauses", "acme read")["items"][0]["tenant"] == "*"
    assert desk.get("/me", "acme call")["is_paused"] is True
    assert desk.ask("DELETE", f"/pauses/{made.json['id']}", who="acme admin").status == 403
    assert desk.ask("DELETE", "/pauses", who="acme admin").json == {"resumed": 0}
    assert desk.ask("DELETE", f"/pauses/{made.json['id']}").status == 200


def test_a_call_is_listed_explained_and_corrected(desk: Office) -> None:
    call_id = desk.ids["acme hold"]
    (row,) = desk.get("/calls", "acme read")["items"]
    assert (row["id"], row["state"], row["labels"]["agent"]) == (call_id, "settled", "agent-of-acme")
    explained = desk.get(f"/calls/{call_id}", "acme read")
    assert explained["parts"]["basis"] == "exact"
    assert sum(part["cost_nano"] for part in explained["parts"]["output"]) > 0
    path = f"/holds/{call_id}/correct?tenant=acme"
    assert desk.ask("POST", path, {"cost_usd": "0.25", "cost_nano": 5}).status == 400
    done = desk.ask("POST", path, {"cost_usd": "0.25"})
    assert (done.status, done.json["after"]["cost_nano"]) == (200, DOLLAR // 4)
    standing = desk.get("/budgets", "acme read")["items"][0]["standings"][0]
    assert (standing["used_nano"], standing["used_usd"], standing["left_usd"]) == (DOLLAR // 4, "0.25", "0.75")
    assert desk.ask("POST", "/holds/lapse").json == {"lapsed": 0}


def test_spend_and_runs_are_summed(shared: Office) -> None:
    report = shared.get("/spend?by=agent,model&match=agent%3Dagent-of-acme&days=1", "acme read")
    (row,) = report["rows"]
    assert (row["agent"], row["calls"]) == ("agent-of-acme", 1)
    assert report["total"]["cost_nano"] == row["cost_nano"] > 0
    (run,) = shared.get("/runs", "acme read")["items"]
    assert (run["run"], run["steps"], run["cost_nano"]) == ("run-of-acme", 1, row["cost_nano"])
    assert shared.get("/spend?by=day", "acme read")["total"]["calls"] == 1


def test_the_story_of_a_run_is_told_and_two_are_compared(desk: Office) -> None:
    caller = bearer(desk.tokens["acme call"])
    for _ in range(2):
        desk.home.ask(headers={**caller, "x-bursar-run": "a/b run"})
    story = desk.get("/runs/a%2Fb%20run", "acme read")
    assert (story["run"], story["steps"], story["state"], story["is_cut"]) == ("a/b run", 2, "running", False)
    assert [step["number"] for step in story["calls"]] == [1, 2]
    assert story["cost_nano"] == sum(step["call"]["cost_nano"] for step in story["calls"]) > 0
    found = desk.get("/run-comparison?first=a%2Fb%20run&second=run-of-acme", "acme read")
    assert (found["first"]["steps"], found["second"]["steps"], len(found["pairs"])) == (2, 1, 2)
    assert found["more_nano"] == found["second"]["cost_nano"] - found["first"]["cost_nano"]
    assert desk.ask("GET", "/runs/run-of-rival", who="acme read").status == 404, "it is told to nobody else"
    assert desk.ask("GET", "/run-comparison?first=run-of-acme&second=run-of-rival", who="acme read").status == 404
    assert desk.ask("GET", "/runs/run-of-acme", who="acme call").status == 403


def test_what_tasks_cost_is_summed_by_any_label(desk: Office) -> None:
    found = desk.get("/tasks?by=agent&days=1", "acme read")
    (row,) = found["rows"]
    assert (row["agent"], row["runs"], row["finished"], row["per_finished_nano"]) == ("agent-of-acme", 1, 0, None)
    assert row["per_run_nano"] == row["cost_nano"] == found["total"]["cost_nano"] > 0
    assert desk.ask("GET", "/tasks?by=run", who="acme read").status == 400
    assert desk.get("/tasks?offset=1", "acme read")["rows"] == []


def test_lists_are_paged_and_no_row_is_lost_or_doubled(desk: Office) -> None:
    for number in range(5):
        desk.ask("PUT", f"/budgets/b{number}", {"limit": "$9 / day"}, who="acme admin")
        desk.home.ask(headers=bearer(desk.tokens["acme call"]))
    for path, cursor, count in (
        ("/budgets", "after", 6),
        ("/keys", "after", 3),
        ("/calls", "after", 6),
        ("/audit", "before_seq", 8),
    ):
        whole = desk.get(f"{path}?limit=1000", "acme read")
        assert whole["next"] is None
        found, following = [], ""
        while True:
            page = desk.get(f"{path}?limit=2{following}", "acme read")
            assert 0 < len(page["items"]) <= 2
            found += page["items"]
            if page["next"] is None:
                break
            following = f"&{cursor}={page['next']}"
        assert found == whole["items"]
        assert len(found) == count, path


def test_the_audit_log_names_who_did_what(desk: Office) -> None:
    desk.ask("PUT", "/budgets/b", {"limit": "$9 / day"}, who="acme admin")
    row = desk.get("/audit", "acme read")["items"][0]
    assert (row["action"], row["actor"], row["name"]) == ("budget set", f"key:{desk.ids['acme admin']}", "b")
    assert row["after"]["definition"] == {"limit": "$9 / day"}
    desk.ask("PUT", "/budgets/c?tenant=acme", {"limit": "$9 / day"})
    assert desk.get("/audit", "acme read")["items"][0]["actor"] == "operator"


def test_an_agent_learns_what_is_left_for_its_own_labels(desk: Office) -> None:
    """B9: with nothing but the key that it calls models with."""
    desk.ask("PUT", "/budgets/agents", {"limit": "$1 / day", "per": "agent"}, who="acme admin")
    desk.ask("PUT", "/budgets/big", {"limit": "$7 / day", "match": {"model": "big-*"}}, who="acme admin")
    mine = {"x-bursar-agent": "agent-of-acme"}
    got = desk.ask("GET", "/me?model=big-one", who="acme call", headers=mine).json
    assert (got["tenant"], got["key"], got["role"]) == ("acme", "call key", "call")
    assert got["labels"] == {"key": "call key", "agent": "agent-of-acme", "model": "big-one"}
    left = {each["budget"]: each["standing"] for each in got["budgets"]}
    assert sorted(left) == ["agents", "big", "one"]
    used = left["one"]["used_nano"]
    assert left["agents"]["scope"] == "agent=agent-of-acme"
    assert left["agents"]["left_nano"] == DOLLAR - used < DOLLAR
    assert left["big"]["left_usd"] == "7.00"
    assert got["budgets"][-1]["link"] == "https://bursar.example/more"
    other = desk.ask("GET", "/me", who="acme call", headers={"x-bursar-agent": "new"}).json
    assert [each["standing"]["left_usd"] for each in other["budgets"] if each["budget"] == "agents"] == ["1.00"]


def test_the_live_view_is_what_bursar_top_reads(desk: Office) -> None:
    told = desk.get("/live", "acme read")
    snapshot = from_json(told)
    assert [call.id for call in snapshot.ended] == [desk.ids["acme hold"]]
    assert snapshot.total.calls == 1
    assert live(desk.home.url, desk.tokens["acme read"]).total == snapshot.total
    desk.home.ask(headers=bearer(desk.tokens["acme call"]))
    until(lambda: from_json(desk.get("/live", "acme read")).total.calls == 2)
    assert from_json(desk.get("/live", "rival read")).total.calls == 1


def test_what_is_in_force_is_shown_without_any_secret(tmp_path: Path) -> None:
    secret = "sk-very-secret-provider-key"
    hidden: dict[str, Any] = {
        "headers": (("x-team", "hidden-header-value"),),
        "query": (("token", "hidden-query-value"),),
    }
    with office(tmp_path, api_key=secret, **hidden) as made:
        told = made.home.send("GET", "/bursar/v1/config", headers=bearer(made.tokens["operator"]))
        assert told.status == 200
        for text in (secret, made.tokens["operator"], "hidden-header-value", "hidden-query-value"):
            assert text not in told.body.decode()
        assert told.json["providers"][0]["has_key"] is True
        assert told.json["budgets"][0]["name"] == "one"


def test_a_configuration_is_checked_without_being_used(shared: Office) -> None:
    good = "budgets: [$5 / day]\nproviders: {openai: {api_key_env: SOME_KEY}}\n"
    assert shared.ask("POST", "/config/check", {"text": good}).json == {"is_valid": True, "problems": []}
    bad = shared.ask("POST", "/config/check", {"text": "budgets: [$5 / dya]\nstoer: {}\n"}).json
    assert bad["is_valid"] is False
    assert len(bad["problems"]) == 2
    assert all(each.startswith("bursar.yaml:") for each in bad["problems"])
    assert shared.get("/config")["budgets"][0]["name"] == "one"


def test_the_doctor_and_the_proof_are_asked(shared: Office) -> None:
    assert {each["severity"] for each in shared.get("/doctor")["items"]} <= {"note", "advice", "problem"}
    proof = shared.get("/verify?tenant=acme")
    assert (proof["is_proven"], proof["calls"], proof["open_calls"]) == (True, 1, 0)


def test_models_without_a_price_are_named(tmp_path: Path) -> None:
    with office(tmp_path, keyed=False, budgets=[], prices=()) as made:
        made.home.ask()
        (row,) = made.get("/prices/unknown")["items"]
        assert (row["provider"], row["model"], row["calls"]) == ("openai", "m", 1)


def test_a_ledger_in_memory_is_administered_as_well(tmp_path: Path) -> None:
    with office(tmp_path, keyed=False, budgets=[usd()], store=StoreSettings(kind=StoreKind.MEMORY)) as made:
        assert made.home.ask().status == 200
        assert made.ask("PUT", "/budgets/few", {"limit": "1 requests / day"}).status == 200
        assert made.home.ask().status == 402
        for path in (
            "/budgets",
            "/calls",
            "/spend",
            "/runs",
            "/live",
            "/audit",
            "/doctor",
            "/verify",
            "/config",
            "/me",
        ):
            assert made.ask("GET", path).status == 200, path
        token = made.ask("POST", "/keys", {"name": "first", "role": "admin"}).json["key"]
        assert made.home.send("GET", "/bursar/v1/me", headers=bearer(token)).json["role"] == "admin"


def test_presumed_calls_are_listed_as_holds_that_wait(tmp_path: Path) -> None:
    with office(tmp_path, keyed=False, budgets=[usd()], scripts={"m": Script(fault="reset_before")}) as made:
        made.home.ask()
        (row,) = made.get("/holds")["items"]
        assert row["state"] == "presumed"
        done = made.ask("POST", f"/holds/{row['id']}/correct", {"cost_nano": 0})
        assert done.json["after"]["state"] == "settled"
        assert made.get("/holds")["items"] == []
