"""What every benchmark of the gateway stands on: cores, processes, their CPU time and memory, wrk, Debian's packages.

Owns how something is started, loaded, counted and ended. It knows no bursar, and leaves nothing running.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Load", "cores", "free_port", "load", "need", "peak_mb", "resident_mb", "running", "spent_s", "tree"]

ECHO_MODULE = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")
START_S = 15.0
SETTLE_S = 0.15
"""How long what was in flight when the load ended may take to end."""


# --- what must be there -----------------------------------------------------------------------------------------------


def need() -> None:
    """Make sure of nginx, its echo module and wrk: from Debian where this may install, else say what is missing."""
    wanted = {
        "nginx-light": shutil.which("nginx") is not None,
        "libnginx-mod-http-echo": ECHO_MODULE.exists(),
        "wrk": shutil.which("wrk") is not None,
    }
    missing = [package for package, is_there in wanted.items() if not is_there]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SystemExit(
            f"missing: {' '.join(missing)} (sudo apt-get install {' '.join(missing)}), then run this again"
        )
    print(f"installing Debian's {' '.join(missing)}", file=sys.stderr)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *missing]):
        subprocess.run(["apt-get", *words], check=True, env=environ, stdout=sys.stderr)


def cores() -> tuple[int, int]:
    """Give the core of what is measured and the core of load and upstream; pins this process to the latter."""
    here = sorted(os.sched_getaffinity(0))
    if len(here) < 2:
        print("one core only: load and upstream share it with what is measured", file=sys.stderr)
    os.sched_setaffinity(0, {here[-1]})
    return here[0], here[-1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- processes --------------------------------------------------------------------------------------------------------


@contextmanager
def running(command: Sequence[str], core: int | None, url: str, log: Path) -> Iterator[int]:
    """Run a command on one core (None: on all) until the block ends; begins when `url` answers, whatever it says."""
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    with log.open("ab") as out:
        process = subprocess.Popen([*pinned, *command], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        _await(process, url, log)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    ends = time.monotonic() + START_S
    while time.monotonic() < ends and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).read()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"did not start: {process.args!r}\n{log.read_text()[-2000:]}")


def tree(pid: int) -> Iterator[int]:
    """Give a process and all below it."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from tree(int(child))


def spent_s(pid: int) -> float:
    """Give the CPU seconds, user and system, of a process tree, as the kernel accounts for them (10 ms fine)."""
    ticks = 0
    for one in tree(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Give the resident memory of a process tree in MB (pages that its processes share count in each)."""
    return _status_mb(pid, "VmRSS:")


def peak_mb(pid: int) -> float:
    """Give the most that a process tree's processes ever had resident, in MB."""
    return _status_mb(pid, "VmHWM:")


def _status_mb(pid: int, name: str) -> float:
    total = 0
    for one in tree(pid):
        for line in Path(f"/proc/{one}/status").read_text().splitlines():
            if line.startswith(name):
                total += int(line.split()[1])
    return total * 1024 / 1e6


# --- load -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw in one go, and what it cost whoever answered."""

    count: int
    per_s: float
    cpu_us: float
    """CPU of the measured process tree per answered request; 0 where none was named."""
    p50_ms: float
    p99_ms: float


def load(script: Path, url: str, connections: int, seconds: float, pid: int | None = None) -> Load:
    """Ask for some seconds over some connections, one request at a time on each. An error of any kind ends the run."""
    before = spent_s(pid) if pid else 0.0
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "20s", "-s", str(script)]
    out = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    time.sleep(SETTLE_S)
    spent = spent_s(pid) - before if pid else 0.0
    found = json.loads(out.rpartition("BENCH ")[2])
    if found["errors"] or not found["requests"]:
        raise SystemExit(f"not every request was answered: {found}")
    count, elapsed_s = found["requests"], found["us"] / 1e6
    return Load(count, count / elapsed_s, spent * 1e6 / count, found["p50"] / 1e3, found["p99"] / 1e3)
