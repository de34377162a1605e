"""Who may do what, over every route, role and tenant (S36, S37); nobody learns that another's things exist."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from tests.gateway.admin.office import PREFIX, Office
from tests.gateway.house import Got

from bursar.core.control import Role
from bursar.gateway.admin.rights import NEEDS, Need, Tenancy

NUMBERS = itertools.count()
PAUSE = {"match": {"agent": "nobody-at-all"}}
BODIES: dict[tuple[str, str], Any] = {
    ("PUT", "/budgets/{name}"): {"limit": "$1 / day"},
    ("POST", "/budgets/{name}/top-ups"): {"amount": "$1"},
    ("POST", "/keys"): {"name": "made by the matrix", "expires": "2100-01-01T00:00:00Z"},
    ("POST", "/keys/{id}/rotate"): {},
    ("PUT", "/prices/{provider}/{model}"): {"input": "1", "output": "2"},
    ("POST", "/pauses"): PAUSE,
    ("POST", "/holds/{id}/correct"): {"cost_nano": 1},
    ("POST", "/config/check"): {"text": "budgets: []"},
    ("POST", "/runs/{run}/approve"): {},
    ("POST", "/runs/{run}/stop"): {},
    ("POST", "/runs/{run}/finish"): {"outcome": "ok"},
    ("POST", "/runs/{run}/link"): {},
}
ROLES = [*Role, "operator", "nobody"]
ALLOWED = {
    Need.ANY: {"call", "read", "admin", "operator"},
    Need.READ: {"read", "admin", "operator"},
    Need.ADMIN: {"admin", "operator"},
    Need.OPERATOR: {"operator"},
}


def path_of(office: Office, path: str, tenant: str) -> str:
    """Name something real of a tenant in a path."""
    kind = {"/holds": "hold", "/calls": "hold", "/pauses": "pause"}.get(f"/{path.split('/')[1]}", "spare")
    known = {
        "id": office.ids.get(f"{tenant} {kind}", "01"),
        "name": f"of-{tenant}",
        "provider": "openai",
        "model": "matrix-model",
        "run": f"run-of-{tenant}",
    }
    return re.sub(r"\{(\w+)\}", lambda found: known[found[1]], path)


def extra(path: str) -> str:
    more = {"/prices/lookup": "model=gpt-4o", "/run-comparison": "first=run-of-acme&second=run-of-acme"}
    return more.get(path, "")


def send(office: Office, route: tuple[str, str], who: str, tenant: str, said: str = "") -> Got:
    method, path = route
    query = "&".join(part for part in (extra(path), f"tenant={said}" if said else "") if part)
    where = path_of(office, path, tenant) + (f"?{query}" if query else "")
    return office.ask(method, where, BODIES.get(route), who=who)


@pytest.fixture
def _things(shared: Office) -> None:
    """Give each tenant something that every route can name."""
    for tenant in ("acme", "rival"):
        whose, who = f"tenant={tenant}", f"{tenant} admin"
        shared.ask("DELETE", f"/budgets/of-{tenant}?{whose}")
        assert shared.ask("PUT", f"/budgets/of-{tenant}", {"limit": "$9 / day"}, who=who).status == 200
        shared.ask("DELETE", f"/pauses?{whose}")
        shared.ids[f"{tenant} pause"] = shared.ask("POST", "/pauses", PAUSE, who=who).json["id"]
        spare = {"name": f"spare {next(NUMBERS)}"}
        shared.ids[f"{tenant} spare"] = shared.ask("POST", "/keys", spare, who=who).json["id"]


def test_the_document_and_the_table_name_the_same_routes_and_rights(shared: Office) -> None:
    told = shared.get("/openapi.json")["paths"]
    found = {
        (method.upper(), path.removeprefix(PREFIX)): Need(each["x-bursar-needs"])
        for path, methods in told.items()
        for method, each in methods.items()
    }
    assert found == {route: need for route, (need, _) in NEEDS.items()}


@pytest.mark.usefixtures("_things")
@pytest.mark.parametrize("route", NEEDS, ids=" ".join)
def test_each_role_may_do_what_the_table_says_and_no_more(shared: Office, route: tuple[str, str]) -> None:
    need, tenancy = NEEDS[route]
    for role in ROLES:
        who = role if role in ("operator", "nobody") else f"acme {role}"
        said = "acme" if role == "operator" and tenancy is not Tenancy.NONE else ""
        got = send(shared, route, who, "acme", said)
        if role == "nobody":
            assert got.status == 401, (role, got.body)
        elif role in ALLOWED[need]:
            assert got.status not in (401, 403), (role, got.body)
            assert got.status < 500
        else:
            assert got.status == 403, (role, got.body)
            assert got.json["error"]["code"] == "forbidden"


@pytest.mark.usefixtures("_things")
@pytest.mark.parametrize("route", [each for each in NEEDS if NEEDS[each][1] is not Tenancy.NONE], ids=" ".join)
def test_another_tenants_things_are_told_as_what_does_not_exist(shared: Office, route: tuple[str, str]) -> None:
    method, path = route
    if NEEDS[route][0] is Need.OPERATOR:
        return
    named = send(shared, route, "acme admin", "acme", said="rival")
    unknown = send(shared, route, "acme admin", "acme", said="never-heard-of")
    assert (named.status, unknown.status) == (404, 404)
    assert named.body.replace(b"rival", b"X") == unknown.body.replace(b"never-heard-of", b"X")
    if "{" not in path or method == "PUT":
        return
    theirs, missing = (
        shared.ask(method, where, BODIES.get(route), who="acme admin")
        for where in (path_of(shared, path, "rival"), re.sub(r"\{\w+\}", "0000000000", path))
    )
    assert (theirs.status, missing.status) == (404, 404)
    names = (
        *(shared.ids[f"rival {kind}"] for kind in ("hold", "spare", "pause")),
        "run-of-rival",
        "of-rival",
        "0000000000",
    )
    texts = [re.sub("|".join(map(re.escape, names)), "X", each.json["error"]["message"]) for each in (theirs, missing)]
    assert texts[0] == texts[1]


@pytest.mark.usefixtures("_things")
@pytest.mark.parametrize("route", [each for each in NEEDS if each[0] == "GET"], ids=" ".join)
def test_no_answer_holds_a_word_of_another_tenant(shared: Office, route: tuple[str, str]) -> None:
    """P8."""
    if NEEDS[route][0] is Need.OPERATOR:
        return
    got = send(shared, route, "acme admin", "acme")
    for text in ("rival", *(each for name, each in shared.ids.items() if name.startswith("rival "))):
        assert text not in got.body.decode(), text


def test_a_key_of_another_tenant_is_neither_rotated_nor_revoked(shared: Office) -> None:
    victim = shared.ids["rival call"]
    assert shared.ask("DELETE", f"/keys/{victim}", who="acme admin").status == 404
    assert shared.ask("POST", f"/keys/{victim}/rotate", {}, who="acme admin").status == 404
    assert shared.ask("GET", "/me", who="rival call").status == 200


@pytest.mark.parametrize("route", [each for each in NEEDS if NEEDS[each][1] is Tenancy.EVERY_TOO], ids=" ".join)
def test_what_counts_for_all_is_the_operators(shared: Office, route: tuple[str, str]) -> None:
    assert send(shared, route, "acme admin", "acme", said="*").status == 403


def test_nobody_gives_more_than_they_have(shared: Office) -> None:
    """S37: not another tenant's key, no label that is not theirs, no more money from the operator's budgets."""
    asked = shared.ask("POST", "/keys", {"name": "x", "may_set": ["team"]}, who="acme admin")
    assert asked.status == 403
    assert shared.ask("POST", "/keys", {"name": "x", "tenant": "rival"}, who="acme admin").status == 400
    assert shared.ask("POST", "/budgets/one/top-ups", {"amount": "$1"}, who="acme admin").status == 403
    assert shared.ask("DELETE", "/budgets/one", who="acme admin").status in (400, 403)
    hold = shared.ids["acme hold"]
    assert shared.ask("POST", f"/holds/{hold}/correct", {"cost_nano": 0}, who="acme admin").status == 403


def test_a_budget_of_every_tenant_is_removed_by_the_operator_alone(desk: Office) -> None:
    assert desk.ask("PUT", "/budgets/for-all?tenant=*", {"limit": "$9 / day"}).status == 200
    assert desk.get("/budgets/for-all", "acme read")["tenant"] == "*"
    assert desk.ask("DELETE", "/budgets/for-all", who="acme admin").status == 403
    assert desk.ask("DELETE", "/budgets/for-all?tenant=*").status == 200
    assert desk.ask("GET", "/budgets/for-all", who="acme read").status == 404


def test_a_wrong_key_learns_nothing_of_a_route(shared: Office) -> None:
    headers = {"authorization": "Bearer bursar-00000000000000000000000000000000"}
    answers = {
        shared.ask(method, path, who="nobody", headers=headers).body
        for method, path in (("GET", "/keys"), ("GET", "/no-such-page"), ("DELETE", "/budgets/x"))
    }
    assert len(answers) == 1
