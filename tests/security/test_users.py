"""S63: an unknown end user has a budget from the first call on, and made-up users do not grow the ledger for ever."""

from __future__ import annotations

import concurrent.futures
from pathlib import Path

from tests.gateway.house import house, usd

from bursar.core.budget import Budget, Limit, Unit
from bursar.core.labels import OTHER
from bursar.core.window import Window, WindowKind
from bursar.testing import Script

CALL_NANO = 10_000_000
"""Room for one call of 400 tokens, and not for a second one."""


def test_the_first_calls_of_an_unknown_user_are_bounded_together(tmp_path: Path) -> None:
    """Thirty calls at once by one whom nobody has seen: no more is spent than one user's budget."""
    scripts = {"m": Script(output_tokens=300)}
    with house(tmp_path, [usd(4 * CALL_NANO, per=("user",))], scripts=scripts) as home:
        with concurrent.futures.ThreadPoolExecutor(15) as pool:
            asked = [pool.submit(home.ask, user="never seen", max_tokens=300) for _ in range(30)]
            statuses = [each.result().status for each in asked]
        assert 200 in statuses and 402 in statuses
        assert set(statuses) <= {200, 402, 429}
        balance = home.assert_sound()
        assert home.invoice_nano() == balance.settled <= 4 * CALL_NANO


def test_beyond_so_many_users_further_ones_share_one_budget(tmp_path: Path) -> None:
    once = Budget("one", (Limit(Unit.REQUESTS, 1),), Window(WindowKind.TOTAL), per=("user",), values_max=3)
    with house(tmp_path, [once]) as home:
        statuses = [home.ask(user=f"user {number}").status for number in range(8)]
        assert statuses == [200, 200, 200, 200, 402, 402, 402, 402]
        assert home.ask(user="user 0").status == 402
        with home.ledger() as ledger:
            scopes = {row.scope for row in ledger.balances("default")}
        assert scopes == {"user=user 0", "user=user 1", "user=user 2", OTHER}
