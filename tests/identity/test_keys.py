"""Keys: known by the whole digest alone, dead when they have ended (S01, S04, S05, S06)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest

from bursar.core.control import KeyRow, Role
from bursar.identity.keys import Keyring, digest, hint, is_key_like, mint

PEPPER = b"p" * 32


def row(key: str, name: str = "one", *, expires_ns: int = 0, revoked_ns: int = 0) -> KeyRow:
    return KeyRow(
        name, "acme", name, Role.CALL, digest(PEPPER, key), hint(key), {}, frozenset(), 1, expires_ns, revoked_ns
    )


def test_a_key_has_its_form_and_160_random_bits() -> None:
    keys = {mint() for _ in range(1_000)}
    assert len(keys) == 1_000
    assert all(is_key_like(key) and len(key) == 39 for key in keys)
    for place in range(7, 39):
        assert len({key[place] for key in keys}) == 32, "every letter of every place is random"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bursar-",
        "sk-proj-abc",
        "bursar-" + "0" * 31,
        "bursar-" + "0" * 33,
        "bursar-" + "0" * 31 + "l",
        "BURSAR-" + "0" * 32,
        "bursar-" + "A" * 32,
        "bursar-" + "0" * 32 + "\n",
        "bursar-" + "٣" * 32,
        "x" * 10**6,
        "\0",
        "\udcff",
    ],
)
def test_what_is_no_key_finds_nobody(text: str) -> None:
    """S04"""
    assert not is_key_like(text)
    assert Keyring([row("bursar-" + "0" * 32)], PEPPER).find(text, 5) is None


def test_a_digest_is_the_whole_hmac_under_the_pepper() -> None:
    assert digest(PEPPER, "k") == hmac.new(PEPPER, b"k", hashlib.sha256).hexdigest()
    assert digest(b"q" * 32, "k") != digest(PEPPER, "k")


def test_a_key_finds_its_own_row_and_no_other() -> None:
    keys = [mint() for _ in range(50)]
    ring = Keyring([row(key, str(index)) for index, key in enumerate(keys)], PEPPER)
    assert len(ring) == 50
    for index, key in enumerate(keys):
        found = ring.find(key, 5)
        assert found is not None
        assert found.id == str(index)
    assert ring.find(mint(), 5) is None


def test_what_a_stolen_ledger_holds_opens_nothing() -> None:
    """S05: neither the digest, in any dress, nor the right key under another pepper."""
    key = mint()
    ring = Keyring([row(key)], PEPPER)
    stolen = row(key).digest
    for text in (stolen, f"bursar-{stolen}", f"bursar-{stolen[:32]}", stolen[:39], row(key).hint):
        assert ring.find(text, 5) is None
    assert Keyring([row(key)], b"q" * 32).find(key, 5) is None


def test_keys_that_share_all_but_one_letter_are_different_keys() -> None:
    """S06: no prefix, end or part of a key or digest stands for it."""
    key = mint()
    ring = Keyring([row(key)], PEPPER)
    for place in range(7, 39):
        other = key[:place] + ("0" if key[place] != "0" else "1") + key[place + 1 :]
        assert ring.find(other, 5) is None
    near = replace(row(key), digest=row(key).digest[:-1] + ("0" if row(key).digest[-1] != "0" else "1"))
    assert Keyring([near], PEPPER).find(key, 5) is None
    assert Keyring([replace(row(key), digest=row(key).digest[:32])], PEPPER).find(key, 5) is None


@pytest.mark.parametrize(
    ("expires_ns", "revoked_ns", "at_ns", "is_live"),
    [(0, 0, 9, True), (10, 0, 9, True), (10, 0, 10, False), (0, 10, 9, True), (0, 10, 10, False), (99, 10, 50, False)],
)
def test_a_key_that_has_ended_finds_nobody(expires_ns: int, revoked_ns: int, at_ns: int, is_live: bool) -> None:
    key = mint()
    ring = Keyring([row(key, expires_ns=expires_ns, revoked_ns=revoked_ns)], PEPPER)
    assert (ring.find(key, at_ns) is not None) is is_live


def test_no_keys_let_nobody_in_and_keys_without_a_pepper_are_refused() -> None:
    assert Keyring().find(mint(), 1) is None
    assert Keyring().find("bursar-" + "0" * 32, 1) is None
    with pytest.raises(ValueError):
        Keyring([row(mint())])


def test_a_row_shows_no_digest() -> None:
    """S09"""
    shown = row(mint())
    assert shown.digest not in repr(shown)
