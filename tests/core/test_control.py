"""The shapes of what is set: when a key is live, what a pause stops, what a top-up counts for, what names a tenant."""

from __future__ import annotations

import pytest

from bursar.core.budget import LIMIT_MAX, Limit, Unit
from bursar.core.control import EVERY_TENANT, KeyRow, Pause, Role, TopUp, is_tenant, raised
from bursar.core.labels import Labels


def key(expires_ns: int = 0, revoked_ns: int = 0, may_set: frozenset[str] = frozenset()) -> KeyRow:
    return KeyRow("k", "acme", "n", Role.CALL, "d" * 64, "hint", {}, may_set, 1, expires_ns, revoked_ns)


def test_a_key_is_live_until_the_first_of_its_ends() -> None:
    assert key().is_live(10**30)
    assert [key(10, 20).is_live(at) for at in (9, 10)] == [True, False]
    assert [key(20, 10).is_live(at) for at in (9, 10)] == [True, False]


def test_a_key_lets_set_what_it_names_and_every_tag_only_where_it_says_so() -> None:
    named = key(may_set=frozenset({"run", "tag.env"}))
    assert [named.allows(label) for label in ("run", "tag.env", "tag.other", "user")] == [True, True, False, False]
    tags = key(may_set=frozenset({"tag.*"}))
    assert [tags.allows(label) for label in ("tag.any", "run", "tagged")] == [True, False, False]


@pytest.mark.parametrize(
    ("tenant", "labels", "is_stopped"),
    [
        ("acme", {"agent": "bad-1", "team": "x"}, True),
        ("acme", {"agent": "good", "team": "x"}, False),
        ("acme", {"agent": "bad-1"}, False),
        ("rival", {"agent": "bad-1", "team": "x"}, False),
    ],
)
def test_a_pause_stops_what_matches_all_of_it(tenant: str, labels: dict[str, str], is_stopped: bool) -> None:
    pause = Pause("p", "acme", (("agent", ("bad*", "worse")), ("team", ("x",))), "", "operator", 1)
    assert pause.stops(tenant, Labels(labels)) is is_stopped


def test_a_pause_for_all_stops_everything() -> None:
    assert Pause("p", EVERY_TENANT, (), "", "operator", 1).stops("anybody", Labels({}))


@pytest.mark.parametrize("name", ["a", "A9", "acme-corp_1.eu", "x" * 64])
def test_a_tenant_has_a_plain_name(name: str) -> None:
    assert is_tenant(name)


@pytest.mark.parametrize("name", ["", "*", ".", "-a", "a b", "a/b", "a\n", "é", "x" * 65, "a\0", "../a"])
def test_what_is_no_plain_name_names_no_tenant(name: str) -> None:
    assert not is_tenant(name)


def test_top_ups_add_up_for_their_line_and_never_pass_the_largest_limit() -> None:
    def more(amount: int, scope: str = "", unit: Unit = Unit.TOKENS) -> TopUp:
        return TopUp("t", "acme", "id", "b", scope, 5, Limit(unit, amount))

    limit = Limit(Unit.TOKENS, 100)
    given = [more(1), more(2, "user=ada"), more(4, "user=bob"), more(8, unit=Unit.REQUESTS)]
    assert raised(limit, given, "id", "user=ada", 5).amount == 103
    assert raised(limit, given, "id", "user=cy", 5).amount == 101
    assert raised(limit, given, "id", "user=ada", 6) == raised(limit, given, "other", "user=ada", 5) == limit
    most = LIMIT_MAX[Unit.TOKENS]
    assert raised(limit, [more(most), more(most)], "id", "", 5).amount == most
