"""A signed link with which somebody who got an alert approves or stops one run, once.

Owns the token: what it is for, until when, and its signature. It carries no key and opens nothing else. It is used up
with the state that it was made for: after any decision about the run the instant in it is the wrong one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass

from bursar.core.run import RunRow
from bursar.errors import NotFound

__all__ = ["LINK_LENGTH_MAX", "PATH", "RunLink", "link_of", "read_link", "signed"]

PATH = "/bursar/runs/"
LINK_LENGTH_MAX = 1_024
_PURPOSE = b"bursar run link 1"


@dataclass(frozen=True, slots=True)
class RunLink:
    """What a link is for. Whoever has it may approve or stop this run while it is as it was at `since_ns`."""

    tenant: str
    run: str
    since_ns: int
    expires_ns: int


def link_of(row: RunRow, expires_ns: int) -> RunLink:
    """Make the link for a run as it stands."""
    return RunLink(row.tenant, row.run, row.since_ns, expires_ns)


def signed(link: RunLink, pepper: bytes) -> str:
    """Write the token: letters, digits, `-` and `_` and one point, safe in a URL."""
    said = json.dumps([link.tenant, link.run, link.since_ns, link.expires_ns], separators=(",", ":")).encode()
    return f"{_text(said)}.{_text(_digest(said, pepper))}"


def read_link(token: str, pepper: bytes, at_ns: int) -> RunLink:
    """Read a token. Raises NotFound, the same for what is forged, expired or no token at all."""
    said, _, digest = token.partition(".")
    try:
        if len(token) > LINK_LENGTH_MAX or not pepper:
            raise ValueError("no link")
        text = _bytes(said)
        if not hmac.compare_digest(_digest(text, pepper), _bytes(digest)):
            raise ValueError("another signature")
        tenant, run, since_ns, expires_ns = json.loads(text)
        link = RunLink(tenant, run, since_ns, expires_ns)
    except (ValueError, binascii.Error) as error:
        raise NotFound("this link opens nothing: it is not whole, or it is over") from error
    if at_ns >= link.expires_ns:
        raise NotFound("this link opens nothing: it is not whole, or it is over")
    return link


def _digest(said: bytes, pepper: bytes) -> bytes:
    key = hmac.new(pepper, _PURPOSE, hashlib.sha256).digest()
    return hmac.new(key, said, hashlib.sha256).digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
