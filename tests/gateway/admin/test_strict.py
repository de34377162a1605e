"""Whatever is sent, the answer is an error in one shape: no 500, no guess, no word of a database."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.admin.office import PREFIX, Office, office
from tests.gateway.house import Got
from tests.gateway.keyed import bearer

from bursar.config.settings import Settings
from bursar.gateway.admin.api import AdminApi
from bursar.gateway.admin.asking import BODY_BYTES_MAX
from bursar.wiring.engine import Engine

ODD = ["'; DROP TABLE hold; --", "\x00", "a" * 5_000, "日本", "\N{PILE OF POO}", "..", "%00", '{"$gt":""}', " "]


def post(desk: Office, path: str, raw: bytes, kind: str = "application/json", method: str = "POST") -> Got:
    headers = {**bearer(desk.tokens["operator"]), "content-type": kind}
    return desk.home.send(method, PREFIX + path, raw, headers)


def assert_told(got: Got, status: int, param: str | None = None) -> None:
    assert got.status == status, got.body
    assert sorted(got.json) == ["error"]
    assert sorted(got.json["error"]) == ["code", "message", "param"]
    if param is not None:
        assert got.json["error"]["param"] == param
    assert "sqlite" not in got.body.decode().lower()
    assert got.headers["cache-control"] == "private, no-store"


def test_every_answer_is_kept_by_nobody(shared: Office) -> None:
    """S35."""
    for path in ("/me", "/keys", "/openapi.json", "/no-such-page"):
        got = shared.ask("GET", path)
        assert got.headers["cache-control"] == "private, no-store"
        assert "authorization" in got.headers["vary"].lower()


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/keys", {"name": "x", "tenant": "rival"}, "tenant"),
        ("/keys", {"name": "x", "digest": "0"}, "digest"),
        ("/keys", {"name": 5}, "name"),
        ("/keys", {"name": "x", "role": "root"}, "role"),
        ("/keys", {"name": "x", "expires": "tomorrow"}, "expires"),
        ("/keys", {"name": "x", "expires": "1969-01-01T00:00:00Z"}, "expires"),
        ("/keys", {"name": "x", "expires": "9999-01-01T00:00:00Z"}, "expires"),
        ("/keys", {"name": "x", "may_set": ["a"] * 41}, "may_set"),
        ("/keys", {"name": "x", "labels": {"agent": "a" * 129}}, None),
        ("/keys", {}, None),
        ("/pauses", {"match": {"nonsense": "x"}}, None),
        ("/pauses", {"reason": "a" * 201}, "reason"),
        ("/budgets/one/top-ups", {"amount": 5}, "amount"),
        ("/budgets/one/top-ups", {"amount": "$5", "force": True}, "force"),
        ("/holds/x/correct", {"cost_nano": -1}, "cost_nano"),
        ("/holds/x/correct", {"cost_nano": 10**30}, "cost_nano"),
        ("/holds/x/correct", {"cost_usd": "0,50"}, "cost_usd"),
        ("/config/check", {"text": 1}, "text"),
    ],
)
def test_a_field_that_is_wrong_or_unknown_is_named(shared: Office, path: str, body: Any, param: str | None) -> None:
    """S38."""
    assert_told(shared.ask("POST", path, body), 400, param)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"\xff",
        b'{"name": "a", "name": "b"}',
        b'{"name": "\\ud800"}',
        b'{"name": NaN}',
        b'{"name": ' + b"9" * 5_000 + b"}",
        b'{"name":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
)
def test_a_body_that_is_not_one_plain_json_object_is_refused(shared: Office, raw: bytes) -> None:
    assert_told(post(shared, "/keys", raw), 400)


def test_a_body_is_json_and_small(shared: Office) -> None:
    assert_told(post(shared, "/keys", b"{}", "text/plain"), 415)
    assert_told(post(shared, "/keys", b"{}", "application/x-www-form-urlencoded"), 415)
    assert_told(post(shared, "/keys", b'{"name":"' + b"a" * BODY_BYTES_MAX + b'"}'), 413)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=1e1",
        "limit=ten",
        "limit=10&limit=20",
        "limit=99999999999999999999999",
        "nonsense=1",
        "tenant=%00",
        "tenant=a%20b",
        "after=9.",
        "after=99999999999999999999.x",
        "after=%F0%9F%92%A9.x",
        "key=secret",
        "&".join(f"a{number}=1" for number in range(30)),
    ],
)
def test_a_query_is_read_strictly(shared: Office, query: str) -> None:
    got = shared.ask("GET", f"/calls?{query}")
    if query == "after=9.":
        assert got.json["items"] == []
    else:
        assert_told(got, 400)


@pytest.mark.parametrize(
    "query",
    [
        "since=2026-11-01",
        "since=1e9",
        "since=2300-01-01T00:00:00Z",
        "days=1&since=2026-11-01T00:00:00Z",
        "by=nonsense",
        "by=",
        "by=agent,agent",
        "by=hour&since=1971-01-01T00:00:00Z",
        "by=day,month",
        "timezone=Mars",
        "timezone=../../etc/passwd",
        "match=agent",
        "match=agent%3Da&match=agent%3Db",
    ],
)
def test_a_report_that_makes_no_sense_is_refused(shared: Office, query: str) -> None:
    assert_told(shared.ask("GET", f"/spend?{query}"), 400)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("path", ["/budgets/{}", "/calls/{}", "/keys/{}", "/pauses/{}", "/prices/openai/{}"])
def test_an_odd_name_in_a_path_is_only_not_found(shared: Office, path: str, odd: str) -> None:
    from urllib.parse import quote

    where = path.format(quote(odd, safe=""))
    method = "GET" if path.startswith(("/budgets", "/calls")) else "DELETE"
    assert shared.ask(method, where).status in (400, 404)


def test_a_method_that_is_not_there_names_those_that_are(shared: Office) -> None:
    got = shared.ask("PATCH", "/keys")
    assert_told(got, 405)
    assert got.headers["allow"] == "GET, POST"


@pytest.mark.parametrize("path", ["/", "/keys/", "/KEYS", "//keys", "/keys;x", "/budgets/", "/nothing", "/../v1/keys"])
def test_a_path_is_what_it_is(shared: Office, path: str) -> None:
    """S10: no redirect, no second spelling."""
    assert_told(shared.ask("GET", path), 404)


def test_a_ledger_that_is_gone_is_told_without_its_path(tmp_path: Path) -> None:
    with office(tmp_path, keyed=False) as made:
        made.home.ledger_path.unlink()
        for extra in ("-wal", "-shm"):
            Path(f"{made.home.ledger_path}{extra}").unlink(missing_ok=True)
        made.home.ledger_path.write_bytes(b"no ledger at all" * 100)
        got = made.ask("GET", "/calls")
        assert got.status == 503
        assert str(tmp_path) not in got.body.decode()
        assert_told(got, 503)


def test_it_can_be_handed_to_a_worker_before_its_first_request() -> None:
    settings = Settings()
    assert isinstance(pickle.loads(pickle.dumps(AdminApi(Engine(settings), settings))), AdminApi)


def test_errors_have_one_shape(shared: Office) -> None:
    got = shared.ask("GET", "/calls/unknown")
    assert json.loads(got.body) == {"error": {"code": "not_found", "message": "no call unknown", "param": None}}
