"""Who is calling: a tenant, what it may do, and which labels its client may say.

Owns the word `Caller`, and which credential of a request counts. Identity comes from a key alone, never from a header
that names a tenant, a user or a budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bursar.core.control import KeyRow, Role
from bursar.core.labels import Labels
from bursar.errors import BadRequest
from bursar.identity.keys import is_key_like

__all__ = ["Caller", "credential"]

_OWN = "x-bursar-key"
_SHARED = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
_MAY = {
    Role.CALL: frozenset({Role.CALL}),
    Role.READ: frozenset({Role.READ}),
    Role.ADMIN: frozenset({Role.READ, Role.ADMIN}),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """One client, known by its key; without keys there is one tenant, and whoever reaches the port may do all."""

    tenant: str
    key: KeyRow | None = None
    """None for the operator, and where no keys are asked for: then every tenant can be administered."""
    roles: frozenset[Role] = frozenset(Role)
    secret: str = field(default="", repr=False)
    """What it came with, so that this never goes on to a provider."""

    @classmethod
    def of(cls, key: KeyRow, secret: str) -> Caller:
        """Make the caller that a key stands for."""
        return cls(key.tenant, key, _MAY[key.role], secret)

    @property
    def actor(self) -> str:
        """Name it for the audit log."""
        return f"key:{self.key.id}" if self.key else "operator"

    def may(self, role: Role) -> bool:
        """Tell whether it may do what a role is for. Who may change may read; nobody else does another's work."""
        return role in self.roles

    def labelled(self, said: Labels) -> Labels:
        """Give a call's labels: the key's own, then what its client may say."""
        if self.key is None:
            return said
        trusted = {**self.key.labels, "key": self.key.name}
        heard = {name: value for name, value in said.items() if name not in trusted and self.key.allows(name)}
        return Labels.of({**trusted, **heard})


def credential(headers: Mapping[str, str]) -> str:
    """Give the credential with which a request comes to bursar; "" for none.

    `x-bursar-key` stands before the headers that providers know, which then carry the provider's key. Raises
    BadRequest when it is not clear which one counts.
    """
    shared = {_bare(name, headers[name]) for name in _SHARED if headers.get(name)}
    own = headers.get(_OWN, "").strip()
    if own:
        if any(is_key_like(each) and each != own for each in shared):
            raise BadRequest("two keys of this gateway came with one request: send one")
        return own
    if len(shared) > 1:
        raise BadRequest("two credentials that differ came with one request: send one of them")
    return next(iter(shared), "")


def _bare(name: str, value: str) -> str:
    scheme, _, rest = value.strip().partition(" ")
    return rest.strip() if name == "authorization" and scheme.lower() == "bearer" and rest else value.strip()
