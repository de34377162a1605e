"""Any store against the model: whatever is asked of it in whatever order, it answers and counts as the model does."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.conformance.kit import DAY_NS, STORES, call, lines_of
from tests.conformance.model import Call, Model, Place, Want

from bursar.core.admission import Ask, Cover
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.charge import Amounts, Charge
from bursar.core.hold import State, Verb
from bursar.core.ledger import Granted, Refused
from bursar.core.window import Window, WindowKind
from bursar.errors import HoldConflict
from bursar.testing.clock import START_NS

DAY, TOTAL, RUN = Window(WindowKind.DAY), Window(WindowKind.TOTAL), Window(WindowKind.RUN)
LABELS = st.fixed_dictionaries(
    {"user": st.sampled_from(["ada", "bob", "cy"]), "agent": st.sampled_from(["coder", "tester"])},
    optional={"run": st.sampled_from(["r1", "r2"])},
)
COVERS = st.builds(
    Cover,
    st.sampled_from([0, 1, 1500, 30_000]),
    st.sampled_from([0, 700, 1000, 2300]),
    st.sampled_from([0, 3, 10]),
    st.sampled_from([1, 2]),
)


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    at_least = draw(st.integers(0, 12))
    at_most = draw(st.integers(at_least, 60))
    return Ask(at_least, at_most, draw(st.integers(0, at_most)), draw(st.sampled_from([1, 4])))


@st.composite
def configurations(draw: st.DrawFn) -> list[Budget]:
    """Some of six budgets; limits differ from one configuration to the next, and `tier` is redefined at times."""
    limit = st.sampled_from([0, 5, 40, 90, 300])
    users = draw(st.sampled_from([1, 2, 10]))
    pool = [
        Budget("all", (Limit(Unit.USD, draw(limit)), Limit(Unit.REQUESTS, draw(limit))), TOTAL),
        Budget("coders", (Limit(Unit.OUTPUT_TOKENS, draw(limit)),), DAY, match=(("agent", ("cod*",)),)),
        Budget("runs", (Limit(Unit.INPUT_TOKENS, draw(limit)),), RUN),
        Budget("users", (Limit(Unit.TOKENS, draw(limit)),), DAY, per=("user",), values_max=users),
        Budget("tier", (Limit(Unit.USD, draw(limit)),), draw(st.sampled_from([DAY, TOTAL])), per=("agent",)),
        Budget("other", (Limit(Unit.USD, draw(limit)),), TOTAL, tenant="rival"),
    ]
    kept = draw(st.lists(st.booleans(), min_size=len(pool), max_size=len(pool)))
    return [budget for budget, is_in in zip(pool, kept, strict=True) if is_in]


def truth_of(charge: Charge) -> dict[str, int]:
    return {str(unit): charge.amounts.amount(unit) for unit in Unit}


class Machine(RuleBasedStateMachine):
    store = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.ledger: Any = self.stack.enter_context(STORES[self.store](folder))
        self.model = Model()
        self.budgets: list[Budget] = []
        self.now = START_NS
        self.excused: set[Place] = set()
        """Balances that may stand above their limit: the truth was dearer, or a limit was set below what was spent."""
        self.asked: dict[str, Any] = {}

    @initialize(budgets=configurations())
    def begin(self, budgets: list[Budget]) -> None:
        self.define(budgets)

    @rule(budgets=configurations())
    def define(self, budgets: list[Budget]) -> None:
        self.ledger.define(iter(budgets), self.now)
        model, was = self.model, self.model.limits
        model.limits = {(b.tenant, b.identity, str(lim.unit)): lim.amount for b in budgets for lim in b.limits}
        self.budgets = budgets
        for budget in budgets:
            for limit in budget.limits:
                if (budget.tenant, budget.identity, str(limit.unit)) not in was:
                    self.start(budget, limit)
        self.excused |= model.all_places()

    def start(self, budget: Budget, limit: Limit) -> None:
        span = budget.window.span(self.now)
        for known in self.model.calls.values():
            wants = [
                want
                for want in self.wants([budget], known.labels, known.at_ns, known.tenant)
                if want.place.unit == limit.unit
            ]
            is_counted = any(p.identity == budget.identity and p.unit == limit.unit for p in known.places)
            if known.at_ns in span and wants and not is_counted:
                known.places.append(self.model.open(wants[0]))

    def wants(self, budgets: list[Budget], labels: Any, at_ns: int, tenant: str) -> list[Want]:
        return [
            Want(Place(tenant, ln.identity, ln.scope, ln.starts_ns, str(ln.unit)), ln.limit, ln.values_max)
            for ln in lines_of(budgets, labels, at_ns, tenant)
        ]

    @rule(hours=st.sampled_from([0, 1, 11, 30]))
    def time_passes(self, hours: int) -> None:
        self.now += hours * DAY_NS // 24 + 1

    @rule(
        labels=LABELS,
        cover=COVERS,
        ask=asks(),
        tenant=st.sampled_from(["default", "default", "rival"]),
        process=st.sampled_from(["p1", "p2"]),
    )
    def reserve(self, labels: dict[str, str], cover: Cover, ask: Ask, tenant: str, process: str) -> None:
        id_ = f"c{len(self.asked):04}"
        lines = lines_of(self.budgets, labels, self.now, tenant)
        asked = call(
            *lines, id=id_, cover=cover, ask=ask, at_ns=self.now, tenant=tenant, process=process, labels=labels
        )
        self.asked[id_] = asked
        wants = self.wants(self.budgets, labels, self.now, tenant)
        new = Call(
            cover.fixed_pico,
            cover.output_pico,
            cover.input_tokens,
            cover.choices,
            self.now,
            tenant,
            process,
            labels,
            wants,
            [],
            0,
        )
        expected = self.model.admit(new, ask.at_least, ask.at_most, ask.middle, ask.share)
        answer = self.ledger.reserve(asked)
        if expected == "granted":
            self.model.calls[id_] = new
            assert isinstance(answer, Granted)
            assert answer.tokens == new.tokens <= answer.room
            assert [tuple(b) for b in answer.balances] == [self.model.sums(place) for place in new.places]
        else:
            assert isinstance(answer, Refused)
            assert answer.is_exhausted == (expected == "exhausted")

    def open_ids(self) -> list[str]:
        return [id_ for id_, known in self.model.calls.items() if known.state == "open"]

    @precondition(lambda self: self.model.calls)
    @rule(data=st.data())
    def reserve_again(self, data: st.DataObject) -> None:
        id_ = data.draw(st.sampled_from(sorted(self.model.calls)))
        known = self.model.calls[id_]
        if known.state == "open":
            assert self.ledger.reserve(self.asked[id_]).tokens == known.tokens
        else:
            with pytest.raises(HoldConflict):
                self.ledger.reserve(self.asked[id_])

    @precondition(lambda self: self.model.calls)
    @rule(data=st.data(), more=st.integers(-3, 30), further=st.integers(0, 40), attempts=st.integers(1, 3))
    def extend(self, data: st.DataObject, more: int, further: int, attempts: int) -> None:
        id_ = data.draw(st.sampled_from(self.open_ids() or sorted(self.model.calls)))
        known = self.model.calls[id_]
        at_least = max(0, known.tokens + more)
        expected = self.model.extend(id_, at_least, at_least + further, attempts)
        answer = self.ledger.extend(self.asked[id_], at_least, at_least + further, attempts)
        assert (answer.is_granted, answer.tokens) == (expected, known.tokens)

    @precondition(lambda self: self.model.calls)
    @rule(
        data=st.data(),
        verb=st.sampled_from(["settle", "settle", "release", "presume", "correct"]),
        cost=st.sampled_from([0, 7, 80]),
        tokens=st.sampled_from([0, 5, 70]),
    )
    def close(self, data: st.DataObject, verb: str, cost: int, tokens: int) -> None:
        id_ = data.draw(st.sampled_from(data.draw(st.sampled_from([self.open_ids(), []])) or sorted(self.model.calls)))
        known = self.model.calls[id_]
        is_charged = verb in ("settle", "correct")
        charge = Charge(Amounts(cost, tokens, 0, 0, tokens // 2, 0, known.attempts)) if is_charged else None
        before = known.state
        taken = {place: known.takes(place.unit) for place in known.places}
        expected = self.model.close(id_, verb, truth_of(charge) if charge else None)
        if expected == "conflict":
            with pytest.raises(HoldConflict):
                self.ledger.close(id_, Verb(verb), self.now, charge)
            return
        closed = self.ledger.close(id_, Verb(verb), self.now, charge)
        assert closed.is_change == (expected == "changed")
        assert closed.state.name.lower() == known.state
        assert [tuple(b) for b in closed.balances] == [self.model.sums(place) for place in known.places]
        if known.state == "settled":
            is_truth_anew = before in ("settled", "released")
            self.excused |= {p for p in known.places if is_truth_anew or known.truth[p.unit] > taken[p]}

    @rule(process=st.sampled_from(["p1", "p2", "p3"]))
    def beat(self, process: str) -> None:
        self.ledger.beat(process, self.now)

    @rule(process=st.sampled_from(["p1", "p2"]))
    def lapse(self, process: str) -> None:
        mine = [id_ for id_ in self.open_ids() if self.model.calls[id_].process == process]
        assert self.ledger.lapse(process, self.now) == len(mine)
        for id_ in mine:
            self.model.close(id_, "presume", None)
        assert process not in [row.id for row in self.ledger.processes()]

    @invariant()
    def balances_equal_the_model(self) -> None:
        rows = [(tenant, row) for tenant in ("default", "rival") for row in self.ledger.balances(tenant)]
        kept = {
            Place(tenant, row.identity, row.scope, row.starts_ns, str(row.unit)): tuple(row.balance)
            for tenant, row in rows
        }
        assert kept == {place: self.model.sums(place) for place in self.model.all_places()}

    @invariant()
    def balances_equal_the_fold(self) -> None:
        assert self.ledger.verify() == []

    @invariant()
    def no_limit_is_passed(self) -> None:
        for tenant in ("default", "rival"):
            for row in self.ledger.balances(tenant):
                place = Place(tenant, row.identity, row.scope, row.starts_ns, str(row.unit))
                limit = self.model.limits.get((tenant, row.identity, str(row.unit)))
                if limit is not None and place not in self.excused:
                    assert sum(row.balance) <= limit, "P1"

    def teardown(self) -> None:
        for process in ("p1", "p2"):
            self.ledger.lapse(process, self.now)
        for tenant in ("default", "rival"):
            assert all(row.balance.held == 0 for row in self.ledger.balances(tenant)), "P4"
            assert self.ledger.holds(tenant, (State.OPEN,), 10) == []
        self.stack.close()


EXAMPLES = {
    "memory": 100,
    "sqlite": 100,
    "threaded-sqlite": 30,
    "inline-sqlite": 20,
    "joined-sqlite": 20,
    "direct-memory": 20,
}


def run_machine(store: str, examples: int) -> None:
    kind = type(f"Machine_{store}", (Machine,), {"store": store})
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.parametrize("store", STORES)
def test_a_store_is_what_the_model_is(store: str) -> None:
    run_machine(store, EXAMPLES[store])


@pytest.mark.slow
@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_store_is_what_the_model_is_at_length(store: str) -> None:
    run_machine(store, 300)
