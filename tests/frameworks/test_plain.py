"""With no adapter at all the money is right: only the labels are poorer."""

from __future__ import annotations

import pytest
from tests.frameworks.rig import Stage

from bursar.core.hold import State

pytestmark = pytest.mark.slow


def test_without_an_adapter_no_framework_spends_more_than_its_budget(stage: Stage) -> None:
    stage.script(output_tokens=stage.framework.dear_tokens, tool_calls=None)
    told = stage.run_plain()
    assert told.exit_code != 0, "the block ends with the refusal"
    # Google's SDK has an error of its own, which says it in its own way.
    assert "BudgetExceeded" in told.err or "BUDGET_EXCEEDED" in told.err
    rows = [row for row in stage.holds() if row.state is State.SETTLED]
    assert 3 <= len(rows) == len(stage.billed) <= 4
    assert sum(row.settled.cost_nano for row in rows) == stage.billed_nano() <= stage.framework.limit_nano
