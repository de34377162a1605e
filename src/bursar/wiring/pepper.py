"""The pepper: what keys are digested with, kept outside the ledger, so that a stolen ledger opens nothing.

Owns where it lies: BURSAR_PEPPER, else the file `<store.path>.pepper`, made when the first key is. It must never show
it, replace it, or take one that others can read.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bursar.config.settings import Settings, StoreKind
from bursar.core.control import KeyRow
from bursar.errors import ConfigError
from bursar.identity.keys import Keyring

__all__ = ["PEPPER_BYTES", "open_keyring", "open_pepper", "pepper_file"]

PEPPER_BYTES = 32
FILE_BYTES_MAX = 4_096


def open_keyring(settings: Settings, keys: Sequence[KeyRow]) -> Keyring:
    """Make the keyring of what is set now. Raises ConfigError when there are keys whose pepper is gone."""
    return Keyring(keys, open_pepper(settings, create=False, has_keys=bool(keys)) or b"")


def open_pepper(settings: Settings, create: bool, has_keys: bool = False) -> bytes | None:
    """Give the pepper; None when there is none and none is to be made.

    Raises ConfigError when others can read it, when it is no pepper, and when it is missing though there are keys: a
    new one would silently end every key.
    """
    if settings.pepper:
        return settings.pepper.encode()
    if settings.store.kind is StoreKind.MEMORY:
        return _of_this_process()
    file = pepper_file(settings)
    found = _read(file)
    if found is None and has_keys:
        raise ConfigError(
            "is missing, and without it no key of this ledger is known: restore it, or set BURSAR_PEPPER to what it "
            "was. When it is lost for good, set a new BURSAR_PEPPER, revoke the old keys and make new ones",
            file=str(file),
        )
    if found is None and create:
        _make(file)
        found = _read(file)
    return found


def pepper_file(settings: Settings) -> Path:
    """Name the file beside the ledger."""
    return Path(f"{settings.store.path}.pepper")


@cache
def _of_this_process() -> bytes:
    """Give the pepper of a ledger in memory: both end with the process."""
    return secrets.token_bytes(PEPPER_BYTES)


def _read(file: Path) -> bytes | None:
    try:
        with file.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            found = stream.read(FILE_BYTES_MAX)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(file)) from error
    if mode & 0o077:
        raise ConfigError(f"others can read it: `chmod 600 {file}`", file=str(file))
    if len(found) < PEPPER_BYTES:
        raise ConfigError(f"is no pepper: it holds less than {PEPPER_BYTES} bytes", file=str(file))
    return found


def _make(file: Path) -> None:
    """Make the file whole or not at all; where another process was first, its file stays."""
    draft = Path(f"{file}.{secrets.token_hex(8)}")
    try:
        with open(draft, "xb", opener=_private) as stream:
            stream.write(secrets.token_bytes(PEPPER_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
        _sync(file.parent)
    except OSError as error:
        raise ConfigError(f"cannot be made: {error.strerror}", file=str(file)) from error
    finally:
        draft.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(folder: Path) -> None:
    """Let a new name survive a power cut."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
