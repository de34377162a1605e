"""A run's row, beside what every store proves of it in `tests/conformance/test_runs.py`."""

from __future__ import annotations

from bursar.core.run import Guard, RunRow, RunState


def test_a_row_with_other_counts_is_the_same_in_all_else() -> None:
    row = RunRow._make(range(len(RunRow._fields)))._replace(state=RunState.PARKED, extras={Guard.STEPS: 3})
    expected = row._replace(steps=201, tool_calls=202, in_flight=203, last_ns=204)
    assert row.counting(201, 202, 203, 204) == expected != row
