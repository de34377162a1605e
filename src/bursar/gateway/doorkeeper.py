"""Who may come in: the credentials of a request, and what they open.

Owns authentication. A key is found by its whole digest; missing, wrong, expired and revoked ones are all told the same.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from bursar.config.settings import Settings
from bursar.core.control import Role
from bursar.errors import Forbidden, Unauthorized
from bursar.identity.caller import Caller, credential
from bursar.identity.keys import is_key_like
from bursar.wiring.engine import Engine
from bursar.wiring.ledger import TENANT

__all__ = ["Doorkeeper"]

OPERATOR = frozenset({Role.READ, Role.ADMIN})
_WHAT = {
    Role.CALL: "call models",
    Role.READ: "read reports",
    Role.ADMIN: "change anything",
}


class Doorkeeper:
    """Tells callers apart, by the keys that are in force at this moment."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._secret = settings.admin_secret
        self._metrics_secret = settings.metrics_secret
        self._is_always_asking = settings.asks_always_for_keys
        self._engine = engine
        # With an admin secret, whoever merely reaches the port may call models and no more.
        self._open = Caller(TENANT, roles=frozenset({Role.CALL}) if self._secret else frozenset(Role))

    @property
    def asks_for_keys(self) -> bool:
        """Once there was a key the door stays closed, also when the last one is revoked."""
        return self._is_always_asking or self._engine.control.state.has_keys

    def caller(self, headers: Mapping[str, str]) -> Caller:
        """Say who sends a request. Raises Unauthorized, and BadRequest for credentials that contradict each other."""
        secret = credential(headers)
        is_operator = _is_same(secret, self._secret)
        keyring = self._engine.control.keyring
        # Where there are keys every text costs one digest; where there are none, no call pays for it.
        key = keyring.find(secret, self._engine.clock()) if len(keyring) else None
        if is_operator:
            return Caller(TENANT, roles=OPERATOR, secret=secret)
        if key is not None:
            return Caller.of(key, secret)
        # What looks like one of our keys is never taken for a provider's, also before this process knows of any key.
        if self.asks_for_keys or is_key_like(secret):
            raise Unauthorized("this gateway asks for a key: send one that it gave out, as your API key")
        return self._open

    def admit_scraper(self, headers: Mapping[str, str]) -> None:
        """Let in who may read the figures of every tenant. Raises Unauthorized, BadRequest, Forbidden."""
        if _is_same(credential(headers), self._metrics_secret):
            return
        caller = self.caller(headers)
        if caller.key is not None or not caller.may(Role.READ):
            raise Forbidden("metrics tell of every tenant: they need BURSAR_METRICS_SECRET, and not a key")

    def admit(self, caller: Caller, role: Role) -> None:
        """Let a caller do what a role is for. Raises Forbidden."""
        if not caller.may(role):
            raise Forbidden(f"this key may not {_WHAT[role]}")


def _is_same(given: str, secret: str) -> bool:
    """Compare in constant time; no secret is like none."""
    return bool(secret) and hmac.compare_digest(given.encode(), secret.encode())
