"""Who may do what: one table of role and route, and whose tenant a request is about.

Owns authorisation. A key sees its own tenant and no other: what it names of another's is told exactly as what does not
exist. It must never look at a URL's text: rights belong to the route that was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from bursar.core.control import EVERY_TENANT, Role
from bursar.errors import Forbidden, NotFound, UsageError
from bursar.identity.caller import Caller

__all__ = ["NEEDS", "Need", "Tenancy", "authorise", "is_operator", "tenant_of"]


class Need(StrEnum):
    """What a caller must be."""

    ANY = "any"
    """Any key that opens the door, also one that only calls models."""
    READ = "read"
    ADMIN = "admin"
    OPERATOR = "operator"
    """No key of a tenant: whoever has the admin secret, or reaches a gateway that asks for no keys."""


class Tenancy(StrEnum):
    """Whose things a route is about."""

    NONE = "none"
    """Nobody's: the caller itself, or what counts for all."""
    ONE = "one"
    """One tenant's: a key's own, or the one that the operator names."""
    EVERY_TOO = "every too"
    """One tenant's, or with `*` everybody's, which is the operator's alone."""


NEEDS: Mapping[tuple[str, str], tuple[Need, Tenancy]] = MappingProxyType(
    {
        ("GET", "/me"): (Need.ANY, Tenancy.NONE),
        ("GET", "/openapi.json"): (Need.ANY, Tenancy.NONE),
        ("GET", "/budgets"): (Need.READ, Tenancy.ONE),
        ("GET", "/budgets/{name}"): (Need.READ, Tenancy.ONE),
        ("PUT", "/budgets/{name}"): (Need.ADMIN, Tenancy.EVERY_TOO),
        ("DELETE", "/budgets/{name}"): (Need.ADMIN, Tenancy.EVERY_TOO),
        ("POST", "/budgets/{name}/top-ups"): (Need.ADMIN, Tenancy.ONE),
        ("GET", "/keys"): (Need.READ, Tenancy.EVERY_TOO),
        ("POST", "/keys"): (Need.ADMIN, Tenancy.ONE),
        ("POST", "/keys/{id}/rotate"): (Need.ADMIN, Tenancy.ONE),
        ("DELETE", "/keys/{id}"): (Need.ADMIN, Tenancy.ONE),
        ("GET", "/prices"): (Need.READ, Tenancy.NONE),
        ("GET", "/prices/lookup"): (Need.READ, Tenancy.NONE),
        ("GET", "/prices/unknown"): (Need.READ, Tenancy.ONE),
        ("PUT", "/prices/{provider}/{model}"): (Need.OPERATOR, Tenancy.NONE),
        ("DELETE", "/prices/{provider}/{model}"): (Need.OPERATOR, Tenancy.NONE),
        ("GET", "/pauses"): (Need.READ, Tenancy.EVERY_TOO),
        ("POST", "/pauses"): (Need.ADMIN, Tenancy.EVERY_TOO),
        ("DELETE", "/pauses"): (Need.ADMIN, Tenancy.EVERY_TOO),
        ("DELETE", "/pauses/{id}"): (Need.ADMIN, Tenancy.EVERY_TOO),
        ("GET", "/holds"): (Need.READ, Tenancy.ONE),
        # A lower cost gives money back to budgets that only the operator may raise.
        ("POST", "/holds/{id}/correct"): (Need.OPERATOR, Tenancy.ONE),
        # Processes serve every tenant.
        ("POST", "/holds/lapse"): (Need.OPERATOR, Tenancy.NONE),
        ("GET", "/calls"): (Need.READ, Tenancy.ONE),
        ("GET", "/calls/{id}"): (Need.READ, Tenancy.ONE),
        ("GET", "/spend"): (Need.READ, Tenancy.ONE),
        ("GET", "/runs"): (Need.READ, Tenancy.ONE),
        ("GET", "/runs/{run}"): (Need.READ, Tenancy.ONE),
        ("GET", "/runs/{run}/state"): (Need.READ, Tenancy.ONE),
        ("POST", "/runs/{run}/approve"): (Need.ADMIN, Tenancy.ONE),
        ("POST", "/runs/{run}/stop"): (Need.ADMIN, Tenancy.ONE),
        ("POST", "/runs/{run}/finish"): (Need.ADMIN, Tenancy.ONE),
        # Whoever has the link gives what only the operator may: money of the guards' budgets.
        ("POST", "/runs/{run}/link"): (Need.OPERATOR, Tenancy.ONE),
        ("GET", "/run-comparison"): (Need.READ, Tenancy.ONE),
        ("GET", "/tasks"): (Need.READ, Tenancy.ONE),
        ("GET", "/live"): (Need.READ, Tenancy.ONE),
        ("GET", "/audit"): (Need.READ, Tenancy.EVERY_TOO),
        # These tell of the whole installation: its files, its providers, every tenant's balances.
        ("GET", "/config"): (Need.OPERATOR, Tenancy.NONE),
        ("POST", "/config/check"): (Need.OPERATOR, Tenancy.NONE),
        ("GET", "/doctor"): (Need.OPERATOR, Tenancy.ONE),
        ("GET", "/verify"): (Need.OPERATOR, Tenancy.ONE),
    }
)
"""Every route below /bursar/v1. One that is not here cannot be served."""

_ROLES = {Need.READ: Role.READ, Need.ADMIN: Role.ADMIN, Need.OPERATOR: Role.ADMIN}


def is_operator(caller: Caller) -> bool:
    """Tell whether a caller stands for no tenant and may change everything."""
    return caller.key is None and caller.may(Role.ADMIN)


def authorise(caller: Caller, need: Need) -> None:
    """Let a caller do what needs this. Raises Forbidden, the same whatever the request names."""
    if need is Need.OPERATOR and not is_operator(caller):
        raise Forbidden("this is the operator's: it needs the admin secret, not a key")
    if need in _ROLES and not caller.may(_ROLES[need]):
        raise Forbidden(f"this needs a key with the role {need}")


def tenant_of(caller: Caller, tenancy: Tenancy, said: str) -> str:
    """Say which tenant a request is about; `said` is "" when it names none. Raises NotFound, Forbidden, UsageError."""
    if tenancy is Tenancy.NONE or not said:
        return caller.tenant
    if said == EVERY_TENANT:
        if tenancy is not Tenancy.EVERY_TOO:
            raise UsageError("this is about one tenant: name it", param="tenant")
        if not is_operator(caller):
            raise Forbidden("what counts for all is the operator's")
        return said
    if not is_operator(caller) and said != caller.tenant:
        raise NotFound(f"there is no tenant {said!r}")
    return said
