"""`bursar key`: the key is on stdout alone, once, and nowhere else (S05, S07, S09)."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from tests.cli.filled import Filled, run

from bursar.actions.control import state_of
from bursar.core.control import KeyRow
from bursar.core.window import NS
from bursar.identity.keys import Keyring, is_key_like
from bursar.stores.sqlite import SqliteLedger


def found(folder: Path, key: str, after_s: int = 0) -> KeyRow | None:
    ledger = SqliteLedger(folder / "bursar.db")
    pepper = (folder / "bursar.db.pepper").read_bytes()
    rows = state_of(ledger).keys
    at_ns = max((row.created_ns for row in rows), default=0) + after_s * NS
    ledger.close_store()
    return Keyring(rows, pepper).find(key, at_ns)


def create(*words: object) -> str:
    result = run("key", "create", *words)
    assert result.exit_code == 0, result.stderr
    return str(result.stdout.strip())


def test_the_key_is_alone_on_stdout_and_opens(config: Path) -> None:
    result = run(
        "key", "create", "--name", "ci", "--tenant", "acme", "--label", "agent=research", "--label", "tag.env=prod",
        "--may-set", "task,run,step", "--may-set", "task-type,tag.*", "--role", "read", "--expires", "90d",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    key = result.stdout.removesuffix("\n")
    assert is_key_like(key)
    assert key not in result.stderr
    assert "first key" in result.stderr
    row = found(config.parent, key, 90 * 86_400 - 1)
    assert row is not None
    assert (row.tenant, row.name, row.role) == ("acme", "ci", "read")
    assert dict(row.labels) == {"agent": "research", "tag.env": "prod"}
    assert row.may_set == {"task", "run", "step", "task_type", "tag.*"}
    assert found(config.parent, key, 90 * 86_400) is None


def test_a_key_stands_in_no_file_and_no_later_output(config: Path) -> None:
    """S05, S09"""
    key = create("--name", "ci")
    key_id = json.loads(run("key", "list", "--json").stdout)[0]["id"]
    rotated = run("key", "rotate", key_id).stdout.strip()
    said = "".join(
        run(*words).output
        for words in (
            ("key", "list"),
            ("key", "list", "--json"),
            ("audit",),
            ("audit", "--json"),
            ("key", "revoke", key),
            ("key", "rotate", rotated),
            ("key", "create", "--name", key),
            ("key", "revoke", key_id, "--json"),
            ("doctor",),
        )
    )
    raw = b"".join(file.read_bytes() for file in config.parent.iterdir() if file.is_file())
    for secret in (key, rotated):
        assert secret not in said
        assert secret[7:] not in said
        assert secret.encode() not in raw
        assert secret[7:].encode() not in raw
    db = sqlite3.connect(config.parent / "bursar.db")
    for (body,) in db.execute("SELECT body FROM control"):
        assert json.loads(body)["digest"] not in said
    db.close()


def test_json_holds_the_key_once(config: Path) -> None:
    told = json.loads(run("key", "create", "--name", "ci", "--json").stdout)
    row = found(config.parent, told.pop("key"))
    assert row is not None
    assert told["id"] == row.id
    assert "digest" not in told


def test_a_rotated_key_opens_until_the_overlap_is_over(config: Path) -> None:
    """S07"""
    old = create("--name", "ci")
    old_id = json.loads(run("key", "list", "--json").stdout)[0]["id"]
    result = run("key", "rotate", old_id, "--overlap", "30m")
    new = result.stdout.strip()
    assert is_key_like(new)
    assert old_id in result.stderr
    assert found(config.parent, old, 1_799) is not None
    assert found(config.parent, old, 1_801) is None
    assert found(config.parent, new, 1_801) is not None
    assert "until" in run("key", "list").stdout
    new_id = next(each["id"] for each in json.loads(run("key", "list", "--json").stdout) if each["id"] != old_id)
    assert run("key", "rotate", new_id, "--overlap", "0").exit_code == 0
    assert found(config.parent, new) is None


def test_a_revoked_key_is_dead_and_listed_as_such(config: Path) -> None:
    key = create("--name", "ci")
    key_id = json.loads(run("key", "list", "--json").stdout)[0]["id"]
    assert run("key", "revoke", key_id).exit_code == 0
    assert found(config.parent, key, 1) is None
    assert "revoked" in run("key", "list").stdout
    assert run("key", "list", "--tenant", "rival").stdout.startswith("no key")


def test_without_its_pepper_no_key_is_made_or_rotated(config: Path) -> None:
    create("--name", "ci")
    key_id = json.loads(run("key", "list", "--json").stdout)[0]["id"]
    (config.parent / "bursar.db.pepper").unlink()
    for words in (("key", "create", "--name", "two"), ("key", "rotate", key_id)):
        result = run(*words)
        assert result.exit_code == 2
        assert "restore it" in result.stderr
    assert not (config.parent / "bursar.db.pepper").exists()
    assert run("key", "revoke", key_id).exit_code == 0


def test_a_pepper_of_the_environment_needs_no_file(config: Path) -> None:
    result = run("key", "create", "--name", "ci", env={"BURSAR_PEPPER": "p" * 40})
    assert result.exit_code == 0
    assert not (config.parent / "bursar.db.pepper").exists()
    assert "p" * 40 not in result.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--label", "agent"), "LABEL=VALUE"),
        (("--label", "agent=a", "--label", "agent=b"), "twice"),
        (("--label", "model=x"), "no label that a key can give"),
        (("--may-set", "nonsense"), "no label"),
        (("--label", "team=x", "--may-set", "all"), "fixed"),
        (("--expires", "soon"), "no time"),
        (("--expires", "2020-01-01"), "expired already"),
        (("--tenant", "a b"), "tenant"),
    ],
)
def test_what_makes_no_sense_is_told_and_makes_no_key(filled: Filled, words: tuple[str, ...], says: str) -> None:
    result = run("key", "create", "--name", "ci", *words)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stdout == ""
    assert filled.ledger.documents() == []


def test_may_set_all_is_every_label_that_a_client_can_set(config: Path) -> None:
    row = found(config.parent, create("--name", "ci", "--may-set", "all"))
    assert row is not None
    assert row.allows("user")
    assert row.allows("tag.anything")
    assert not row.allows("model")


def test_the_actor_is_the_user_of_this_machine_not_what_a_variable_says(config: Path) -> None:
    run("key", "create", "--name", "ci", env={"USER": "mallory", "LOGNAME": "mallory"})
    actor = json.loads(run("audit", "--json").stdout)[0]["actor"]
    assert actor.startswith("local:")
    assert "mallory" not in actor
