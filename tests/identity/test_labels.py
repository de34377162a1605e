"""Labels out of what clients send (DESIGN §9): every source, the order between them, and hostile values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.house import house, usd

from bursar.core.labels import LABEL_NAMES, NONE, OTHER, TAGS_MAX, VALUE_LENGTH_MAX, Labels
from bursar.identity import labels
from bursar.identity.labels import labels_of

LONG = "a" * 2**20


def read(headers: dict[str, str], **body: str) -> dict[str, str]:
    return dict(labels_of(headers, body).pairs)


SOURCES = [
    ({"x-bursar-agent": "a"}, "agent", "a"),
    ({"x-bursar-task": "t"}, "task", "t"),
    ({"x-bursar-task-type": "t"}, "task_type", "t"),
    ({"x-bursar-run": "r"}, "run", "r"),
    ({"x-bursar-step": "1"}, "step", "1"),
    ({"x-bursar-user": "u"}, "user", "u"),
    ({"x-bursar-session": "s"}, "session", "s"),
    ({"x-bursar-team": "t"}, "team", "t"),
    ({"x-bursar-tags": "project=alpha"}, "tag.project", "alpha"),
    ({"x-bursar-tags": "nightly"}, "tag.nightly", "true"),
    ({"x-bursar-tags": " a = b , c "}, "tag.c", "true"),
    ({"baggage": "user.id=u"}, "user", "u"),
    ({"baggage": "enduser.id=u"}, "user", "u"),
    ({"baggage": "session.id=s;x=y, other=z"}, "session", "s"),
    ({"baggage": "gen_ai.agent.name=a%20b"}, "agent", "a b"),
    ({"baggage": "bursar.run=r1"}, "run", "r1"),
    ({"x-claude-code-session-id": "s"}, "session", "s"),
    ({"x-claude-code-agent-id": "a"}, "tag.subagent", "a"),
    ({"session-id": "s"}, "session", "s"),
    ({"session_id": "s"}, "session", "s"),
    ({"x-codex-turn-metadata": '{"turn_id":"t1"}'}, "run", "t1"),
    ({"x-codex-turn-metadata": '{"turn_id":"t2","root_turn_id":"t1"}'}, "run", "t1"),
    ({"x-codex-turn-metadata": '{"session_id":"s1"}'}, "session", "s1"),
    ({"helicone-user-id": "u"}, "user", "u"),
    ({"helicone-session-id": "s"}, "session", "s"),
    ({"helicone-property-app": "x"}, "tag.app", "x"),
    ({"x-litellm-tags": "a,b"}, "tag.b", "true"),
    ({"x-litellm-end-user-id": "u"}, "user", "u"),
    ({"x-litellm-customer-id": "u"}, "user", "u"),
    ({"x-litellm-agent-id": "a"}, "agent", "a"),
    ({"x-litellm-session-id": "s"}, "session", "s"),
    ({"x-litellm-trace-id": "r"}, "run", "r"),
    ({"x-portkey-trace-id": "r"}, "run", "r"),
    ({"x-portkey-metadata": '{"_user":"u"}'}, "user", "u"),
    ({"x-portkey-metadata": '{"_agent":"a"}'}, "agent", "a"),
    ({"x-portkey-metadata": '{"team":"t"}'}, "team", "t"),
    ({"x-portkey-metadata": '{"env":"prod"}'}, "tag.env", "prod"),
    ({"originator": "codex_cli_rs"}, "agent", "codex"),
    ({"user-agent": "claude-cli/2.1.0 (external, cli)"}, "agent", "claude-code"),
]


@pytest.mark.parametrize(("headers", "label", "value"), SOURCES, ids=lambda each: str(each)[:40])
def test_every_source_of_headers_is_read(headers: dict[str, str], label: str, value: str) -> None:
    assert read(headers)[label] == value


def test_our_own_header_comes_before_all_others() -> None:
    headers = {
        "x-bursar-user": "own", "baggage": "user.id=baggage", "helicone-user-id": "helicone",
        "x-portkey-metadata": '{"_user":"portkey"}', "x-litellm-end-user-id": "litellm",
    }  # fmt: skip
    order = ["own", "baggage", "helicone", "litellm", "portkey", "body"]
    seen = []
    for name in ("x-bursar-user", "baggage", "helicone-user-id", "x-litellm-end-user-id", "x-portkey-metadata"):
        seen.append(read(headers, user="body")["user"])
        del headers[name]
    assert [*seen, read(headers, user="body")["user"]] == order


def test_the_name_of_a_known_program_is_the_last_resort() -> None:
    codex = {"originator": "codex_exec"}
    assert read(codex)["agent"] == "codex"
    assert read({**codex, "x-bursar-agent": "mine"})["agent"] == "mine"
    assert read({**codex, "baggage": "gen_ai.agent.name=mine"})["agent"] == "mine"


def test_what_claude_code_sends() -> None:
    headers = {
        "user-agent": "claude-cli/2.1.44 (external, cli)", "x-app": "cli", "anthropic-version": "2023-06-01",
        "x-claude-code-session-id": "3f0c", "x-claude-code-agent-id": "explore-7", "x-stainless-lang": "js",
        "authorization": "Bearer secret", "x-api-key": "secret",
    }  # fmt: skip
    assert read(headers) == {"session": "3f0c", "agent": "claude-code", "tag.subagent": "explore-7"}
    del headers["x-claude-code-agent-id"]
    assert read(headers) == {"session": "3f0c", "agent": "claude-code"}


def test_what_codex_sends() -> None:
    headers = {
        "originator": "codex_cli_rs", "session-id": "s9", "user-agent": "codex_cli_rs/0.99 (Linux)",
        "x-codex-turn-metadata": json.dumps({"turn_id": "t3", "sandbox": "none", "n": 5, "git": {"commit": "x"}}),
        "authorization": "Bearer secret",
    }  # fmt: skip
    assert read(headers) == {"session": "s9", "agent": "codex", "run": "t3"}


@pytest.mark.parametrize("name", ["key", "provider", "model", "wire", "tenant"])
def test_nobody_names_key_provider_model_wire_or_tenant(name: str) -> None:
    headers = {
        f"x-bursar-{name}": "evil",
        "baggage": f"bursar.{name}=evil,{name}=evil",
        "x-portkey-metadata": json.dumps({name: "evil"}),
    }
    assert name not in read(headers)


HOSTILE = [
    "a\x00b",
    "a\nb",
    "\u202eabc",
    "\ud800",
    "a\x7f",
    LONG,
    "  ",
    NONE,
    OTHER,
    "é" * 500,
    "\u202e" * 200,
    "\u2028",
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda each: ascii(each)[:20])
def test_a_hostile_value_is_harmless(value: str) -> None:
    headers = {
        "x-bursar-agent": value, "x-bursar-tags": f"a={value},{value}=b", "baggage": f"user.id={value}",
        "x-portkey-metadata": json.dumps({"_session": value, value: "x", "n": 1}), "helicone-property-x": value,
    }  # fmt: skip
    for name, kept in read(headers, team=value).items():
        assert kept.isprintable() and 0 < len(kept) <= VALUE_LENGTH_MAX
        assert kept not in (NONE, OTHER)
        assert name.isprintable() and len(name) <= VALUE_LENGTH_MAX


@pytest.mark.parametrize(
    "value",
    [
        "[" * 100_000,
        "{" * 8000,
        '{"a":' * 2000,
        "null",
        "[]",
        "5",
        '"x"',
        "{",
        '{"_user": 5}',
        '{"_user": null}',
        "{}" + LONG,
    ],
    ids=lambda each: each[:10],
)
def test_json_in_a_header_that_says_nothing_says_nothing(value: str) -> None:
    assert read({"x-portkey-metadata": value, "x-codex-turn-metadata": value}) == {}


def test_tags_are_bounded() -> None:
    headers = {"x-bursar-tags": ",".join(f"t{n}=v" for n in range(1000))}
    headers |= {f"helicone-property-p{n}": "v" for n in range(100)}
    assert len(read(headers)) == TAGS_MAX


text = st.text(max_size=50)


@given(
    st.dictionaries(st.sampled_from([*{name for headers, _, _ in SOURCES for name in headers}]), text),
    st.dictionaries(st.sampled_from(LABEL_NAMES), text),
)
def test_any_headers_give_printable_bounded_labels(headers: dict[str, str], body: dict[str, str]) -> None:
    for name, value in labels_of(headers, body).items():
        assert value.isprintable() and 0 < len(value) <= VALUE_LENGTH_MAX and value not in (NONE, OTHER)
        assert name in LABEL_NAMES or name.startswith("tag.")


@given(
    st.dictionaries(st.sampled_from([*{name for headers, _, _ in SOURCES for name in headers}, "accept"]), text),
    st.dictionaries(st.sampled_from(LABEL_NAMES), text),
)
def test_who_sends_little_gets_the_labels_that_every_source_would_give(
    headers: dict[str, str], body: dict[str, str]
) -> None:
    found: dict[str, str] = {}
    for source in labels._SOURCES:
        for name, value in source(headers):
            found.setdefault(name, value)
    assert labels_of(headers, body) == Labels.of({**body, **found})


BODIES = [
    ("openai", {"user": "u"}, "user", "u"),
    ("openai", {"safety_identifier": "h", "user": "u"}, "user", "h"),
    ("openai", {"metadata": {"agent": "a"}}, "agent", "a"),
    ("openai", {"metadata": {"run": "r"}}, "run", "r"),
    ("openai", {"metadata": {"project": "p"}}, "tag.project", "p"),
    ("openai", {"metadata": {"model": "evil", "provider": "evil"}}, "tag.model", "evil"),
    ("anthropic", {"metadata": {"user_id": "u"}}, "user", "u"),
]


@pytest.mark.parametrize(("wire", "fields", "label", "value"), BODIES)
def test_what_a_body_says_reaches_the_ledger(
    tmp_path: Path, wire: str, fields: dict[str, Any], label: str, value: str
) -> None:
    with house(tmp_path, [usd()]) as home:
        assert home.ask(wire, **fields).status == 200
        labels = home.holds()[0].labels
        assert labels[label] == value
        assert (labels["model"], labels["provider"]) == ("m", wire)


def test_hostile_headers_reach_the_ledger_harmless(tmp_path: Path) -> None:
    with house(tmp_path, [usd(per=("user",))]) as home:
        for value in ("'; DROP TABLE holds; --", '"', "\\", "a,b=c", "%00", "é", "{0.__class__}", OTHER, NONE, "*"):
            assert home.ask(headers={"x-bursar-user": value.encode().decode("latin-1")}).status == 200
        users = {row.labels.get("user", NONE) for row in home.holds()}
        assert "'; DROP TABLE holds; --" in users and OTHER not in users
        with home.ledger() as ledger:
            assert list(ledger.verify()) == []
        assert home.ask(headers={"x-bursar-user": "a" * 70_000}).status == 431
