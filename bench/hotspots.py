"""Tell where the gateway's microseconds go: its functions by own time, under the same load as bench/gateway.py.

    python bench/hotspots.py [--kind whole] [--seconds 8] [--connections 16] [--with py-spy|cprofile|both] [--top 25]

py-spy samples from outside and hardly slows anything, so that its shares are the true ones; it is brought from PyPI into
a temporary folder. cProfile counts calls, and makes small functions look dearer than they are. (Not named `profile.py`:
cProfile imports the standard library's module of that name, and a script's own folder comes first.)
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


def sample(tool: Path, subject: Subject, script: Path, options: argparse.Namespace) -> tuple[Path, float, float]:
    """Load and sample; gives the stacks, and CPU µs a request and requests a second meanwhile."""
    stacks = script.parent / "stacks"
    words = ["record", "--pid", str(subject.pid), "--format", "raw", "--rate", str(RATE), "--threads"]
    words += ["--duration", str(round(options.seconds)), "-o", str(stacks), *(["--native"] if options.native else [])]
    with subprocess.Popen([tool, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as recording:
        found = load(script, subject.url(options.kind), options.connections, options.seconds + 1, subject.pid)
        recording.wait(30)
    return stacks, found.cpu_us, found.per_s


def folded(stacks: Path) -> Iterator[tuple[list[str], int]]:
    for line in stacks.read_text().splitlines():
        frames, _, count = line.rpartition(" ")
        yield frames.split(";"), int(count)


def tell_samples(stacks: Path, cpu_us: float, top: int) -> None:
    """Print each function's share of the samples, and what that is of a request's CPU."""
    own: collections.Counter[str] = collections.Counter()
    whole: collections.Counter[str] = collections.Counter()
    lines: collections.Counter[str] = collections.Counter()
    threads: collections.Counter[str] = collections.Counter()
    total = 0
    for (thread, *frames), count in folded(stacks):
        named = [re.sub(r":\d+\)$", ")", frame) for frame in frames]
        total += count
        threads[thread] += count
        own[named[-1] if named else thread] += count
        lines[frames[-1] if frames else thread] += count
        for name in set(named):
            whole[name] += count
    print(f"{total:,} samples at {RATE}/s; µs are a share of {cpu_us:.0f} µs of CPU a request\n")
    for thread, count in threads.most_common():
        print(f"{count / total:6.1%}  {count / total * cpu_us:6.0f} µs  {thread}")
    for title, first in (("by own time", own), ("by own time, line by line", lines), ("by time with callees", whole)):
        print(f"\n{title}\n   own    own µs   with   with µs")
        for name, _ in first.most_common(top):
            mine = lines[name] if first is lines else own[name]
            both = whole.get(name, mine)
            figures = f"{mine / total:6.1%} {mine / total * cpu_us:7.1f} {both / total:7.1%} {both / total * cpu_us:7.1f}"
            print(f"{figures}   {short_frame(name)}")


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
                print(f"\n## {options.kind}, {options.connections} connections: {cpu_us:.0f} µs, {per_s:.0f}/s (sampled)\n")
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
