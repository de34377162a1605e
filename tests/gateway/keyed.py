"""A house with keys, and ways to set things in its ledger beside the running gateway."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from tests.gateway.house import House

from bursar.actions.acting import By
from bursar.actions.keys import KeyWish, create_key
from bursar.config.settings import Settings, StoreSettings
from bursar.core.control import KeyRow, Role
from bursar.wiring.pepper import open_pepper

SECRET = "an-admin-secret-of-forty-characters-0000"


def by() -> By:
    return By("local:tester", time.time_ns())


def give_key(
    home: House,
    *,
    tenant: str = "acme",
    name: str = "agents",
    role: Role = Role.CALL,
    labels: Mapping[str, str] | None = None,
    may_set: Iterable[str] = (),
    **more: Any,
) -> tuple[KeyRow, str]:
    """Make a key in the ledger of a running gateway, as the command line does."""
    settings = Settings(store=StoreSettings(path=home.ledger_path))
    pepper = open_pepper(settings, create=True)
    assert pepper is not None
    with home.ledger() as ledger:
        wish = KeyWish(tenant, name, role, labels or {}, frozenset(may_set), **more)
        return create_key(ledger, pepper, wish, by())


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}
