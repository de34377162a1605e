"""Tell where the gateway's microseconds go: its functions by own time, under the same load as bench/gateway.py.

    python bench/hotspots.py [--kind whole] [--seconds 8] [--connections 16] [--with py-spy|cprofile|both] [--top 25]

py-spy samples from outside, 500 times a second, so that its shares are near the true ones (it stops the process for
a moment each time); each thread's samples share what the kernel says that this thread spent. It is brought from PyPI
into a temporary folder. cProfile counts calls, and makes small functions look dearer than they are. (Not named
`profile.py`: cProfile imports the standard library's module of that name, and a script's own folder comes first.)
"""

from __future__ import annotations

import argparse
import collections
import pstats
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from rig import cores, load, need
from subjects import Bench, Subject, check

from upstream import KINDS, write_script

PY_SPY = "py-spy==0.4.3"
RATE = 500
WAITS = ("ThreadedStore._next_batch ", "_worker ")
INNER = re.compile(r"\((bursar|aiohttp|uvicorn|json)/(?!cli/)")
PLACES = re.compile(r".*/(?:site-packages|lib/python3\.\d+|src)/")


def py_spy_in(folder: Path) -> Path:
    """Bring py-spy."""
    target = folder / "py-spy"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), PY_SPY]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return target / "bin/py-spy"


def short(place: str) -> str:
    return PLACES.sub("", place)


# --- py-spy -----------------------------------------------------------------------------------------------------------


def thread_us(pid: int) -> dict[str, float]:
    """Give the CPU microseconds of each thread of a process, as the kernel accounts for them."""
    tasks = Path(f"/proc/{pid}/task")
    return {task.name: int((task / "schedstat").read_text().split()[0]) / 1e3 for task in tasks.iterdir()}


def sample(
    tool: Path, subject: Subject, script: Path, options: argparse.Namespace
) -> tuple[Path, dict[str, float], float]:
    """Load and sample; gives the stacks, each thread's CPU µs a request, and requests a second meanwhile."""
    stacks = script.parent / "stacks"
    words = ["record", "--pid", str(subject.pid), "--format", "raw", "--rate", str(RATE), "--threads"]
    words += ["--duration", str(round(options.seconds)), "-o", str(stacks), *(["--native"] if options.native else [])]
    before = thread_us(subject.pid)
    with subprocess.Popen([tool, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as recording:
        found = load(script, subject.url(options.kind), options.connections, options.seconds + 1, subject.pid)
        after = thread_us(subject.pid)
        recording.wait(30)
    return stacks, {thread: (us - before.get(thread, 0)) / found.count for thread, us in after.items()}, found.per_s


def folded(stacks: Path) -> Iterator[tuple[str, list[str], int]]:
    """Give (thread, frames, samples), without those in which a thread merely waits for work."""
    for line in stacks.read_text().splitlines():
        frames, _, count = line.rpartition(" ")
        thread, *rest = frames.split(";")
        if rest and not rest[-1].startswith(WAITS):
            yield thread, rest, int(count)


def weighed(stacks: Path, cpu_us: dict[str, float]) -> Iterator[tuple[list[str], float]]:
    """Give stacks with the microseconds a request that they stand for: a thread's samples share its own CPU time."""
    known = list(folded(stacks))
    totals: collections.Counter[str] = collections.Counter()
    for thread, _, count in known:
        totals[thread] += count
    for thread, frames, count in known:
        number = re.search(r"(\d+)", thread)
        yield frames, count / totals[thread] * cpu_us.get(number[1] if number else "", 0.0)


def tell_samples(stacks: Path, cpu_us: dict[str, float], top: int) -> None:
    """Print what each function costs a request, by itself and with what it calls."""
    own: dict[str, float] = collections.defaultdict(float)
    both: dict[str, float] = collections.defaultdict(float)
    lines: dict[str, float] = collections.defaultdict(float)
    for frames, spent in weighed(stacks, cpu_us):
        named = [re.sub(r":\d+\)$", ")", frame) for frame in frames]
        own[named[-1]] += spent
        lines[frames[-1]] += spent
        for name in set(named):
            both[name] += spent
    print(
        "CPU µs a request by thread:",
        ", ".join(f"{us:.0f}" for us in sorted(cpu_us.values(), reverse=True) if us > 0.5),
    )
    print(f"\nby own time\n{'own µs':>8}{'with µs':>9}")
    for name, spent in dearest(own)[:top]:
        print(f"{spent:8.1f}{both[name]:9.1f}   {short_frame(name)}")
    print(f"\nby own time, line by line\n{'own µs':>8}")
    for name, spent in dearest(lines)[:top]:
        print(f"{spent:8.1f}   {short_frame(name)}")
    print(f"\nby time with callees, in bursar, aiohttp and uvicorn\n{'with µs':>8}{'own µs':>8}")
    inner = [(name, spent) for name, spent in dearest(both) if INNER.search(name)]
    for name, spent in inner[: top * 2]:
        print(f"{spent:8.1f}{own[name]:8.1f}   {short_frame(name)}")


def dearest(spent: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(spent.items(), key=lambda one: -one[1])


def short_frame(frame: str) -> str:
    name, _, place = frame.partition(" (")
    return f"{name}  {short(place.rstrip(')'))}"


# --- cProfile ---------------------------------------------------------------------------------------------------------


def tell_profile(file: Path, calls: int, top: int) -> None:
    """Print what cProfile found in each thread, a request."""
    for path, title in ((file, "the event loop's thread"), (Path(f"{file}.ledger"), "the ledger's thread")):
        stats = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]
        print(f"\n{title}, by own time\n  calls   own µs   with µs   (a request)")
        for (place, line, name), (_, count, own, both, _) in sorted(stats.items(), key=lambda one: -one[1][2])[:top]:
            where = f"{short(place)}:{line}" if line else ""
            print(f"{count / calls:7.1f} {own / calls * 1e6:8.1f} {both / calls * 1e6:9.1f}   {name}  {where}")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--kind", choices=KINDS, default="whole")
    words.add_argument("--seconds", type=float, default=8)
    words.add_argument("--connections", type=int, default=16)
    words.add_argument("--with", dest="how", choices=("py-spy", "cprofile", "both"), default="py-spy")
    words.add_argument("--native", action="store_true", help="py-spy also tells functions of C extensions; slower")
    words.add_argument("--top", type=int, default=25)
    options = words.parse_args()
    need()
    core, core_load = cores()
    with tempfile.TemporaryDirectory(prefix="bursar-bench-") as name:
        folder = Path(name)
        script = write_script(folder, options.kind)
        bench = Bench(folder, core, core_load)
        with bench.upstream():
            if options.how != "cprofile":
                tool = py_spy_in(folder)
                with bench.subject("bursar") as subject:
                    check(subject)
                    load(script, subject.url(options.kind), options.connections, 2)
                    stacks, cpu_us, per_s = sample(tool, subject, script, options)
                spent = f"{sum(cpu_us.values()):.0f} µs, {per_s:.0f}/s"
                print(f"\n## {options.kind}, {options.connections} connections: {spent}\n")
                tell_samples(stacks, cpu_us, options.top)
            if options.how != "py-spy":
                file = folder / "profile"
                with bench.subject("bursar", ("--profile", str(file))) as subject:
                    check(subject)
                    found = load(script, subject.url(options.kind), options.connections, options.seconds, subject.pid)
                print(f"\n## {options.kind}: cProfile, {found.cpu_us:.0f} µs a request, {found.per_s:.0f}/s under it")
                tell_profile(file, found.count, options.top)


if __name__ == "__main__":
    main()
