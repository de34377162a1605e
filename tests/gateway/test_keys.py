"""Keys at the gateway's door: who comes in, as whom, and that no key goes any further."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.gateway.house import HELLO, PATHS, Got, House, body_of, house, until, usd
from tests.gateway.keyed import SECRET, bearer, by, give_key

from bursar.actions.keys import revoke_key, rotate_key
from bursar.actions.pauses import PauseWish, pause, resume
from bursar.config.settings import KeyPolicy, ServerSettings, Settings, StoreSettings
from bursar.core.control import EVERY_TENANT, Change, Kind, Role
from bursar.errors import UsageError
from bursar.gateway.routes import ROUTES
from bursar.gateway.server import listen
from bursar.identity.keys import mint
from bursar.testing import Script
from bursar.wiring.pepper import open_pepper

SOON_S = 5.0
SCRAPING = "a-secret-for-the-scraper-0000000000000000"


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[House]:
    """A gateway that asks for keys, with a budget that each tenant has for itself."""
    budgets = [usd(tenant=EVERY_TENANT)]
    with house(tmp_path, budgets, keys=KeyPolicy.REQUIRED, admin_secret=SECRET, metrics_secret=SCRAPING) as home:
        yield home


def opens(home: House, token: str) -> bool:
    return home.ask(headers=bearer(token)).status == 200


def soon(home: House, token: str, *, is_open: bool) -> None:
    until(lambda: opens(home, token) is is_open, timeout_s=SOON_S)


WAYS = ["authorization", "x-api-key", "x-goog-api-key", "api-key", "x-bursar-key"]


@pytest.mark.parametrize("way", WAYS)
def test_a_key_opens_the_door_in_every_header_that_an_sdk_uses(keyed: House, way: str) -> None:
    _, token = give_key(keyed)
    value = f"Bearer {token}" if way == "authorization" else token
    until(lambda: keyed.ask(headers={way: value}).status == 200, timeout_s=SOON_S)
    assert all(token not in json.dumps(seen) for seen in keyed.provider.requests())


@pytest.mark.parametrize("wire", sorted(PATHS))
def test_a_key_never_reaches_a_provider_in_any_header(keyed: House, wire: str) -> None:
    _, token = give_key(keyed)
    soon(keyed, token, is_open=True)
    hidden = {
        "authorization": f"Bearer {token}",
        "x-stainless-token": token,
        "user-agent": f"agent/{token}",
        "x-request-id": f"a{token}b",
        "cookie": f"key={token}",
        "x-other": token,
    }
    assert keyed.ask(wire, headers=hidden).status == 200
    assert token not in json.dumps(keyed.provider.requests())


@pytest.mark.parametrize("way", WAYS)
def test_a_gateway_that_has_no_keys_sends_none_of_another_on(tmp_path: Path, way: str) -> None:
    """Nor its own first one, in the moment before it knows of it."""
    token = mint()
    with house(tmp_path, [usd()]) as home:
        assert home.ask(headers={way: f"Bearer {token}" if way == "authorization" else token}).status == 401
        assert home.provider.requests() == []
        assert home.ask().status == 200


def test_with_the_gateways_own_header_the_clients_provider_key_goes_on(keyed: House) -> None:
    _, token = give_key(keyed)
    soon(keyed, token, is_open=True)
    assert keyed.ask(headers={"x-bursar-key": token, "authorization": "Bearer sk-of-the-client"}).status == 200
    headers = dict(keyed.provider.requests()[-1]["headers"])
    assert headers["authorization"] == "Bearer sk-of-the-client"
    assert token not in json.dumps(headers)


WRONG = {
    "none": {},
    "empty": {"authorization": ""},
    "another": bearer("sk-something-else"),
    "of the form": bearer("bursar-" + "0" * 32),
    "a part": bearer("bursar-"),
    "longer": bearer("bursar-" + "0" * 33),
    "not ascii": {"x-api-key": "bursar-ü\xff"},
    "NUL": {"x-api-key": "a%00b"},
    "SQL": bearer("' OR 1=1 --"),
    "long": bearer("x" * 8_000),
    "basic": {"authorization": "Basic YTpi"},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_whoever_has_no_key_is_told_the_same_on_every_route(keyed: House, wrong: str) -> None:
    first = keyed.ask(headers={})
    for route in ROUTES:
        path = route.path.replace("{model}", "m").replace("{id}", "resp_1").replace("{version}", "v1")
        got = keyed.send(route.method, path, b"{}", WRONG[wrong])
        assert got.status == 401, path
    assert keyed.ask(headers=WRONG[wrong]).body == first.body
    assert keyed.send("GET", "/nothing/here", headers=WRONG[wrong]).status == 401
    assert keyed.send("GET", "/metrics", headers=WRONG[wrong]).status == 401
    assert keyed.provider.invoice()["requests"] == 0
    assert keyed.holds() == []


def test_a_revoked_and_an_expired_key_are_told_what_a_wrong_one_is(keyed: House) -> None:
    row, revoked = give_key(keyed, name="one")
    _, expiring = give_key(keyed, name="two", expires_ns=time.time_ns() + 1_500_000_000)
    soon(keyed, revoked, is_open=True)
    with keyed.ledger() as ledger:
        revoke_key(ledger, None, row.id, by())
    soon(keyed, revoked, is_open=False)
    soon(keyed, expiring, is_open=False)
    wrong = keyed.ask(headers=bearer("bursar-" + "0" * 32))
    for token in (revoked, expiring):
        got = keyed.ask(headers=bearer(token))
        assert (got.status, got.body) == (401, wrong.body)
        assert token not in got.body.decode() + json.dumps(dict(got.headers))


def test_a_rotated_key_and_its_successor_open_the_door_until_the_overlap_ends(keyed: House) -> None:
    row, old = give_key(keyed)
    pepper = open_pepper(Settings(store=StoreSettings(path=keyed.ledger_path)), create=False)
    assert pepper is not None
    with keyed.ledger() as ledger:
        _, new = rotate_key(ledger, pepper, None, row.id, 2, by())
    soon(keyed, new, is_open=True)
    assert opens(keyed, old)
    soon(keyed, old, is_open=False)
    assert opens(keyed, new)


def test_two_credentials_that_differ_are_refused(keyed: House) -> None:
    _, token = give_key(keyed)
    soon(keyed, token, is_open=True)
    for other in ("x-api-key", "x-goog-api-key", "api-key"):
        got = keyed.ask(headers={**bearer(token), other: "sk-another"})
        assert got.status == 400
        assert token not in got.body.decode()
    assert keyed.ask(headers={**bearer(token), "x-api-key": token}).status == 200
    _, second = give_key(keyed, name="second")
    assert keyed.ask(headers={"x-bursar-key": token, **bearer(second)}).status == 400


def test_a_key_in_the_url_is_refused(keyed: House) -> None:
    _, token = give_key(keyed)
    soon(keyed, token, is_open=True)
    before = keyed.provider.invoice()["requests"]
    for name in ("key", "api_key", "access_token"):
        got = keyed.send("POST", f"{PATHS['openai']}?{name}={token}", body_of("openai"), bearer(token))
        assert got.status == 400
        assert token not in got.body.decode()
    assert keyed.provider.invoice()["requests"] == before


def test_identity_comes_from_the_key_alone(keyed: House) -> None:
    """Rows S14: headers and bodies that name a tenant, an organization or a budget change nothing."""
    row, token = give_key(keyed, labels={"team": "research", "agent": "crawler"}, may_set={"run", "step", "tag.*"})
    soon(keyed, token, is_open=True)
    claims = {
        "x-bursar-tenant": "other",
        "x-org-id": "other",
        "x-budget-id": "other",
        "x-forwarded-for": "10.0.0.1",
        "x-forwarded-user": "root",
        "x-bursar-team": "board",
        "x-bursar-agent": "boss",
        "x-bursar-user": "ada",
        "x-bursar-run": "r1",
        "x-bursar-tags": "a=b",
        "baggage": "bursar.team=board,bursar.key=root,bursar.provider=free",
    }
    metadata = {"user_api_key": "x", "team": "board", "tenant": "other"}
    got = keyed.ask(headers={**bearer(token), **claims}, metadata=metadata, user="eve")
    assert got.status == 200
    with keyed.ledger() as ledger:
        labels = ledger.hold("acme", got.headers["x-bursar-call"]).labels
    assert labels["team"] == "research" and labels["agent"] == "crawler" and labels["key"] == row.name
    assert labels["run"] == "r1" and labels["tag.a"] == "b"
    assert "user" not in labels


def test_each_tenant_has_its_own_budget_and_sees_its_own_money(tmp_path: Path) -> None:
    script = {"m": Script(output_tokens=1_000)}
    with house(tmp_path, [usd(50_000_000, tenant=EVERY_TENANT)], scripts=script, keys=KeyPolicy.REQUIRED) as home:
        _, first = give_key(home, tenant="first")
        _, second = give_key(home, tenant="second")
        soon_open(home, second)
        spent = ask_until_refused(home, first)
        assert "x-bursar-remaining-usd" in spent.headers
        got = home.ask(headers=bearer(second), max_tokens=900)
        assert got.status == 200
        for tenant in ("first", "second"):
            with home.ledger() as ledger:
                assert {row.budget for row in ledger.balances(tenant)} == {"one"}


def soon_open(home: House, token: str) -> None:
    headers = {**bearer(token)}
    until(lambda: home.send("GET", "/v1/models", headers=headers).status == 200, timeout_s=SOON_S)


def ask_until_refused(home: House, token: str) -> Got:
    soon_open(home, token)
    for _ in range(20):
        got = home.ask(headers=bearer(token), max_tokens=900)
        if got.status != 200:
            assert got.status == 402
            return got
    raise AssertionError("it was never refused")


def test_keys_that_read_or_administer_do_not_spend(keyed: House) -> None:
    for role in (Role.READ, Role.ADMIN):
        _, token = give_key(keyed, name=role, role=role)
        headers = bearer(token)
        until(partial(is_told, keyed, headers, 403), timeout_s=SOON_S)
    assert keyed.ask(headers=bearer(SECRET)).status == 403
    assert keyed.provider.invoice()["requests"] == 0


def is_told(home: House, headers: dict[str, str], status: int) -> bool:
    return home.ask(headers=headers).status == status


def test_metrics_of_every_tenant_are_for_no_tenants_key_and_health_is_for_everybody(keyed: House) -> None:
    _, reading = give_key(keyed, name="reading", role=Role.READ)
    _, calling = give_key(keyed, name="calling")
    until(lambda: keyed.send("GET", "/metrics", headers=bearer(reading)).status == 403, timeout_s=SOON_S)
    assert keyed.send("GET", "/metrics", headers=bearer(SECRET)).status == 200
    assert keyed.send("GET", "/metrics", headers=bearer(SCRAPING)).status == 200
    assert keyed.ask(headers=bearer(SCRAPING)).status == 401
    assert keyed.send("GET", "/metrics", headers=bearer(calling)).status == 403
    assert (keyed.send("GET", "/healthz").status, keyed.send("GET", "/readyz").status) == (200, 200)


def test_the_first_key_closes_the_door_and_revoking_it_does_not_open_it_again(tmp_path: Path) -> None:
    with house(tmp_path, [usd(tenant=EVERY_TENANT)]) as home:
        assert home.ask().status == 200
        row, token = give_key(home)
        until(lambda: home.ask().status == 401, timeout_s=SOON_S)
        assert opens(home, token)
        with home.ledger() as ledger:
            revoke_key(ledger, None, row.id, by())
        soon(home, token, is_open=False)
        assert home.ask().status == 401


def test_without_an_admin_secret_the_gateway_does_not_listen_on_a_network(tmp_path: Path) -> None:
    server = ServerSettings(host="0.0.0.0", port=0)
    with pytest.raises(UsageError, match="BURSAR_ADMIN_SECRET"):
        listen(Settings(server=server))
    listen(Settings(server=server, admin_secret=SECRET)).close()


def test_on_a_network_everybody_needs_a_key_though_there_is_none_yet(tmp_path: Path) -> None:
    with house(tmp_path, [usd()], host="0.0.0.0", admin_secret=SECRET) as home:
        assert home.ask().status == 401
        assert home.ask(headers=bearer(SECRET)).status == 403


@pytest.mark.parametrize("match", [{}, {"agent": "crawler"}, {"agent": "craw*"}])
def test_a_pause_stops_new_calls_within_a_second_and_a_resume_lets_them_go_on(
    tmp_path: Path, match: dict[str, str]
) -> None:
    agent = {"x-bursar-agent": "crawler"}
    with house(tmp_path, [usd()]) as home:
        assert home.ask(headers=agent).status == 200
        with home.ledger() as ledger:
            found = pause(ledger, PauseWish("default", match, "too dear"), by())
        until(lambda: home.ask(headers=agent).status == 402, timeout_s=1.0)
        got = home.ask(headers=agent)
        assert got.json["error"]["code"] == "paused"
        assert got.headers["x-should-retry"] == "false"
        assert "too dear" in got.message and "resume" in got.message
        assert home.ask().status == (200 if match else 402)
        with home.ledger() as ledger:
            resume(ledger, None, found.id, by())
        until(lambda: home.ask(headers=agent).status == 200, timeout_s=SOON_S)
        home.assert_sound()


def test_a_call_that_waits_for_money_is_not_sent_when_it_is_paused_meanwhile(tmp_path: Path) -> None:
    slow = Script(output_tokens=300, tokens_per_s=100)
    with house(tmp_path, [usd(12_000_000)], scripts={"m": slow}) as home:
        body = json.dumps({"model": "m", "messages": HELLO, "max_tokens": 300}).encode()
        head = f"POST {PATHS['openai']} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        socks = [home.raw(head + body) for _ in range(3)]
        home.provider.wait(requests=1)
        with home.ledger() as ledger:
            pause(ledger, PauseWish("default"), by())
        until(lambda: home.ask().status == 402, timeout_s=1.0)
        answers = [sock.recv(65_536) for sock in socks]
        assert sum(b" 200 OK" in answer for answer in answers) == home.provider.invoice()["requests"]
        assert any(b"paused" in answer for answer in answers)
        home.assert_sound()


@pytest.mark.parametrize("more", [{}, {"anthropic-version": "2023-06-01"}, {"x-goog-api-key": "k"}])
def test_the_administration_refuses_strangers_in_its_own_words(keyed: House, more: dict[str, str]) -> None:
    got = keyed.send("GET", "/bursar/v1/budgets", headers=more)
    assert got.status == 401
    assert got.json["error"]["code"] == "unauthorized"
    assert got.headers["cache-control"] == "private, no-store"


def test_a_key_that_cannot_be_read_keeps_the_door_shut(tmp_path: Path) -> None:
    with house(tmp_path, [usd(tenant=EVERY_TENANT)]) as home:
        row, token = give_key(home)
        soon(home, token, is_open=True)
        assert home.ask().status == 401
        odd = Change(Kind.KEY, row.tenant, row.id, '{"role": "of a newer bursar"}', "", "key odd", "local:t", 1)
        with home.ledger() as ledger:
            ledger.change([odd])
        soon(home, token, is_open=False)
        assert home.ask().status == 401
        assert home.send("GET", "/bursar/v1/config").status == 401


def test_no_key_of_ours_goes_to_a_provider_before_this_process_knows_of_keys(home: House) -> None:
    assert home.ask(headers=bearer("bursar-" + "0" * 32)).status == 401
    assert home.provider.invoice()["requests"] == 0
