"""Measure how long bursar takes to start: its help, its import, and the gateway until it answers.

    python bench/startup.py [--rounds 15]

Rounds are interleaved; figures are medians, least and most in brackets, and multiples of a Python that does nothing,
started in the same rounds. `serve` is asked on /readyz, with a new ledger each time.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))

from rig import cores, free_port

BURSAR = str(Path(sys.executable).with_name("bursar"))
WAIT_S = 20.0


def timed(*command: str) -> tuple[float, float]:
    """Run a command to its end; gives CPU and elapsed milliseconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    elapsed, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent * 1e3, elapsed * 1e3


def served(folder: Path) -> tuple[float, float]:
    """Start the gateway; gives CPU and elapsed milliseconds until it answers that it is ready."""
    port = free_port()
    command = [BURSAR, "serve", "--port", str(port), "--budget", "$5/day"]
    with tempfile.TemporaryDirectory(dir=folder) as place:
        began = time.perf_counter()
        quiet = subprocess.DEVNULL
        with subprocess.Popen(command, cwd=place, stdin=quiet, stdout=quiet, stderr=quiet) as process:
            try:
                _await(f"http://127.0.0.1:{port}/readyz", began + WAIT_S)
                elapsed = time.perf_counter() - began
                spent = int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e6
            finally:
                process.terminate()
    return spent, elapsed * 1e3


def _await(url: str, ends: float) -> None:
    while time.perf_counter() < ends:
        try:
            urllib.request.urlopen(url, timeout=1).read()
        except urllib.error.HTTPError as error:
            # Not ready is an answer, too, but not the one that is waited for.
            if error.code != 503:
                raise
        except OSError:
            time.sleep(0.005)
        else:
            return
    raise SystemExit("bursar serve did not answer")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=15)
    asked = words.parse_args()
    python, _ = sys.executable, cores()
    with tempfile.TemporaryDirectory(prefix="bursar-bench-") as name:
        variants: dict[str, tuple[Callable[[], tuple[float, float]], str]] = {
            "python -c pass": (lambda: timed(python, "-c", "pass"), ""),
            "python -c 'import bursar'": (lambda: timed(python, "-c", "import bursar"), "≤ 150 ms"),
            "bursar --help": (lambda: timed(BURSAR, "--help"), "CPU ≤ 100 ms"),
            "bursar serve, until it is ready": (lambda: served(Path(name)), "≤ 1,000 ms elapsed"),
        }
        found: dict[str, list[tuple[float, float]]] = {variant: [] for variant in variants}
        for number in range(asked.rounds + 1):
            for variant, (measure, _) in variants.items():
                once = measure()
                if number:  # The first round warms the disk's cache, and writes byte code.
                    found[variant].append(once)
    least = median(spent for spent, _ in found["python -c pass"])
    print(f"{time.strftime('%Y-%m-%d')}, Python {sys.version.split()[0]}, {asked.rounds} rounds\n")
    print("| | CPU ms | × python | elapsed ms | target |\n|---|---|---|---|---|")
    for variant, times in found.items():
        spent, elapsed = zip(*times, strict=True)
        told = [f"{median(one):.0f} ({min(one):.0f}–{max(one):.0f})" for one in (spent, elapsed)]
        print(f"| {variant} | {told[0]} | {median(spent) / least:.1f} | {told[1]} | {variants[variant][1]} |")


if __name__ == "__main__":
    main()
