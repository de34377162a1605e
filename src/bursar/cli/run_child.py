"""The program of a run: started, looked after until it ends, ended when it does not stop asking.

Owns the process, its signals and its end. Terminal and standard files stay the program's own. It knows no money: a
refusal is a line in the run's pipe, and so is an answer that was ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bursar.wiring.handed import REFUSED, SHARE_NS, SHORT

__all__ = ["NOT_EXECUTABLE", "NOT_FOUND", "Child", "Seen", "started"]

NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""What shells say of a program that cannot be started."""
PASSED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
"""These a terminal sends to the program itself, when it shares ours."""
ASKING_S = 1.0
"""So long after its first refusal a program may still be about to end by itself."""
KILL_S = 5.0
"""How long a program may take to end when it is told to."""
LOOK_S = 0.05
FAMILY_MAX = 10_000
PIPE_BYTES = 65_536
_SET_PARENT_DEATH_SIGNAL = 1


@dataclass(slots=True)
class Seen:
    """What was seen of a program."""

    exit_code: int = 0
    """Its own; 128 + n where signal n ended it."""
    refusals: int = 0
    message: str = ""
    """What it was told at first: of a refusal, else of an answer that was ended; empty where neither was."""
    is_ended: bool = False
    """It went on asking and was ended."""
    shared: tuple[int, str] = (0, "")
    """When the latest answer ended that came to the end of its share of a budget, and what a refusal would say."""


class Child:
    """One program while it runs."""

    def __init__(self, process: subprocess.Popen[bytes], *, is_sharing: bool, refusals_max: int) -> None:
        self._process = process
        self._is_sharing = is_sharing
        self._refusals_max = refusals_max
        self._refused_at_s = 0.0
        self._rest = b""
        self._family: dict[int, str] = {}
        self._kill_at_s = 0.0
        self.seen = Seen()

    def keep(self, pipe: int, signals: int, listening: socket.socket, open_door: Callable[[], None]) -> Seen:
        """Look after it until it ends; `open_door` is called when the first program knocks at `listening`."""
        files: list[Any] = [pipe, signals, listening]
        while (code := self._process.poll()) is None or self._is_ending:
            if code is not None and not self._alive():
                break
            ready, _, _ = select.select(files, [], [], self._wait_s(has_ended=code is not None))
            if listening in ready:
                files.remove(listening)
                open_door()
            if signals in ready:
                self._pass_on(os.read(signals, PIPE_BYTES))
            if pipe in ready:
                self._hear(pipe)
            if self._is_ending and time.monotonic() >= self._kill_at_s:
                self._kill()
                break
        code = self._process.wait()
        self._hear(pipe)
        self.seen.exit_code = code if code >= 0 else 128 - code
        return self.seen

    # --- signals ------------------------------------------------------------------------------------------------------

    def _pass_on(self, numbers: bytes) -> None:
        for byte in numbers:
            if byte in PASSED and not (self._is_sharing and byte in FROM_TERMINAL):
                self._send(byte)

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._is_sharing:
                self._process.send_signal(number)
            else:
                os.killpg(self._process.pid, number)

    # --- refusals -----------------------------------------------------------------------------------------------------

    def _hear(self, pipe: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while read := os.read(pipe, PIPE_BYTES):
                *lines, self._rest = (self._rest + read).split(b"\n")
                for line in lines:
                    self._refused(line)

    def _refused(self, line: bytes) -> None:
        seen, now_s = self.seen, time.monotonic()
        try:
            told = json.loads(line)
            if SHORT in told:
                message, share_ns = str(told[SHORT]), int(told.get(SHARE_NS, 0))
                if share_ns:
                    seen.shared = max(seen.shared, (share_ns, message))
                else:
                    seen.message = seen.message or message
                return
            message = str(told[REFUSED])
        except (ValueError, TypeError, KeyError):
            return
        if not seen.refusals:
            seen.message, self._refused_at_s = message, now_s
        seen.refusals += 1
        is_asking = seen.refusals >= self._refusals_max > 0 and now_s - self._refused_at_s >= ASKING_S
        if is_asking and not self._is_ending:
            self._end()

    # --- the end ------------------------------------------------------------------------------------------------------

    @property
    def _is_ending(self) -> bool:
        return self._kill_at_s > 0

    def _wait_s(self, *, has_ended: bool) -> float | None:
        if not self._is_ending:
            return None
        return LOOK_S if has_ended else max(0.0, self._kill_at_s - time.monotonic())

    def _end(self) -> None:
        """Tell the program, and all that it has started, to end."""
        self.seen.is_ended = True
        self._kill_at_s = time.monotonic() + KILL_S
        self._family = _family(self._process.pid)
        for number in (signal.SIGTERM, signal.SIGCONT):
            self._end_by(number)

    def _kill(self) -> None:
        self._family |= _family(self._process.pid)
        self._end_by(signal.SIGKILL)

    def _end_by(self, number: int) -> None:
        if not self._family:  # The system does not tell who began whom.
            self._send(number)
        for pid in self._alive():
            _signal(pid, number)

    def _alive(self) -> list[int]:
        """List those of the family that still run; a number that was given anew to another process is none."""
        return [pid for pid, born in self._family.items() if (found := _stat(pid)) and found[1:] == ("", born)]


@contextlib.contextmanager
def started(command: Sequence[str], environment: Mapping[str, str], refusals_max: int) -> Iterator[tuple[Child, int]]:
    """Start a program and give it, with a file that tells the signals which we get meanwhile. Raises OSError."""
    is_sharing = _is_in_front()
    with _signals() as signals:
        process = subprocess.Popen(  # noqa: S603 - it is what the user asks for
            list(command),
            env=dict(environment),
            process_group=None if is_sharing else 0,
            preexec_fn=_dies_with_us(),  # noqa: PLW1509 - no thread runs yet
        )
        yield Child(process, is_sharing=is_sharing, refusals_max=refusals_max), signals


@contextlib.contextmanager
def _signals() -> Iterator[int]:
    """Let signals come as bytes to a file, and do nothing else; those that are ignored stay so, for the program too."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    before: dict[signal.Signals, Any] = {}
    file_before = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    for number in (*PASSED, signal.SIGCHLD):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, lambda *_: None)
    try:
        yield reads
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(file_before)
        os.close(reads)
        os.close(writes)


def _is_in_front() -> bool:
    """Tell whether we have a terminal's foreground, so that its program must stay in our group to have it, too."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _dies_with_us() -> Callable[[], None] | None:
    """Give what lets a program end when we are killed; nothing where the system cannot do that."""
    if sys.platform != "linux":
        return None
    system, parent = ctypes.CDLL(None), os.getpid()

    def ask() -> None:
        system.prctl(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGTERM))
        if os.getppid() != parent:  # We are gone already.
            os.kill(os.getpid(), signal.SIGTERM)

    return ask


# --- processes --------------------------------------------------------------------------------------------------------


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _family(pid: int) -> dict[int, str]:
    """Find a process and all that descend from it, each with the moment at which it began."""
    parents: dict[int, list[int]] = {}
    born: dict[int, str] = {}
    for each in _pids():
        found = _stat(each)
        if found is not None:
            parents.setdefault(found[0], []).append(each)
            born[each] = found[2]
    family: dict[int, str] = {}
    waiting = [pid]
    while waiting and len(family) < FAMILY_MAX:
        each = waiting.pop()
        if each in born and each not in family:
            family[each] = born[each]
            waiting += parents.get(each, ())
    return family


def _pids() -> list[int]:
    processes = Path("/proc")
    return [int(entry.name) for entry in processes.iterdir() if entry.name.isdecimal()] if processes.is_dir() else []


def _stat(pid: int) -> tuple[int, str, str] | None:
    """Read of a process its parent, whether it is only waited for ("Z"), and when it began; None for none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), "Z" if fields[0] in "ZX" else "", fields[19]
