"""Ids are unique, ordered by time, and have one form."""

from __future__ import annotations

import multiprocessing
from collections import Counter

import pytest

from bursar.ids import ALPHABET, _Pool, is_id, new_id

MILLISECOND = 1_000_000


def test_ids_are_unique_and_ordered_by_time() -> None:
    at = 1_795_000_000_000_000_000
    ids = [new_id(at + n * MILLISECOND) for n in range(5000)]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)
    assert all(is_id(one) for one in ids)


@pytest.mark.parametrize("ms", [0, 1, 1023, 1024, 1_795_000_000_000, (1 << 48) - 1, 1 << 48])
def test_an_id_begins_with_its_time(ms: int) -> None:
    digits = [ALPHABET.index(letter) for letter in new_id(ms * MILLISECOND + 999_999)[:10]]
    assert sum(digit << 5 * place for place, digit in enumerate(reversed(digits))) == ms % (1 << 48)


def test_each_letter_is_as_likely_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bursar.ids._pool", _Pool())
    monkeypatch.setattr("os.urandom", lambda size: (bytes(range(256)) * size)[:size])
    letters = Counter("".join(new_id(0)[10:] for _ in range(16)))
    assert letters == dict.fromkeys(ALPHABET, 8)


def test_other_texts_are_no_ids() -> None:
    for text in ("", "0" * 25, "0" * 27, "O" * 26, "il" * 13, "../" + "0" * 23, "0" * 26 + "\n"):
        assert not is_id(text)


def test_a_forked_child_makes_ids_of_its_own() -> None:
    new_id(0)
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        theirs = pool.map(new_id, [0] * 200, chunksize=50)
    mine = [new_id(0) for _ in range(200)]
    assert len({*theirs, *mine}) == 400
