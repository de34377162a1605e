"""The sections of single values: `server`, `store` and `limits`.

Owns which values each key takes. File, environment and flags all pass through these tables, so a value that is wrong
in one is wrong in all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from bursar.config.problems import Problems
from bursar.config.read import Read, fields, scalar
from bursar.config.settings import Durability, KeyPolicy, Limits, ServerSettings, StoreKind, StoreSettings
from bursar.config.tree import Node
from bursar.config.values import host, member, path, seconds, size, whole

__all__ = ["SECTIONS", "read_limits", "read_server", "read_store"]

DAY_S = 86_400
_MANY = whole(1, 10_000_000)
_BYTES = size(1, 2**34)
_WAIT = seconds(0.001, DAY_S)

_SERVER: Mapping[str, Read] = {
    "host": scalar(host),
    "port": scalar(whole(0, 65_535)),
    "keys": scalar(member(KeyPolicy)),
    "workers": scalar(whole(1, 256)),
    "grace_s": scalar(seconds(0, DAY_S)),
}
_STORE: Mapping[str, Read] = {
    "kind": scalar(member(StoreKind)),
    "path": scalar(path),
    "durability": scalar(member(Durability)),
    "timeout_s": scalar(seconds(0.001, 3_600)),
}
_LIMITS: Mapping[str, Read] = {
    "hold_wait_s": scalar(seconds(0, 3_600)),
    "waiting_max": scalar(_MANY),
    "calls_per_tenant_max": scalar(_MANY),
    "body_bytes_max": scalar(_BYTES),
    "headers_bytes_max": scalar(_BYTES),
    "headers_max": scalar(_MANY),
    "headers_s": scalar(_WAIT),
    "body_s": scalar(_WAIT),
    "answer_bytes_max": scalar(_BYTES),
    "read_ahead_bytes_max": scalar(_BYTES),
    "stall_s": scalar(_WAIT),
    "connections_max": scalar(_MANY),
    "heartbeat_s": scalar(seconds(0.1, 3_600)),
    "lapse_s": scalar(seconds(0.2, DAY_S)),
}

SECTIONS: Mapping[str, Mapping[str, Read]] = MappingProxyType({"server": _SERVER, "store": _STORE, "limits": _LIMITS})
"""Every key that the environment and flags can set, too, by section."""


def read_server(node: Node, base: ServerSettings, problems: Problems) -> ServerSettings:
    """Lay what is written over `base`."""
    return replace(base, **fields(node, _SERVER, problems))


def read_store(node: Node, base: StoreSettings, problems: Problems) -> StoreSettings:
    """Lay what is written over `base`."""
    return replace(base, **fields(node, _STORE, problems))


def read_limits(node: Node, base: Limits, problems: Problems) -> Limits:
    """Lay what is written over `base`."""
    return replace(base, **fields(node, _LIMITS, problems))
