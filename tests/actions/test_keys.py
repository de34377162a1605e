"""Keys are made, rotated and revoked; nobody gives more than they have; no key stands anywhere (S05, S07, S09, S37)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from bursar.actions.acting import By
from bursar.actions.control import state_of
from bursar.actions.keys import KeyWish, create_key, list_keys, revoke_key, rotate_key
from bursar.core.control import Change, Document, KeyRow, Kind, Role
from bursar.core.window import NS
from bursar.errors import BursarError, Forbidden, HoldConflict, NotFound, UsageError
from bursar.identity.keys import Keyring, mint
from bursar.testing.clock import START_NS

PEPPER = b"p" * 32
OPERATOR = By("operator", START_NS)
HOUR_NS = 3_600 * NS
Store = Any


def make(ledger: Store, by: By = OPERATOR, **wish: Any) -> tuple[KeyRow, str]:
    return create_key(ledger, PEPPER, KeyWish(**{"tenant": "acme", "name": "one", **wish}), by)


def find(ledger: Store, key: str, at_ns: int) -> KeyRow | None:
    return Keyring(state_of(ledger).keys, PEPPER).find(key, at_ns)


def test_a_key_is_found_with_all_that_it_was_given(ledger: Store) -> None:
    row, key = make(
        ledger,
        role=Role.ADMIN,
        labels={"team": "x", "tag.env": "prod"},
        may_set=frozenset({"run", "tag.*"}),
        expires_ns=START_NS + 9,
    )
    assert find(ledger, key, START_NS + 1) == row
    assert find(ledger, key, START_NS + 9) is None
    assert (row.tenant, row.name, row.role, dict(row.labels)) == (
        "acme",
        "one",
        Role.ADMIN,
        {"team": "x", "tag.env": "prod"},
    )
    assert row.allows("run")
    assert row.allows("tag.anything")
    assert not row.allows("user")
    assert list_keys(ledger, "acme") == list_keys(ledger, None) == (row,)
    assert list_keys(ledger, "rival") == ()


def test_a_key_stands_nowhere_and_its_digest_only_where_it_is_looked_up(ledger: Store) -> None:
    """S05, S09: not in a list, the audit log or what is shown; of the whole key no document holds a part."""
    row, key = make(ledger)
    new, rotated = rotate_key(ledger, PEPPER, None, row.id, 60, By("operator", START_NS + 1))
    revoke_key(ledger, None, new.id, By("operator", START_NS + 2))
    told = repr([ledger.documents(), ledger.audit(None, 99), list_keys(ledger, None), state_of(ledger)])
    shown = repr([ledger.audit(None, 99), [each.shown for each in ledger.documents()], list_keys(ledger, None)])
    for secret in (key, rotated):
        assert secret not in told
        assert secret[7:20] not in told
    for each in (row, new):
        assert each.digest not in shown
        assert sum(each.digest in document.body for document in ledger.documents()) == 1


def test_no_error_repeats_a_key(ledger: Store) -> None:
    """S09: people paste the key where its id belongs."""
    _, key = make(ledger)
    acts: list[Callable[[], object]] = [
        partial(revoke_key, ledger, None, key, OPERATOR),
        partial(rotate_key, ledger, PEPPER, None, key, 60, OPERATOR),
        partial(make, ledger, name=key),
        partial(make, ledger, name="two", labels={"agent": key}),
    ]
    for act in acts:
        with pytest.raises(UsageError) as caught:
            act()
        assert key not in caught.value.message


def test_both_keys_open_in_the_overlap_and_the_old_one_is_dead_after_it(ledger: Store) -> None:
    """S07"""
    old, old_key = make(ledger, labels={"team": "x"}, may_set=frozenset({"run"}))
    new, new_key = rotate_key(ledger, PEPPER, "acme", old.id, 3_600, By("operator", START_NS + 5))
    assert old_key != new_key
    assert (new.name, new.labels, new.may_set, new.role) == (old.name, old.labels, old.may_set, old.role)
    for key in (old_key, new_key):
        assert find(ledger, key, START_NS + 4 + HOUR_NS) is not None
    assert find(ledger, old_key, START_NS + 5 + HOUR_NS) is None
    assert find(ledger, new_key, START_NS + 5 + HOUR_NS) == new
    assert [(each.action, each.name) for each in ledger.audit(None, 9)] == [
        ("key rotate", old.id),
        ("key rotate", new.id),
        ("key create", old.id),
    ]


def test_without_overlap_the_old_key_ends_at_once(ledger: Store) -> None:
    old, old_key = make(ledger)
    _, new_key = rotate_key(ledger, PEPPER, None, old.id, 0, OPERATOR)
    assert find(ledger, old_key, START_NS) is None
    assert find(ledger, new_key, START_NS) is not None


def test_a_rotated_key_is_not_rotated_again_and_can_be_ended_at_once(ledger: Store) -> None:
    old, old_key = make(ledger)
    rotate_key(ledger, PEPPER, None, old.id, 3_600, OPERATOR)
    with pytest.raises(HoldConflict, match="rotated already"):
        rotate_key(ledger, PEPPER, None, old.id, 7_200, OPERATOR)
    revoke_key(ledger, None, old.id, By("operator", START_NS + 1))
    assert find(ledger, old_key, START_NS + 1) is None


def test_a_revoked_key_is_dead_stays_so_and_is_revoked_once(ledger: Store) -> None:
    row, key = make(ledger)
    revoked = revoke_key(ledger, "acme", row.id, OPERATOR)
    assert find(ledger, key, START_NS) is None
    assert revoke_key(ledger, None, row.id, By("operator", START_NS + 99)) == revoked
    assert len(ledger.audit(None, 9)) == 2
    with pytest.raises(HoldConflict, match="not in force"):
        rotate_key(ledger, PEPPER, None, row.id, 60, By("operator", START_NS + 1))
    assert find(ledger, key, START_NS + 2) is None


class Meddled:
    """A ledger in which somebody revokes a key after it was read and before it is changed."""

    def __init__(self, ledger: Store, key_id: str) -> None:
        self.ledger, self.key_id = ledger, key_id

    def control_version(self) -> int:
        return int(self.ledger.control_version())

    def documents(self, kind: Kind | None = None) -> list[Document]:
        found = list(self.ledger.documents(kind))
        key_id, self.key_id = self.key_id, ""
        if key_id:
            revoke_key(self.ledger, None, key_id, OPERATOR)
        return found

    def change(self, changes: Sequence[Change], seen: int | None = None) -> int:
        return int(self.ledger.change(changes, seen))


def test_a_rotation_never_brings_back_a_key_that_is_revoked_meanwhile(ledger: Store) -> None:
    row, key = make(ledger)
    with pytest.raises(HoldConflict, match="not in force"):
        rotate_key(Meddled(ledger, row.id), PEPPER, None, row.id, 3_600, OPERATOR)
    assert find(ledger, key, START_NS) is None
    assert len(list_keys(ledger, None)) == 1


def test_two_keys_in_force_of_one_tenant_have_different_names(ledger: Store) -> None:
    row, _ = make(ledger)
    with pytest.raises(HoldConflict, match="Choose another name"):
        make(ledger)
    make(ledger, tenant="rival")
    revoke_key(ledger, None, row.id, OPERATOR)
    make(ledger)


@pytest.mark.parametrize(
    "wish",
    [
        {"tenant": "a b"},
        {"tenant": "*"},
        {"tenant": ""},
        {"name": ""},
        {"name": "x\n"},
        {"name": " x"},
        {"name": "x" * 65},
        {"name": "(none)"},
        {"labels": {"key": "x"}},
        {"labels": {"model": "gpt-5"}},
        {"labels": {"nonsense": "x"}},
        {"labels": {"tag.": "x"}},
        {"labels": {"tag.*": "x"}},
        {"labels": {"team": ""}},
        {"labels": {"team": "(other)"}},
        {"labels": {"team": "x" * 129}},
        {"may_set": frozenset({"provider"})},
        {"may_set": frozenset({"*"})},
        {"may_set": frozenset({"team"}), "labels": {"team": "x"}},
        {"expires_ns": START_NS},
        {"expires_ns": -1},
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(ledger: Store, wish: dict[str, Any]) -> None:
    """S61"""
    with pytest.raises(UsageError):
        make(ledger, **wish)
    assert ledger.control_version() == 0


@pytest.mark.parametrize("key_id", ["", "../x", "a b", "x\0", "ä", "'; --", "x" * 65])
def test_an_odd_id_is_refused_and_an_unknown_one_not_found(ledger: Store, key_id: str) -> None:
    """S61"""
    with pytest.raises(UsageError):
        revoke_key(ledger, None, key_id, OPERATOR)
    with pytest.raises(NotFound):
        revoke_key(ledger, None, "0" * 26, OPERATOR)


def test_what_another_tenant_has_is_as_what_nobody_has(ledger: Store) -> None:
    """P8"""
    row, _ = make(ledger, tenant="rival")
    messages = []
    for unseen in (row.id, "0" * 26):
        with pytest.raises(NotFound) as caught:
            revoke_key(ledger, "acme", unseen, OPERATOR)
        messages.append(caught.value.message.replace(unseen, "ID"))
    assert messages[0] == messages[1]


GRANTOR: dict[str, Any] = {
    "name": "boss",
    "role": Role.ADMIN,
    "labels": {"team": "x"},
    "may_set": frozenset({"run", "step", "tag.*"}),
    "expires_ns": START_NS + HOUR_NS,
}
FITTING: dict[str, Any] = {"labels": {"team": "x"}, "expires_ns": START_NS + HOUR_NS}


def grantor(ledger: Store, **other: Any) -> By:
    return By.key(make(ledger, **{**GRANTOR, **other})[0], START_NS)


@pytest.mark.parametrize(
    "wish",
    [
        FITTING,
        {**FITTING, "may_set": frozenset({"run", "tag.env", "tag.*"})},
        {**FITTING, "labels": {"team": "x", "run": "7", "tag.env": "prod"}},
        {**FITTING, "role": Role.ADMIN},
        {**FITTING, "expires_ns": START_NS + 1},
    ],
)
def test_a_key_gives_what_it_has(ledger: Store, wish: dict[str, Any]) -> None:
    by = grantor(ledger)
    row, key = make(ledger, by, **wish)
    assert find(ledger, key, START_NS) == row
    assert ledger.audit(None, 1)[0].actor == by.actor


@pytest.mark.parametrize(
    "wish",
    [
        {**FITTING, "tenant": "rival"},
        {"expires_ns": START_NS + HOUR_NS},
        {**FITTING, "labels": {"team": "y"}},
        {**FITTING, "labels": {"team": "x", "user": "ada"}},
        {**FITTING, "may_set": frozenset({"user"})},
        {**FITTING, "may_set": frozenset({"run", "task"})},
        {"labels": {"team": "x"}},
        {**FITTING, "expires_ns": START_NS + HOUR_NS + 1},
    ],
)
def test_a_key_gives_no_more_than_it_has(ledger: Store, wish: dict[str, Any]) -> None:
    """S37"""
    by = grantor(ledger)
    with pytest.raises(Forbidden):
        make(ledger, by, **wish)
    assert len(list_keys(ledger, None)) == 1


@pytest.mark.parametrize("role", [Role.CALL, Role.READ])
def test_only_a_key_with_the_role_admin_makes_or_ends_keys(ledger: Store, role: Role) -> None:
    """S37"""
    other, _ = make(ledger)
    by = grantor(ledger, role=role)
    acts: list[Callable[[], object]] = [
        partial(make, ledger, by, **{**FITTING, "name": "two"}),
        partial(rotate_key, ledger, PEPPER, "acme", other.id, 60, by),
        partial(revoke_key, ledger, "acme", other.id, by),
    ]
    for act in acts:
        with pytest.raises(Forbidden):
            act()


def test_a_key_that_has_ended_makes_none(ledger: Store) -> None:
    by = grantor(ledger)
    assert by.grantor is not None
    for over in (replace(by, at_ns=START_NS + HOUR_NS), replace(by, grantor=replace(by.grantor, revoked_ns=START_NS))):
        with pytest.raises(BursarError):
            make(ledger, over, **{**FITTING, "expires_ns": START_NS + 2 * HOUR_NS})


def test_a_key_does_not_get_a_wider_one_by_rotating_it(ledger: Store) -> None:
    """S37: a rotation hands out a key, too."""
    wide, _ = make(ledger, name="wide", may_set=frozenset({"user"}))
    by = grantor(ledger)
    with pytest.raises(Forbidden):
        rotate_key(ledger, PEPPER, "acme", wide.id, 60, by)
    narrow, _ = make(ledger, **{**FITTING, "name": "narrow"})
    rotate_key(ledger, PEPPER, "acme", narrow.id, 60, by)


def test_a_key_in_its_overlap_makes_none_that_outlive_it(ledger: Store) -> None:
    row, _ = make(ledger, **{**GRANTOR, "expires_ns": 0, "labels": {}})
    rotate_key(ledger, PEPPER, None, row.id, 60, OPERATOR)
    (ending,) = [each for each in list_keys(ledger, None) if each.id == row.id]
    with pytest.raises(Forbidden, match="end no later"):
        make(ledger, By.key(ending, START_NS))


def test_a_broken_key_is_told_and_opens_nothing(ledger: Store) -> None:
    row, key = make(ledger)
    (document,) = ledger.documents()
    for broken in ("{}", "[]", "nonsense", json.dumps({**json.loads(document.body), "role": "root"})):
        ledger.change([Change(Kind.KEY, "acme", row.id, broken, "{}", "by hand", "x", 1)])
        state = state_of(ledger)
        assert state.keys == ()
        assert len(state.problems) == 1
        assert row.id in state.problems[0]
        assert row.digest not in state.problems[0]
        assert find(ledger, key, START_NS) is None


def test_what_keys_one_tenant_has_keeps_nobody_else_from_making_theirs(
    ledger: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bursar.actions.keys.KEYS_MAX", 2)
    boss, _ = make(ledger, role=Role.ADMIN, name="boss")
    by = By.key(boss, START_NS + 1)
    second, _ = make(ledger, by, name="second")
    with pytest.raises(HoldConflict):
        make(ledger, by, name="third")
    with pytest.raises(HoldConflict):
        rotate_key(ledger, PEPPER, "acme", second.id, 60, by)
    make(ledger, tenant="rival", name="theirs")
    make(ledger, name="operators")
    rotate_key(ledger, PEPPER, "acme", second.id, 60, By("operator", START_NS + 1))


def test_a_key_is_neither_the_name_nor_a_label_of_another(ledger: Store) -> None:
    """S05"""
    key = mint()
    for wish in ({"name": key}, {"name": f"of {key}"}, {"labels": {"agent": key}}, {"labels": {"agent": f"x-{key}"}}):
        with pytest.raises(UsageError) as caught:
            make(ledger, **wish)
        assert key not in caught.value.message
    assert ledger.control_version() == 0
