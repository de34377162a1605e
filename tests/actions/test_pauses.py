"""Calls are paused and resumed; what the operator paused no key lets go on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bursar.actions.acting import By
from bursar.actions.audit import audit_since
from bursar.actions.control import state_of
from bursar.actions.pauses import PauseWish, list_pauses, pause, resume, resume_all
from bursar.core.control import KeyRow, Role
from bursar.core.labels import Labels
from bursar.errors import Forbidden, HoldConflict, NotFound, UsageError
from bursar.identity.keys import mint
from bursar.testing.clock import START_NS

Store = Any
OPERATOR = By("operator", START_NS)
ADMIN = By.key(KeyRow("k", "acme", "boss", Role.ADMIN, "d", "hint", {}, frozenset(), 1), START_NS)


def test_a_pause_stops_what_matches_until_it_is_resumed(ledger: Store) -> None:
    made = pause(ledger, PauseWish("acme", {"agent": ["bad*", "worse"], "team": "x"}, " it loops "), OPERATOR)
    assert state_of(ledger).pauses == list_pauses(ledger, None) == (made,)
    assert made.reason == "it loops"
    assert made.stops("acme", Labels({"agent": "badly", "team": "x"}))
    assert not made.stops("acme", Labels({"agent": "badly"}))
    assert not made.stops("rival", Labels({"agent": "worse", "team": "x"}))
    resume(ledger, "acme", made.id, OPERATOR)
    assert state_of(ledger).pauses == ()
    with pytest.raises(NotFound):
        resume(ledger, "acme", made.id, OPERATOR)
    assert [row.action for row in ledger.audit("acme", 9)] == ["resume", "pause"]


def test_a_pause_without_a_match_stops_everything(ledger: Store) -> None:
    made = pause(ledger, PauseWish("*"), OPERATOR)
    assert made.stops("acme", Labels({}))
    assert list_pauses(ledger, "acme") == (made,)


@pytest.mark.parametrize(
    "wish",
    [
        PauseWish("a b"),
        PauseWish("acme", {"nobody": "x"}),
        PauseWish("acme", {"agent": []}),
        PauseWish("acme", {"agent": None}),
        PauseWish("acme", reason="x" * 201),
        PauseWish("acme", reason="x\n"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(ledger: Store, wish: PauseWish) -> None:
    with pytest.raises(UsageError):
        pause(ledger, wish, OPERATOR)
    assert ledger.control_version() == 0


def test_a_key_pauses_and_resumes_its_own_tenant_alone(ledger: Store) -> None:
    """S37"""
    by_operator = pause(ledger, PauseWish("acme"), OPERATOR)
    everywhere = pause(ledger, PauseWish("*"), OPERATOR)
    mine = pause(ledger, PauseWish("acme", {"agent": "x"}), ADMIN)
    for tenant in ("rival", "*"):
        with pytest.raises(Forbidden):
            pause(ledger, PauseWish(tenant), ADMIN)
    with pytest.raises(Forbidden):
        resume(ledger, "acme", by_operator.id, ADMIN)
    with pytest.raises(NotFound):
        resume(ledger, "acme", everywhere.id, ADMIN)
    assert resume_all(ledger, "acme", ADMIN) == 1
    assert set(list_pauses(ledger, None)) == {by_operator, everywhere}
    assert mine not in list_pauses(ledger, None)
    assert resume_all(ledger, None, OPERATOR) == 2
    assert resume_all(ledger, None, OPERATOR) == 0


def test_the_audit_log_is_read_from_an_instant_on(ledger: Store) -> None:
    for number in range(9):
        pause(ledger, PauseWish("acme"), replace(OPERATOR, at_ns=START_NS + number))
    assert [row.at_ns for row in audit_since(ledger, None, 99, START_NS + 6)] == [
        START_NS + 8,
        START_NS + 7,
        START_NS + 6,
    ]
    assert len(audit_since(ledger, "acme", 4)) == 4
    assert len(audit_since(ledger, None, 99)) == 9
    assert audit_since(ledger, "rival", 9) == ()


def test_what_one_tenant_has_paused_keeps_nobody_else_from_pausing(
    ledger: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bursar.actions.pauses.PAUSES_MAX", 2)
    for _ in range(2):
        pause(ledger, PauseWish("acme"), ADMIN)
    with pytest.raises(HoldConflict):
        pause(ledger, PauseWish("acme"), ADMIN)
    for tenant in ("rival", "acme", "*"):
        pause(ledger, PauseWish(tenant, {"agent": "x"}), OPERATOR)
    for _ in range(5):
        assert pause(ledger, PauseWish("*"), OPERATOR).stops("rival", Labels({}))
        pause(ledger, PauseWish("acme"), OPERATOR)
    with pytest.raises(HoldConflict):
        pause(ledger, PauseWish("acme", {"agent": "x"}), OPERATOR)


@pytest.mark.parametrize("around", ["{}", "it was {}."])
def test_a_key_is_no_reason(ledger: Store, around: str) -> None:
    """S05: a reason stands in refusals and in the audit log."""
    key = mint()
    for wish in (PauseWish("acme", reason=around.format(key)), PauseWish("acme", {"agent": around.format(key)})):
        with pytest.raises(UsageError) as caught:
            pause(ledger, wish, OPERATOR)
        assert key not in caught.value.message
    assert ledger.control_version() == 0
