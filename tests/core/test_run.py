"""A run's row and limits, beside what every store proves of them in `tests/conformance/test_runs.py`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bursar.core.run import Guard, RunAsk, RunLimit, RunLimitSet, RunRow, RunState, admit_run
from bursar.core.window import NS

BEGAN_NS = 1_000 * NS
FEW = st.integers(0, 4)
LIMITS = st.lists(st.builds(RunLimit, st.sampled_from(Guard), FEW, st.booleans()), max_size=5)
ROWS = st.builds(
    RunRow,
    st.just("default"),
    st.just("r"),
    st.just(BEGAN_NS),
    state=st.just(RunState.RUNNING),
    steps=FEW,
    tool_calls=FEW,
    in_flight=FEW,
    depth=FEW,
    extras=st.dictionaries(st.sampled_from(Guard), st.integers(0, 2), max_size=2),
)


def test_a_row_with_other_counts_is_the_same_in_all_else() -> None:
    row = RunRow._make(range(len(RunRow._fields)))._replace(state=RunState.PARKED, extras={Guard.STEPS: 3})
    expected = row._replace(steps=201, tool_calls=202, in_flight=203, last_ns=204)
    assert row.counting(201, 202, 203, 204) == expected != row


@given(row=ROWS, limits=LIMITS, turns=FEW, tool_calls=FEW, age_ns=st.integers(-2 * NS, 5 * NS))
def test_a_call_enters_where_no_limit_is_passed_and_only_there(
    row: RunRow, limits: list[RunLimit], turns: int, tool_calls: int, age_ns: int
) -> None:
    figures = {
        Guard.STEPS: max(row.steps, turns),
        Guard.TOOL_CALLS: max(row.tool_calls, tool_calls),
        Guard.SECONDS: max(0, age_ns) // NS,
        Guard.PARALLEL: row.in_flight,
        Guard.DEPTH: row.depth - 1,  # A run may be as deep as its limit.
    }
    passed = {
        each.guard
        for each in limits
        if each.guard in figures and figures[each.guard] >= each.most + row.extras.get(each.guard, 0)
    }
    for asked in (tuple(limits), RunLimitSet(limits)):
        entry = admit_run(RunAsk("r", asked, turns=turns, tool_calls=tool_calls), "default", BEGAN_NS + age_ns, row, ())
        if entry.denial is None:
            assert not passed
            assert entry.row == row._replace(
                steps=figures[Guard.STEPS] + 1, tool_calls=figures[Guard.TOOL_CALLS], in_flight=row.in_flight + 1
            )
        else:
            assert entry.denial.guard in passed


@given(row=ROWS, limits=LIMITS)
def test_a_run_ends_with_the_least_of_its_seconds_and_what_was_granted(row: RunRow, limits: list[RunLimit]) -> None:
    seconds = [row.most_of(each) for each in limits if each.guard is Guard.SECONDS]
    expected = BEGAN_NS + min(seconds) * NS if seconds else None
    assert row.ends_ns(tuple(limits)) == row.ends_ns(RunLimitSet(limits)) == expected
