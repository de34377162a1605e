"""What is set while bursar runs: all or none, one audit row a change, versions without gaps (S05 to S09, S37)."""

from __future__ import annotations

import pytest
from tests.conformance.kit import Ledger

from bursar.core.control import AuditRow, Change, Condition, Document, Kind
from bursar.errors import HoldConflict, NotFound


def change(
    name: str = "b",
    body: str | None = "{}",
    *,
    tenant: str = "default",
    kind: Kind = Kind.BUDGET,
    shown: str = "",
    condition: Condition = Condition.ANY,
    at_ns: int = 7,
) -> Change:
    return Change(kind, tenant, name, body, shown, "set", "operator", at_ns, condition)


def test_a_document_is_read_as_it_was_set_and_its_change_is_remembered(ledger: Ledger) -> None:
    assert (ledger.control_version(), ledger.documents(), ledger.audit(None, 10)) == (0, [], [])
    assert ledger.change([change(body='{"ä":"\\u0000"}', shown='{"ä":1}')]) == 1
    assert ledger.documents() == [Document(Kind.BUDGET, "default", "b", '{"ä":"\\u0000"}', '{"ä":1}', 7)]
    assert ledger.audit(None, 10) == [AuditRow(1, 7, "default", "operator", "set", Kind.BUDGET, "b", "", '{"ä":1}')]
    assert ledger.control_version() == 1


def test_a_change_remembers_what_was_shown_before_it_also_within_one_act(ledger: Ledger) -> None:
    ledger.change([change(shown="one"), change(shown="two", at_ns=8), change(body=None, at_ns=9)])
    assert [(row.seq, row.before, row.after) for row in ledger.audit(None, 10)] == [
        (3, "two", ""),
        (2, "one", "two"),
        (1, "", "one"),
    ]
    assert ledger.documents() == []


def test_what_was_never_there_can_be_removed_and_the_act_is_recorded(ledger: Ledger) -> None:
    assert ledger.change([change(body=None)]) == 1
    assert [(row.before, row.after) for row in ledger.audit(None, 10)] == [("", "")]


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (change("b", condition=Condition.NEW), HoldConflict),
        (change("a", condition=Condition.NEW), HoldConflict),
        (change("nobody", condition=Condition.EXISTS), NotFound),
        (change("b", tenant="rival", condition=Condition.EXISTS), NotFound),
    ],
)
def test_all_changes_are_made_or_none(ledger: Ledger, last: Change, error: type[Exception]) -> None:
    ledger.change([change("b", shown="before")])
    with pytest.raises(error):
        ledger.change([change("a", shown="new"), change("b", shown="after"), last])
    assert [(each.name, each.shown) for each in ledger.documents()] == [("b", "before")]
    assert len(ledger.audit(None, 10)) == ledger.control_version() == 1


def test_conditions_look_at_what_the_same_act_has_done_before(ledger: Ledger) -> None:
    ledger.change([change(body=None), change(condition=Condition.NEW), change(condition=Condition.EXISTS)])
    with pytest.raises(NotFound):
        ledger.change([change(body=None), change(condition=Condition.EXISTS)])
    assert len(ledger.documents()) == 1


def test_nothing_is_done_on_what_has_changed_since_it_was_seen(ledger: Ledger) -> None:
    assert ledger.change([change("a")], seen=0) == 1
    assert ledger.change([change("b")], seen=0) == 0
    assert ledger.change([change("b")], seen=2) == 0
    assert [each.name for each in ledger.documents()] == ["a"]
    assert ledger.change([change("b")], seen=1) == 2
    assert ledger.change([], seen=2) == ledger.change([]) == 2


def test_documents_are_told_apart_by_kind_tenant_and_name(ledger: Ledger) -> None:
    places = [(Kind.BUDGET, "a", "x"), (Kind.BUDGET, "a", "y"), (Kind.BUDGET, "b", "x"), (Kind.KEY, "a", "x")]
    ledger.change(
        [change(name, f'"{index}"', kind=kind, tenant=whose) for index, (kind, whose, name) in enumerate(places)]
    )
    assert [(each.kind, each.tenant, each.name, each.body) for each in ledger.documents()] == [
        (*place, f'"{index}"') for index, place in enumerate(places)
    ]
    assert [each.kind for each in ledger.documents(Kind.KEY)] == [Kind.KEY]
    assert ledger.documents(Kind.PAUSE) == []
    ledger.change([change("x", None, tenant="a")])
    assert [(each.kind, each.tenant, each.name) for each in ledger.documents()] == places[1:]


def test_the_audit_log_is_read_page_by_page_and_each_tenant_its_own(ledger: Ledger) -> None:
    """P8"""
    for number in range(6):
        ledger.change([change(f"n{number}", tenant="a" if number % 2 else "b")])
    assert [row.seq for row in ledger.audit(None, 4)] == [6, 5, 4, 3]
    assert [row.seq for row in ledger.audit(None, 4, 3)] == [2, 1]
    assert [row.name for row in ledger.audit("a", 2)] == ["n5", "n3"]
    assert [row.name for row in ledger.audit("a", 2, 4)] == ["n1"]
    assert ledger.audit("nobody", 9) == []
    assert ledger.audit(None, 9, 1) == []
    assert ledger.audit(None, 0) == []


def test_texts_are_values_and_never_part_of_a_statement(ledger: Ledger) -> None:
    """S04"""
    odd = "x'; DROP TABLE control; --"
    ledger.change([change(odd, f'"{odd}"', tenant=odd, shown=odd)])
    ledger.change([change(odd, None, tenant=odd)])
    assert ledger.documents() == []
    assert [(row.tenant, row.name, row.before) for row in ledger.audit(odd, 9)] == [(odd, odd, odd), (odd, odd, "")]


def test_the_ledger_of_calls_is_not_touched(ledger: Ledger) -> None:
    ledger.change([change()])
    assert ledger.latest_ns() == 0
    assert ledger.balances("default") == []
    assert ledger.verify() == []
