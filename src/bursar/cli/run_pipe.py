"""The pipe in which a run is told of refusals, in a directory where nobody else can reach it.

Owns the directory, also one that a killed run has left behind: the next run takes it away. It must never touch another
user's, nor one whose run still reads.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["run_pipe"]

MAKING, MADE = "bursar-new-", "bursar-run-"
PIPE = "refusals"
LOOKED_MAX = 10_000
"""So many entries of the temporary directory are looked at for what was left behind."""


@contextlib.contextmanager
def run_pipe() -> Iterator[tuple[str, int]]:
    """Make the pipe; give its path, and a file that reads it."""
    _clear()
    directory = Path(tempfile.mkdtemp(prefix=MAKING))
    try:
        os.mkfifo(directory / PIPE, 0o600)
        pipe = os.open(directory / PIPE, os.O_RDWR | os.O_NONBLOCK)
        try:
            # It gets the name at which others look only now: without a reader it would be taken for left behind.
            directory = directory.rename(directory.with_name(MADE + directory.name.removeprefix(MAKING)))
            yield str(directory / PIPE), pipe
        finally:
            os.close(pipe)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _clear() -> None:
    """Take away what runs that were killed have left behind."""
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in itertools.islice(entries, LOOKED_MAX):
            if entry.name.startswith(MADE):
                with contextlib.suppress(OSError):
                    _clear_one(Path(entry.path))


def _clear_one(directory: Path) -> None:
    """Take away one directory, if it is our own and nobody reads its pipe. Raises OSError for what must stay."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700:
        return
    pipe = directory / PIPE
    if pipe.is_fifo() and not pipe.is_symlink():
        if _is_read(pipe):
            return
        pipe.unlink()
    directory.rmdir()


def _is_read(pipe: Path) -> bool:
    """Tell whether somebody reads a pipe: one that nobody reads cannot be opened for writing."""
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        if error.errno == errno.ENXIO:
            return False
        raise
    return True
