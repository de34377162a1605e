"""The pepper: made once, private, outside the ledger, and never silently another one (S05)."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bursar.config.settings import Settings, StoreKind, StoreSettings
from bursar.core.control import KeyRow, Role
from bursar.errors import ConfigError
from bursar.identity.keys import digest, hint, mint
from bursar.wiring.pepper import PEPPER_BYTES, open_keyring, open_pepper, pepper_file


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(store=StoreSettings(path=tmp_path / "bursar.db"))


def test_there_is_none_until_the_first_key_is_made(settings: Settings) -> None:
    assert open_pepper(settings, create=False) is None
    assert not pepper_file(settings).exists()
    found = open_pepper(settings, create=True)
    assert found is not None
    assert len(found) == PEPPER_BYTES
    assert open_pepper(settings, create=False) == open_pepper(settings, create=True) == found


def test_the_file_is_private_and_nothing_else_is_left(settings: Settings) -> None:
    open_pepper(settings, create=True)
    file = pepper_file(settings)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_many_that_make_it_at_once_have_the_same(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: open_pepper(settings, create=True), range(16)))
    assert len(found) == 1
    assert list(pepper_file(settings).parent.iterdir()) == [pepper_file(settings)]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_one_that_others_can_read_is_refused(settings: Settings, mode: int) -> None:
    open_pepper(settings, create=True)
    pepper_file(settings).chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        open_pepper(settings, create=True)


def test_a_short_one_is_refused_and_not_replaced(settings: Settings) -> None:
    file = pepper_file(settings)
    file.write_bytes(b"x" * 31)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="no pepper"):
        open_pepper(settings, create=True)
    assert file.read_bytes() == b"x" * 31


def test_one_that_is_missing_while_there_are_keys_is_not_made_anew(settings: Settings) -> None:
    key = mint()
    pepper = open_pepper(settings, create=True)
    assert pepper is not None
    row = KeyRow("k", "acme", "k", Role.CALL, digest(pepper, key), hint(key), {}, frozenset(), 1)
    assert open_keyring(settings, [row]).find(key, 5) == row
    pepper_file(settings).unlink()
    for create in (False, True):
        with pytest.raises(ConfigError, match="restore it"):
            open_pepper(settings, create=create, has_keys=True)
    with pytest.raises(ConfigError):
        open_keyring(settings, [row])
    assert not pepper_file(settings).exists()
    assert len(open_keyring(settings, [])) == 0


def test_the_environment_comes_first_and_needs_no_file(settings: Settings) -> None:
    named = replace(settings, pepper="x" * 40)
    assert open_pepper(named, create=True, has_keys=True) == b"x" * 40
    assert not pepper_file(settings).exists()


def test_a_ledger_in_memory_has_one_for_its_process(settings: Settings) -> None:
    memory = replace(settings, store=StoreSettings(kind=StoreKind.MEMORY, path=settings.store.path))
    found = open_pepper(memory, create=True)
    assert found == open_pepper(memory, create=False, has_keys=True)
    assert not pepper_file(settings).exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    settings = Settings(store=StoreSettings(path=tmp_path / "nowhere" / "bursar.db"))
    with pytest.raises(ConfigError, match="cannot be made"):
        open_pepper(settings, create=True)
