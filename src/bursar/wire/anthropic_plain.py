"""A messages request of plain texts, read in one go.

Owns which fields such a body may have. It must never give another request than `anthropic_request.read_request` would.
"""

from __future__ import annotations

from bursar.errors import BadRequest
from bursar.wire.anatomy import shape_key
from bursar.wire.anthropic_request import VOLATILE_SYSTEM
from bursar.wire.base import Anatomy, Request
from bursar.wire.fields import count_field, flag_field
from bursar.wire.plain import plain_fields, plain_messages, plain_model
from bursar.wire.strict_json import Parsed
from bursar.wire.written import kept

__all__ = ["PLAIN", "read_plain"]

PLAIN = frozenset({"model", "messages", "max_tokens", "system", "temperature", "top_p", "top_k", "stream"})
"""A body of nothing but these is read here, where their values are plain as well."""
_PARTS = ("text",)


def read_plain(wire: str, parsed: Parsed) -> Request | None:
    """Read a body of plain texts to its last leaf; None for any other. Raises BadRequest as `read_request` does."""
    body = parsed.body
    messages, model, system = body.get("messages"), plain_model(body.get("model")), body.get("system", "")
    if type(messages) is not list or type(system) is not str or not model or not body.keys() <= PLAIN:
        return None
    measured = plain_messages(messages, (), _PARTS)
    size_bytes = plain_fields(body, "messages", ("model",))
    if measured is None or size_bytes is None:
        return None
    cap = count_field(body, "max_tokens")
    if cap is None:
        raise BadRequest("`max_tokens` is required", param="max_tokens")
    _, history, user, _ = measured
    return Request(
        wire,
        model,
        kept(parsed, body),
        "stream" in body and flag_field(body, "stream"),
        True,
        cap,
        1,
        1,
        Anatomy(size_bytes, 0, history, user),
        0,
        shape_key(b"", b"")
        if "system" not in body or system.startswith(VOLATILE_SYSTEM)
        else shape_key(system, b"", b""),
    )
