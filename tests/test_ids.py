"""Ids are unique, ordered by time, and have one form."""

from __future__ import annotations

import multiprocessing

from bursar.ids import is_id, new_id

MILLISECOND = 1_000_000


def test_ids_are_unique_and_ordered_by_time() -> None:
    at = 1_795_000_000_000_000_000
    ids = [new_id(at + n * MILLISECOND) for n in range(5000)]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)
    assert all(is_id(one) for one in ids)


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
