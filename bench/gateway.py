"""Measure what bursar's gateway costs, beside nginx and a bare proxy on the same server and client, in one run.

    python bench/gateway.py [--rounds 5] [--seconds 3] [--only whole,stream,agent,stalls,memory] [--quick]

Each round starts every subject afresh, one after the other, in an order that turns; figures are medians over rounds,
least and most in brackets. What it prints is Markdown. bench/README.md tells the method, and what it cannot tell.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))

from rig import Load, cores, load, need, peak_mb, resident_mb
from subjects import SUBJECTS, Bench, Subject, check, check_ledger, stalls_of

from upstream import KINDS, write_script

CONNECTIONS = (1, 16, 64)
CONNECTIONS_MAIN = 16
"""Where CPU and rate are read."""
PARTS = (*KINDS, "stalls", "memory")
MEMORY_AT = (20_000, 200_000)
WHAT = {
    "whole": "2 kB chat request, whole answer of 2 kB",
    "stream": "2 kB chat request, streamed in 20 pieces",
    "agent": "600 kB agent request (long history, 40 tools), whole answer of 2 kB",
}


@dataclass(slots=True)
class Found:
    """What was found so far."""

    loads: dict[tuple[str, str, int], list[Load]] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    peaks: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    stalls: dict[tuple[str, int], list[dict[str, float]]] = field(default_factory=dict)
    memory: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    def of(self, subject: str, kind: str, connections: int, name: str) -> list[float]:
        return [getattr(one, name) for one in self.loads[subject, kind, connections]]

    def middle(self, subject: str, kind: str, connections: int, name: str) -> float:
        return median(self.of(subject, kind, connections, name))

    def added(self, subject: str, kind: str, connections: int, name: str) -> float:
        """Give the milliseconds that a subject adds to what the upstream takes by itself, asked in the same run."""
        return self.middle(subject, kind, connections, name) - self.middle("upstream", kind, connections, name)


@dataclass(frozen=True, slots=True)
class Run:
    """One run's places and sizes."""

    bench: Bench
    upstream: Subject
    scripts: dict[str, Path]
    kinds: tuple[str, ...]
    rounds: int
    seconds: float
    memory_at: tuple[int, ...]
    found: Found

    def go(self, subject: Subject, kind: str, connections: int, seconds: float | None = None) -> Load:
        pid = None if subject is self.upstream else subject.pid
        return load(self.scripts[kind], subject.url(kind), connections, seconds or self.seconds, pid)


# --- measuring --------------------------------------------------------------------------------------------------------


@contextmanager
def started(run: Run, name: str, beside: Sequence[str] = ()) -> Iterator[Subject]:
    """Start a subject and see that it answers rightly; the upstream stands already."""
    if name == "upstream":
        yield run.upstream
        return
    with run.bench.subject(name, beside) as subject:
        run.found.parts[name] = check(subject)
        yield subject


def measure_loads(run: Run, number: int) -> None:
    names = ("upstream", *SUBJECTS)
    turn = number % len(names)
    for kind in run.kinds:
        for name in (*names[turn:], *names[:turn]):
            with started(run, name) as subject:
                count = run.go(subject, kind, CONNECTIONS_MAIN, 1).count
                for connections in CONNECTIONS:
                    one = run.go(subject, kind, connections)
                    run.found.loads.setdefault((name, kind, connections), []).append(one)
                    count += one.count
                run.found.peaks.setdefault((name, kind), []).append(peak_mb(subject.pid))
                if name == "bursar":
                    check_ledger(subject, count)


def measure_stalls(run: Run) -> None:
    """Measure in rounds of their own: the probe costs CPU."""
    for kind in run.kinds:
        with started(run, "bursar", ("--stalls", "{stalls}")) as subject:
            run.go(subject, kind, CONNECTIONS_MAIN, 1)
            for connections in CONNECTIONS:
                stalls_of(subject)
                run.go(subject, kind, connections)
                run.found.stalls.setdefault((kind, connections), []).append(stalls_of(subject))


def measure_memory(run: Run) -> None:
    for name in SUBJECTS:
        with started(run, name) as subject:
            seen = run.found.memory[name] = [(0, resident_mb(subject.pid))]
            count = 0
            per_s = 1_000.0
            for most in run.memory_at:
                while count < most:
                    one = run.go(subject, "whole", CONNECTIONS_MAIN, min(10.0, (most - count) / per_s + 0.5))
                    count, per_s = count + one.count, one.per_s
                seen.append((count, resident_mb(subject.pid)))


# --- telling ----------------------------------------------------------------------------------------------------------


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def head(*cells: str) -> None:
    row(*cells)
    print("|" + "---|" * len(cells))


def spread(values: Sequence[float], digits: int = 0) -> str:
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def ratio(value: float, yardstick: float) -> str:
    return f"{value / yardstick:.1f} ×" if yardstick > 0 else "–"


def tell_loads(found: Found, kind: str) -> None:
    print(f"\n### {WHAT[kind]}\n\nCPU and rate at {CONNECTIONS_MAIN} connections; peak memory after all three loads.\n")
    head("", "CPU µs a request", "× nginx", "requests/s", "× nginx", "peak MB", "× nginx")
    for name in SUBJECTS:
        at = (kind, CONNECTIONS_MAIN)
        cells: list[str] = []
        for what in ("cpu_us", "per_s"):
            cells += [
                spread(found.of(name, *at, what)),
                ratio(found.middle(name, *at, what), found.middle("nginx", *at, what)),
            ]
        peak = median(found.peaks[name, kind])
        row(name, *cells, f"{peak:.0f}", ratio(peak, median(found.peaks["nginx", kind])))
    print("\nMilliseconds added to what the upstream takes alone (its own in the last line).\n")
    head("", *(f"{what}, {n}" for n in CONNECTIONS for what in ("p50", "× nginx", "p99", "× nginx")))
    for name in SUBJECTS:
        cells = []
        for connections in CONNECTIONS:
            for what in ("p50_ms", "p99_ms"):
                added = found.added(name, kind, connections, what)
                cells += [f"{added:.2f}", ratio(added, found.added("nginx", kind, connections, what))]
        row(name, *cells)
    own = [found.middle("upstream", kind, n, what) for n in CONNECTIONS for what in ("p50_ms", "p99_ms")]
    row("upstream alone", *(cell for one in own for cell in (f"{one:.2f}", "")))


def tell_stalls(found: Found) -> None:
    print("\n### The event loop\n\nLongest in one load, milliseconds, most of all rounds; nginx has no such loop.\n")
    head("", "connections", "late (a stall)", "of it the loop's own work", "one garbage collection")
    for (kind, connections), stalls in found.stalls.items():
        most = [max(one[what] for one in stalls) for what in ("late", "worked", "collected")]
        row(kind, connections, *(f"{one:.1f}" for one in most))


def tell_memory(found: Found) -> None:
    print("\n### Memory\n\nResident MB at the start, and after so many whole 2 kB requests.\n")
    head("", *(f"after {count:,}" if count else "at the start" for count, _ in found.memory["bursar"]), "last × nginx")
    last = found.memory["nginx"][-1][1]
    for name, seen in found.memory.items():
        row(name, *(f"{size:.0f}" for _, size in seen), ratio(seen[-1][1], last))


def targets(found: Found) -> Iterator[tuple[str, float, float]]:
    """Give each target that this run has a figure for: its words, the figure, the most that it may be."""
    at, one = CONNECTIONS_MAIN, 1
    has = {kind for _, kind, _ in found.loads}
    for kind, most in (("whole", 11), ("stream", 4)):
        if kind in has:
            times = found.middle("bursar", kind, at, "cpu_us") / found.middle("nginx", kind, at, "cpu_us")
            yield f"{kind}: CPU as a multiple of nginx's", times, most
    if "whole" in has:
        yield "whole: p50 added at one connection, ms", found.added("bursar", "whole", one, "p50_ms"), 0.5
        yield "whole: requests a second on one worker", -found.middle("bursar", "whole", at, "per_s"), -4_000
    if "agent" in has:
        yield "agent: p50 added at one connection, ms", found.added("bursar", "agent", one, "p50_ms"), 12
    if ("agent", one) in found.stalls:
        for connections in (one, at):
            longest = max(stall["late"] for stall in found.stalls["agent", connections])
            yield f"agent: longest stall at {connections} connections, ms", longest, 10
    if found.memory:
        sizes = [size for _, size in found.memory["bursar"]]
        yield "memory, MB", max(sizes), 70
        yield "memory: growth from the second figure to the last, %", (sizes[-1] / sizes[1] - 1) * 100, 5


def tell_targets(found: Found) -> None:
    print("\n### Targets\n")
    head("", "found", "target", "")
    for words, figure, most in targets(found):
        sign = "≥" if most < 0 else "≤"
        row(
            words,
            f"{abs(figure) if most < 0 else figure:,.2f}",
            f"{sign} {abs(most):,g}",
            "met" if figure <= most else "MISSED",
        )


def tell(run: Run, found: Found, core: int) -> None:
    wrk = (
        subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.split("\n")[0].split(" [")[0]
    )
    nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=False).stderr.strip().split(": ")[-1]
    print(f"\n## {time.strftime('%Y-%m-%d')}: {run.rounds} rounds of {run.seconds:g} s\n")
    where = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, measured on core {core}"
    print(f"{nginx}, {wrk}, {where}.")
    print(f"A client reads the stream of 20 events in so many pieces: {found.parts}.")
    for kind in run.kinds:
        if ("nginx", kind, CONNECTIONS_MAIN) in found.loads:
            tell_loads(found, kind)
    if found.stalls:
        tell_stalls(found)
    if found.memory:
        tell_memory(found)
    tell_targets(found)


def asked() -> argparse.Namespace:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--seconds", type=float, default=3, help="of each load; whole seconds")
    words.add_argument("--only", help=f"some of {','.join(PARTS)}; stalls with a kind are those of that kind")
    words.add_argument("--quick", action="store_true", help="one round of 1 s, and a tenth of the memory's requests")
    options = words.parse_args()
    options.only = tuple((options.only or ",".join(PARTS)).split(","))
    if unknown := set(options.only) - set(PARTS):
        words.error(f"--only: {', '.join(sorted(unknown))}: none of {', '.join(PARTS)}")
    if options.quick:
        options.rounds, options.seconds = 1, 1
    return options


def main() -> None:
    options = asked()
    need()
    core, core_load = cores()
    kinds = tuple(kind for kind in KINDS if kind in options.only)
    memory_at = tuple(count // 10 for count in MEMORY_AT) if options.quick else MEMORY_AT
    with tempfile.TemporaryDirectory(prefix="bursar-bench-") as name:
        folder, found = Path(name), Found()
        scripts = {kind: write_script(folder, kind) for kind in KINDS}
        bench = Bench(folder, core, core_load)
        with bench.upstream() as upstream:
            found.parts["upstream"] = check(upstream)
            run = Run(bench, upstream, scripts, kinds or KINDS, options.rounds, options.seconds, memory_at, found)
            for number in range(options.rounds):
                print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
                if kinds:
                    measure_loads(run, number)
                if "stalls" in options.only:
                    measure_stalls(run)
            if "memory" in options.only:
                measure_memory(run)
        tell(run, found, core)


if __name__ == "__main__":
    main()
