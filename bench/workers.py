"""Measure one, two and four workers of a gateway on one SQLite file, and whether its books still balance.

    python bench/workers.py [--rounds 3] [--seconds 3] [--connections 32]

Workers, load and upstream share all cores here: nothing is pinned, so compare the rows and nothing else. After each
load every answer that wrk counted must stand in the ledger, settled, against five budgets; nothing may be held; and
every balance must be the sum of its entries (`bursar verify`).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))

from rig import free_port, load, need, running
from subjects import CONFIG, Subject, check_ledger

from upstream import write_script, write_upstream

WORKERS = (1, 2, 4)


@contextmanager
def gateway(folder: Path, workers: int, upstream: int) -> Iterator[Subject]:
    folder.mkdir()
    port, config = free_port(), folder / "bursar.yaml"
    text = CONFIG.format(port=port, path=folder / "ledger.db", upstream=upstream)
    config.write_text(text.replace("server: {", f"server: {{workers: {workers}, "))
    command = [str(Path(sys.executable).with_name("bursar")), "serve", "--config", str(config)]
    with running(command, None, f"http://127.0.0.1:{port}/healthz", folder / "log") as pid:
        yield Subject("bursar", pid, port, folder / "ledger.db")


def verified(subject: Subject) -> str:
    """Let the command line prove the books of a gateway that has stopped."""
    assert subject.ledger is not None
    command = [str(Path(sys.executable).with_name("bursar")), "verify", "--store", str(subject.ledger)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "balanced" if done.returncode == 0 else done.stdout + done.stderr


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--seconds", type=float, default=3)
    words.add_argument("--connections", type=int, default=32)
    asked = words.parse_args()
    need()
    found: dict[tuple[int, str], list[float]] = {}
    books: dict[int, str] = {}
    with tempfile.TemporaryDirectory(prefix="bursar-bench-") as name:
        folder, port = Path(name), free_port()
        (folder / "upstream").mkdir()
        conf = write_upstream(folder / "upstream", port)
        script = write_script(folder, "whole")
        with running(["nginx", "-c", str(conf)], None, f"http://127.0.0.1:{port}/whole", folder / "log"):
            for number in range(asked.rounds):
                for workers in WORKERS:
                    with gateway(folder / f"{number}-{workers}", workers, port) as subject:
                        warm = load(script, subject.url("whole"), asked.connections, 1, subject.pid)
                        one = load(script, subject.url("whole"), asked.connections, asked.seconds, subject.pid)
                        check_ledger(subject, warm.count + one.count)
                    books[workers] = verified(subject)
                    for what in ("per_s", "cpu_us", "p50_ms"):
                        found.setdefault((workers, what), []).append(getattr(one, what))
    print("| workers | requests/s | × one | CPU µs a request | p50 ms | books |\n|---|---|---|---|---|---|")
    for workers in WORKERS:
        per_s, cpu_us, p50_ms = (median(found[workers, what]) for what in ("per_s", "cpu_us", "p50_ms"))
        times = per_s / median(found[1, "per_s"])
        print(f"| {workers} | {per_s:,.0f} | {times:.2f} × | {cpu_us:,.0f} | {p50_ms:.1f} | {books[workers]} |")


if __name__ == "__main__":
    main()
