"""The keys that bursar gives out: how they look, and who holds one.

Owns the form of a key, its digest, and the look-up. A key is known by its whole digest under a pepper that is not in
the ledger, so a stolen ledger opens nothing. It must never keep a key, nor take a part of a digest for the whole.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

from bursar.core.control import KeyRow
from bursar.ids import ALPHABET

__all__ = ["HINT_LENGTH", "PREFIX", "Keyring", "digest", "hint", "holds_key", "is_key_like", "mint"]

PREFIX = "bursar-"
RANDOM_BYTES = 20
HINT_LENGTH = 4
_KEY = re.compile(rf"{PREFIX}[{ALPHABET}]{{32}}")
_NO_KEY = PREFIX + "0" * 32
"""What is digested in place of a text that is no key at all."""
_NO_DIGEST = "0" * 64


def mint() -> str:
    """Make a new key: 160 random bits. It is shown once and kept by nobody."""
    number = int.from_bytes(secrets.token_bytes(RANDOM_BYTES), "big")
    return PREFIX + "".join(ALPHABET[number >> shift & 31] for shift in range(155, -1, -5))


def is_key_like(text: str) -> bool:
    """Tell whether a text has the form of one of our keys, so that it never goes to a provider."""
    return _KEY.fullmatch(text) is not None


def holds_key(text: str) -> bool:
    """Tell whether one of our keys may stand somewhere in a text, so that it is kept and shown nowhere."""
    return _KEY.search(text) is not None


def hint(key: str) -> str:
    """Give the last characters of a key, to recognise it by."""
    return key[-HINT_LENGTH:]


def digest(pepper: bytes, key: str) -> str:
    """Give what a key is known by: HMAC-SHA256 under the pepper, whole, in hexadecimal."""
    return hmac.new(pepper, key.encode(), hashlib.sha256).hexdigest()


class Keyring:
    """The keys of one moment. Never changed: a new one takes its place."""

    def __init__(self, keys: Iterable[KeyRow] = (), pepper: bytes = b"") -> None:
        self._pepper = pepper
        self._rows = {row.digest: row for row in keys}
        if self._rows and not pepper:
            raise ValueError("keys need the pepper that they were made with")

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, key: str, at_ns: int) -> KeyRow | None:
        """Find whose key this is; None when it is nobody's, expired or revoked.

        Whatever is asked for costs the same: one digest, one look-up, one comparison in constant time.
        """
        is_ours = is_key_like(key)
        found = digest(self._pepper, key if is_ours else _NO_KEY)
        row = self._rows.get(found)
        is_same = hmac.compare_digest(found, _NO_DIGEST if row is None else row.digest)
        return row if row is not None and is_ours and is_same and row.is_live(at_ns) else None
