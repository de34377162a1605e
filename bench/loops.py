"""Count what the loop rules stop falsely, how soon they catch planted loops, and what they cost a step.

    python bench/loops.py [--trajectories ../shared/trajectories] [--seeds 50]

Real runs that ended well are replayed as every API's requests; a rule that fires on one is a false stop. Each planted
loop comes after up to 12 healthy steps, from a seed. Times are of one thread that does nothing else; what a step costs
is put beside what parsing the same body costs, measured in the same run.
"""

from __future__ import annotations

import argparse
import collections
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.guards.loops.runs import (  # noqa: E402
    KINDS,
    WIRES,
    Planter,
    Run,
    caught_after,
    findings,
    planted,
    real_runs,
    request,
    within,
)

from bursar.core.loops import LOOPS  # noqa: E402
from bursar.guards.loops.watch import RunLoops  # noqa: E402
from bursar.wire.strict_json import parse  # noqa: E402

THRESHOLDS = {
    "row": (3, 4, 5),
    "row_alike": (3, 4, 5, 6),
    "again": (3, 4, 5),
    "cycle": (2, 3),
    "rounds": (4, 6, 8),
    "error": (2, 3, 4),
    "error_alike": (3, 4, 5),
    "exchange": (2, 3, 4),
    "stale_steps": (3, 4, 5, 8),
}
STEPS, STEP_BYTES = 200, 3_000


def false_stops(runs: list[Run]) -> None:
    """Print how many real runs each rule stops at some thresholds, and all of them together at their defaults."""
    steps = sum(len(run.steps) for run in runs)
    print(f"false stops, of {len(runs)} replays of real runs, {steps:,} steps; (default)")
    off = replace(LOOPS, **dict.fromkeys(THRESHOLDS, 0), stale_nano=0, openings=0)
    for name, thresholds in THRESHOLDS.items():
        counts = []
        for threshold in thresholds:
            settings = replace(off, **{name: threshold}, stale_nano=1 if name == "stale_steps" else 0)
            stopped = sum(any(found for _, found in findings("openai.chat", run, settings)) for run in runs)
            mark = f"({threshold})" if threshold == getattr(LOOPS, name) else str(threshold)
            counts.append(f"{mark}: {stopped}")
        print(f"  {name:12} {'  '.join(counts)}")
    for wire in WIRES:
        rules = collections.Counter(
            finding.rule for run in runs for _, found in findings(wire, run) for finding in found
        )
        print(f"  all, {wire:20} {sum(rules.values())} {dict(rules) or ''}")


def steps_to_catch(seeds: int) -> None:
    """Print within how many steps of its loop each kind is caught."""
    print(f"\nsteps to catch: least-most of {seeds} seeds (promised)")
    print(f"  {'':40}" + "".join(f"{wire:>22}" for wire in WIRES))
    for kind in KINDS:
        cells = []
        for wire in WIRES:
            caught = []
            for seed in range(seeds):
                run, before = planted(kind, seed)
                after = caught_after(wire, run)
                if after is not None:
                    caught.append(after - before)
            most = within(kind, wire)
            shown = f"{min(caught)}-{max(caught)} ({most})" if caught else "-"
            cells.append(f"{shown}{'' if len(caught) == seeds or most is None else f', {seeds - len(caught)} missed'}")
        print(f"  {kind:40}" + "".join(f"{cell:>22}" for cell in cells))


def cost() -> None:
    """Print what a step of a long conversation costs, beside parsing its body."""
    planter = Planter(1)
    steps = tuple(replace(planter.call(), answer=planter.text(STEP_BYTES // 6)) for _ in range(STEPS))
    run = Run("long", steps)
    print(f"\nmicroseconds a step, conversation of {STEPS * 2} messages")
    for wire in (each for each in WIRES if "+" not in each):
        asked = [request(wire, run, count) for count in range(STEPS - 60, STEPS + 1)]
        raw = json.dumps(asked[-1].body).encode()
        known = RunLoops()
        known.look("c", asked[0])
        steps_us = [_timed(lambda each, known=known: known.look("c", each), each) for each in asked[1:]]
        first_us = [_timed(lambda each: RunLoops().look("c", each), each) for each in asked[1:]]
        parsing_us = [_timed(parse, raw) for _ in range(20)]
        known_us, whole_us = statistics.median(steps_us), statistics.median(parsing_us)
        print(
            f"  {wire:20} {len(raw):,} bytes: known {known_us:.0f} (most {max(steps_us):.0f}), seen for the first time "
            f"{statistics.median(first_us):.0f}, parsing {whole_us:.0f}; {100 * known_us / whole_us:.1f} % of parsing"
        )


def _timed(act: Callable[[Any], object], what: object) -> float:
    began = time.perf_counter_ns()
    act(what)
    return (time.perf_counter_ns() - began) / 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trajectories", type=Path, default=ROOT.parent / "shared" / "trajectories")
    parser.add_argument("--seeds", type=int, default=50)
    options = parser.parse_args()
    if options.trajectories.is_dir():
        false_stops(real_runs(options.trajectories))
    else:
        print(f"no real runs at {options.trajectories}: false stops are not counted")
    steps_to_catch(options.seeds)
    cost()


if __name__ == "__main__":
    main()
