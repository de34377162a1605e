"""A gateway with keys of two tenants and some calls, and ways to ask its admin API."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.gateway.house import Got, House, house, until, usd
from tests.gateway.keyed import SECRET, bearer, give_key
from tests.guards.kit import only

from bursar.config.settings import KeyPolicy
from bursar.core.budget import Budget
from bursar.core.control import EVERY_TENANT, Role

PREFIX = "/bursar/v1"
SOON_S = 10.0


@dataclass
class Office:
    """A house whose admin API is asked."""

    home: House
    tokens: dict[str, str] = field(default_factory=dict)
    """`operator`, and keys by `tenant role`."""
    ids: dict[str, str] = field(default_factory=dict)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        who: str = "operator",
        headers: Mapping[str, str] | None = None,
    ) -> Got:
        """Ask as one of the callers; `nobody` sends no key."""
        sent: dict[str, str] = bearer(self.tokens[who]) if who != "nobody" else {}
        raw = b""
        if body is not None:
            raw, sent["content-type"] = json.dumps(body).encode(), "application/json"
        return self.home.send(method, PREFIX + path, raw, {**sent, **(headers or {})})

    def get(self, path: str, who: str = "operator") -> Any:
        """Read what must be there."""
        got = self.ask("GET", path, who=who)
        assert got.status == 200, got.body
        return got.json


@contextlib.contextmanager
def office(path: Path, *, keyed: bool = True, **more: Any) -> Iterator[Office]:
    """Open an office. With keys: `acme` and `rival` have one of each role, and a call each."""
    budgets: list[Budget] = more.pop("budgets", [usd(tenant=EVERY_TENANT, link="https://bursar.example/more")])
    more.setdefault("guards", only(steps="1000"))  # so that the ledger has the row of each run
    if keyed:
        more |= {"keys": KeyPolicy.REQUIRED, "admin_secret": SECRET}
    with house(path, budgets, **more) as home:
        made = Office(home, {"operator": SECRET if keyed else "none"})
        if keyed:
            for tenant in ("acme", "rival"):
                _settle_in(made, tenant)
        yield made


def _settle_in(made: Office, tenant: str) -> None:
    for role in Role:
        row, made.tokens[f"{tenant} {role}"] = give_key(
            made.home, tenant=tenant, name=f"{role} key", role=role, may_set=["agent", "run", "user"]
        )
        made.ids[f"{tenant} {role}"] = row.id
    caller = bearer(made.tokens[f"{tenant} call"])
    until(lambda: made.ask("GET", "/me", who=f"{tenant} admin").status == 200, SOON_S)
    labels = {"x-bursar-agent": f"agent-of-{tenant}", "x-bursar-run": f"run-of-{tenant}"}
    got = made.home.ask(headers={**caller, **labels})
    assert got.status == 200, got.body
    made.ids[f"{tenant} hold"] = got.headers["x-bursar-call"]
