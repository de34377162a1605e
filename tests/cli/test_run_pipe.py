"""What a killed run leaves behind is taken away by the next one, and nothing else is."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from bursar.cli.run_pipe import run_pipe


@pytest.fixture
def tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_behind(tmp: Path, name: str = "bursar-run-dead") -> Path:
    """Make what a killed run leaves: a pipe that nobody reads."""
    directory = tmp / name
    directory.mkdir(0o700)
    os.mkfifo(directory / "refusals", 0o600)
    return directory


def test_a_pipe_lasts_as_long_as_its_run_and_can_be_written_to(tmp: Path) -> None:
    with run_pipe() as (path, pipe):
        assert Path(path).parent.name.startswith("bursar-run-")
        writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        os.write(writer, b"refused")
        os.close(writer)
        assert os.read(pipe, 100) == b"refused"
        assert Path(path).parent.stat().st_mode & 0o777 == 0o700
    assert list(tmp.iterdir()) == []


def test_what_a_killed_run_left_is_taken_away(tmp: Path) -> None:
    dead = left_behind(tmp)
    (tmp / "bursar-run-empty").mkdir(0o700)
    with run_pipe():
        assert not dead.exists() and not (tmp / "bursar-run-empty").exists()


def test_the_pipe_of_a_run_that_lives_stays(tmp: Path) -> None:
    with run_pipe() as (path, pipe), run_pipe():
        assert Path(path).exists()
        with pytest.raises(BlockingIOError):
            os.read(pipe, 1)


def test_what_is_not_a_run_s_stays(tmp: Path) -> None:
    elsewhere = left_behind(tmp, "elsewhere")
    (tmp / "bursar-run-link").symlink_to(elsewhere)
    full = left_behind(tmp, "bursar-run-full")
    (full / "note").write_text("mine")
    opened = left_behind(tmp, "bursar-run-open")
    opened.chmod(0o755)
    linked = tmp / "bursar-run-linked"
    linked.mkdir(0o700)
    (linked / "refusals").symlink_to(elsewhere / "refusals")
    (tmp / "bursar-run-file").write_text("")
    with run_pipe():
        assert {each.name for each in tmp.iterdir()} > {
            "elsewhere", "bursar-run-link", "bursar-run-full", "bursar-run-open", "bursar-run-linked", "bursar-run-file"
        }  # fmt: skip
        assert (elsewhere / "refusals").is_fifo() and (full / "note").read_text() == "mine"
        assert (linked / "refusals").is_symlink() and (opened / "refusals").is_fifo()


def test_another_user_s_stays(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = left_behind(tmp)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with run_pipe():
        assert (dead / "refusals").is_fifo()
