"""S04: whatever text stands in keys, labels, models, prompts and paths, it is text: never run, never an error's."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from tests.gateway.house import PATHS, House, body_of, house, until, usd
from tests.gateway.keyed import SECRET, bearer, give_key

from bursar.config.settings import KeyPolicy
from bursar.core.control import EVERY_TENANT

TEXTS = [
    "' OR '1'='1",
    "'; DROP TABLE hold; --",
    '" UNION SELECT digest FROM key --',
    "x'); DELETE FROM entry; --",
    "%' ESCAPE '!",
    '{"$gt": ""}',
    '{"$where": "sleep(1000)"}',
    "\x00",
    "a\x00b",
    "a\nb",
    "\ufeff",
    "é" * 100,
    "\U0001f600",
    "\u202e",
    "..%2f..%2f",
    "{0}",
    "%s%n",
    "$(id)",
    "`id`",
    "-1",
    "NULL",
    "*",
    "_",
    "[a]",
    "\\",
    "x" * 1_000_000,
]
DATABASE_WORDS = (
    "sqlite",
    "syntax error",
    "near ",
    "unrecognized token",
    "Traceback",
    "UNIQUE",
    "no such",
    "malformed",
)


def assert_quiet(body: bytes) -> None:
    text = body.decode("utf-8", "replace")
    assert not any(word in text for word in DATABASE_WORDS), text[:300]


def tables(path: Path) -> dict[str, int]:
    with sqlite3.connect(path) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}


@pytest.mark.parametrize("way", ["authorization", "x-api-key", "x-bursar-key"])
def test_no_text_is_a_key(tmp_path: Path, way: str) -> None:
    with house(tmp_path, [usd(tenant=EVERY_TENANT)], keys=KeyPolicy.REQUIRED, admin_secret=SECRET) as home:
        give_key(home)
        before = tables(home.ledger_path)
        for text in TEXTS:
            value = text.encode("utf-8")
            prefix = b"Bearer " if way == "authorization" else b""
            answer = home.tell(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n"
                + way.encode()
                + b": "
                + prefix
                + value
                + b"\r\n\r\n{}"
            )
            status = int(answer[9:12]) if answer else 431
            assert status in (400, 401, 431), (status, text[:20])
            assert_quiet(answer)
        assert {name: count for name, count in tables(home.ledger_path).items() if name != "process"} == {
            name: count for name, count in before.items() if name != "process"
        }
        assert home.provider.invoice()["requests"] == 0


@pytest.mark.parametrize("wire", sorted(PATHS))
def test_a_model_is_a_name_or_refused(home: House, wire: str) -> None:
    """One of a budget in USD has a price or is refused; these have one, since the house prices everything."""
    for text in TEXTS:
        if wire == "gemini":
            continue
        got = home.send("POST", PATHS[wire], json.dumps({**json.loads(body_of(wire)), "model": text}).encode())
        assert got.status in (200, 400), text[:20]
        assert_quiet(got.body) if got.status == 400 else None
    with home.ledger() as ledger:
        assert list(ledger.verify()) == []


def test_labels_and_prompts_are_kept_as_they_are(tmp_path: Path) -> None:
    """What a label says is found again whole; the book stays the book."""
    texts = [text for text in TEXTS if len(text) < 200]
    with house(tmp_path, [usd(10**12, per=("user", "agent"))]) as home:
        for text in texts:
            shown = "".join(letter for letter in text if letter.isprintable() and letter.isascii()).strip()
            headers = {"x-bursar-agent": shown} if shown else {}
            got = home.ask(headers=headers, user=text, messages=[{"role": "user", "content": text}], max_tokens=5)
            assert got.status == 200, text
            with home.ledger() as ledger:
                labels = ledger.hold("default", got.headers["x-bursar-call"]).labels
            assert labels.get("agent", "") == shown
            assert labels.get("user", "") in (text.strip(), "")
        home.provider.wait(billed=len(texts))
        with home.ledger() as ledger:
            assert list(ledger.verify()) == []
        assert len(home.holds()) == len(texts)


def test_header_labels_of_any_bytes_are_text(home: House) -> None:
    for value in (b"\xff\xfe", "é\u2028".encode(), b"a" * 60_000, b'{"_user": "a"', b"%ff%00", b"=,=;=", b"a=" * 5_000):
        for name in (b"x-bursar-agent", b"x-bursar-tags", b"baggage", b"x-portkey-metadata", b"x-codex-turn-metadata"):
            body = body_of("openai", max_tokens=5)
            answer = home.tell(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n%s: %s\r\n\r\n%s" % (len(body), name, value, body)
            )
            assert int(answer[9:12]) in (200, 400, 431)
            assert_quiet(answer.partition(b"\r\n\r\n")[2]) if not answer.startswith(b"HTTP/1.1 200") else None
    for row in home.holds():
        assert all(text.isprintable() and len(text) <= 128 for text in row.labels.values())


def test_a_key_works_after_all_that(tmp_path: Path) -> None:
    with house(tmp_path, [usd(tenant=EVERY_TENANT)], keys=KeyPolicy.REQUIRED) as home:
        _, token = give_key(home, name="' OR 1=1 --", tenant="its")
        until(lambda: home.ask(headers=bearer(token)).status == 200)
