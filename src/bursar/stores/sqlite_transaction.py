"""One atomic write of a SQLite ledger, or a part of one.

Owns how verbs join a transaction, and that none commits half of what a verb did. What is begun and committed is the
book's matter.
"""

from __future__ import annotations

import threading
from typing import Protocol

from bursar.errors import BursarError, StoreUnavailable

__all__ = ["Transaction"]


class Book(Protocol):
    """What a transaction needs of the file."""

    inside: int
    lock: threading.RLock

    @property
    def writes(self) -> tuple[int, int]: ...
    def begin_transaction(self, *, is_batch: bool) -> None: ...
    def end_transaction(self, error: BaseException | None) -> None: ...


class Transaction:
    """One atomic write, or a part of one. What it raises: StoreUnavailable when it could not be written."""

    __slots__ = ("_book", "_is_batch", "_is_outer", "_writes")

    def __init__(self, book: Book, *, is_batch: bool = False) -> None:
        self._book = book
        self._is_batch = is_batch

    def __enter__(self) -> None:
        book = self._book
        book.lock.acquire()
        if book.inside:
            self._is_outer = False
            self._writes = book.writes
            return
        self._is_outer = True
        try:
            book.begin_transaction(is_batch=self._is_batch)
        except BaseException:
            book.lock.release()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        book = self._book
        try:
            if self._is_outer:
                book.end_transaction(error)
            elif error is not None and _is_refusal(error) and book.writes != self._writes:
                # Take the whole transaction down with an operation that is refused after it has written.
                raise StoreUnavailable(f"an operation was refused after it had written: {error}") from error
        finally:
            book.lock.release()


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, BursarError) and not isinstance(error, StoreUnavailable)
