"""`bursar run`: programs that know nothing of bursar, unchanged, with the real SDK, curl and Node."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
import venv
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.run_rig import PRICES, PROGRAMS, RUNAWAY, House, environment, house, ran, running

from bursar.core.hold import State
from bursar.testing import Rates, Script

pytestmark = pytest.mark.slow

DOLLAR = 1_000_000_000
MINUTE_NS = 60 * 10**9
PYTHON = sys.executable
ASK = str(PROGRAMS / "ask.py")
NODE, CURL = shutil.which("node"), shutil.which("curl")
RUNAWAYS = {
    "loop": [PYTHON, RUNAWAY, "plain"],
    "threads": [PYTHON, RUNAWAY, "threads"],
    "subprocess": [PYTHON, RUNAWAY, "child"],
    "asyncio": [PYTHON, RUNAWAY, "tasks"],
    "curl": ["sh", str(PROGRAMS / "runaway.sh")],
    "node": ["node", str(PROGRAMS / "runaway.mjs")],
}
SAID = "[{'role': 'user', 'content': 'hello'}]"
ONCE = f"openai.OpenAI(api_key='k').chat.completions.create(model='m', max_tokens=5000, messages={SAID})"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    """Wait for what another process does."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        os.sched_yield()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("kind", RUNAWAYS)
def test_a_runaway_that_swallows_every_error_ends_with_3_and_its_budget_unpassed(home: House, kind: str) -> None:
    if (kind == "node" and NODE is None) or (kind == "curl" and CURL is None):
        pytest.skip(f"no {kind} here")
    told = ran(home, "--budget", "1", "--run", "r-1", "--", *RUNAWAYS[kind])
    assert told.returncode == 3, told.stderr
    assert told.stdout.splitlines() == ["ok"] * 4
    assert home.requests == 4
    assert home.provider.invoice(calls=0)["total_nano"] == DOLLAR
    assert {row.labels["run"] for row in home.holds()} == {"r-1"}
    assert len([row for row in home.holds() if row.state is State.SETTLED]) == 4
    home.assert_sound()
    *_, spent, stopped, ended, more = told.stderr.splitlines()
    assert spent == "bursar: $1.00 of $1.00 spent, 4 calls, 40 tokens in, 20,000 out; left: $0.00"
    assert stopped.startswith("bursar: STOPPED: Budget 'run': $1.00 of $1.00 used")
    assert re.fullmatch(r"bursar: it went on asking after [\d,]+ refusals and was ended", ended)
    assert more == "bursar: the story: bursar runs show r-1"


def test_one_that_ends_well_keeps_its_exit_code_and_its_output(home: House) -> None:
    told = ran(home, "--budget", "1", "--", PYTHON, "-c", f"import openai; {ONCE}; print('done'); raise SystemExit(7)")
    assert (told.returncode, told.stdout) == (7, "done\n")
    assert told.stderr.startswith("bursar: $0.25 of $1.00 spent, 1 call, 10 tokens in, 5,000 out; left: $0.75\n")


def test_one_that_does_nothing_costs_nothing(home: House) -> None:
    told = ran(home, "--budget", "1", "--", "true")
    assert (told.returncode, told.stdout) == (0, "")
    assert told.stderr == "bursar: $0.00 of $1.00 spent, 0 calls, 0 tokens in, 0 out; left: $1.00\n"
    assert ran(home, "-q", "--", "true").stderr == ""


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ([PYTHON, "-c", "raise ValueError"], 1),
        ([PYTHON, "-c", "import os; os.kill(os.getpid(), 9)"], 128 + 9),
        (["sh", "-c", "kill -TERM $$"], 128 + 15),
        (["there-is-no-such-program"], 127),
        ([str(PROGRAMS / "runaway.sh")], 126),
    ],
    ids=["crash", "killed", "terminated", "not-found", "not-executable"],
)
def test_its_end_is_told_by_the_exit_code(home: House, command: list[str], code: int) -> None:
    assert ran(home, "--budget", "1", "--", *command).returncode == code


def test_one_that_heeds_its_first_refusal_is_not_killed_and_still_ends_with_3(home: House) -> None:
    program = f"import openai\ntry:\n    while True: {ONCE}\n"
    program += "except openai.APIStatusError as e: print(e.status_code, type(e).__name__)"
    told = ran(home, "--budget", "$0.50", "--", PYTHON, "-c", program)
    assert (told.returncode, told.stdout) == (3, "402 BudgetExceeded\n")
    assert "STOPPED" in told.stderr and "was ended" not in told.stderr


SPEED = 3000
LONG = Script(
    output_tokens=20_000,
    tokens_per_s=SPEED,
    tokens_per_event=20,
    run_ahead_tokens=200,
    rates=Rates(input=0, cache_read=0, output=50_000_000),
)
"""A dollar's worth."""


@pytest.mark.parametrize(("way", "code"), [("one", 3), ("two", 3), ("raw", 3), ("capped", 0), ("inner", 0)], ids=str)
def test_an_answer_that_the_budget_ended_is_told_with_3_even_if_it_was_the_last(
    tmp_path: Path, way: str, code: int
) -> None:
    with house(tmp_path, LONG) as home:
        provider = f"providers:\n  openai: {{base_url: {home.url}, top_speed: {SPEED}, local: true}}\n"
        (home.path / "bursar.yaml").write_text(PRICES + provider)
        flag = ["-I"] if way == "raw" else []
        told = ran(home, "--budget", "0.50", "--", PYTHON, *flag, str(PROGRAMS / "stream.py"), way)
        assert set(told.stdout.split()) == {"length"}, told.stderr
        assert told.returncode == code, told.stderr
        stopped = "bursar: STOPPED: Budget 'run' has no room for more of this answer, which ends here"
        assert (stopped in told.stderr) is (code == 3) and "refusals" not in told.stderr
        assert ("cut" in {row.note.ended for row in home.holds()}) is (way == "two")
        home.assert_sound()


@pytest.mark.parametrize(("way", "code"), [("whole", 3), ("raw_whole", 3), ("goes_on", 0)], ids=str)
def test_a_last_answer_that_had_a_share_of_the_budget_and_ended_there_is_told_with_3(
    tmp_path: Path, way: str, code: int
) -> None:
    with house(tmp_path, replace(LONG, tokens_per_s=None)) as home:
        provider = f"providers:\n  openai: {{base_url: {home.url}, local: true}}\n"
        (home.path / "bursar.yaml").write_text(PRICES + provider)
        flag = ["-I"] if way == "raw_whole" else []
        told = ran(home, "--budget", "0.50", "--", PYTHON, *flag, str(PROGRAMS / "stream.py"), way)
        assert set(told.stdout.split()) == {"length"}, told.stderr
        assert told.returncode == code, told.stderr
        stopped = "bursar: STOPPED: Budget 'run' had a share of what is left for this answer, which ended there"
        assert (stopped in told.stderr) is (code == 3) and "left: $0.29" in told.stderr
        home.assert_sound()


def test_it_may_go_on_asking_when_nobody_wants_it_ended(home: House) -> None:
    program = "import ask\nfor _ in range(40): ask.ask()\nprint('done')"
    told = ran(home, "--requests", "1", "--stop-after", "0", "--", PYTHON, "-c", program, PYTHONPATH=str(PROGRAMS))
    assert (told.returncode, told.stdout) == (3, "done\n")
    assert home.requests == 1


@pytest.mark.parametrize("flag", ["-I", "-S", "-E"])
def test_a_python_that_looks_at_nothing_is_counted_by_the_gateway(home: House, flag: str) -> None:
    told = ran(home, "--budget", "1", "--", PYTHON, flag, ASK)
    assert (told.returncode, told.stdout) == (0, "200\n")
    assert [row.state for row in home.holds()] == [State.SETTLED]
    assert home.requests == 1


def test_a_program_in_another_environment_is_told_and_counted_by_the_gateway(home: House) -> None:
    venv.create(home.path / "other", with_pip=False)
    (home.path / "lib").mkdir()
    (home.path / "lib" / "httpx.py").write_text("it_is = 'theirs'\n")
    (home.path / "lib" / "sitecustomize.py").write_text(
        "import sys\nif 'other' in sys.prefix: print('theirs too', flush=True)\n"
    )
    program = f"import httpx, sys; print(httpx.it_is, 'click' in sys.modules); sys.path.append({str(PROGRAMS)!r}); "
    program += "import ask; print(ask.ask())"
    python = str(home.path / "other" / "bin" / "python")
    told = ran(home, "--budget", "1", "--", python, "-c", program, PYTHONPATH=str(home.path / "lib"))
    assert told.stdout == "theirs too\ntheirs False\n200\n", told.stderr
    assert "is not metered inside, since its environment has no " in told.stderr
    assert home.requests == len(home.holds()) == 1


def test_the_runs_gateway_is_for_the_run_alone(home: House) -> None:
    told = ran(home, "--budget", "1", "--", PYTHON, "-I", ASK, "wrong")
    assert told.stdout == "[200, 404]\n"
    assert home.requests == 1


def test_a_budget_inside_the_program_counts_as_well_and_is_its_own_matter(home: House) -> None:
    program = f"""
import bursar, openai
with bursar.budget("$0.50", agent="inner") as b:
    for _ in range(3):
        try: {ONCE}
        except bursar.BudgetExceeded as e: print(e)
print(b.calls)"""
    told = ran(home, "--budget", "1", "--agent", "outer", "--", PYTHON, "-c", program)
    assert told.returncode == 0, told.stderr
    assert "Budget 'inner'" in told.stdout and told.stdout.endswith("2\n")
    assert "$0.50 of $1.00 spent, 2 calls" in told.stderr
    assert home.requests == 2


def test_a_run_inside_a_run_cannot_outspend_it_and_each_call_counts_once(home: House) -> None:
    inner = [PYTHON, "-m", "bursar.cli", "run", "--budget", "5", "--", *RUNAWAYS["curl"]]
    told = ran(home, "--budget", "1", "--", *inner)
    assert told.returncode == 3
    assert home.requests == 4
    assert "$1.00 of $5.00 spent, 4 calls" in told.stderr and "$1.00 of $1.00 spent, 4 calls" in told.stderr
    assert len([row for row in home.holds() if row.state is State.SETTLED]) == 4


def test_labels_stand_on_every_call_whoever_makes_it(home: House) -> None:
    words = ("--agent", "a", "--task", "t", "--user", "u", "--label", "team=red", "--label", "colour=blue")
    ran(home, *words, "--", "sh", "-c", f'{PYTHON} -I {ASK}; {PYTHON} -c "import openai; {ONCE}"')
    rows = home.holds()
    assert len(rows) == home.requests == 2
    for row in rows:
        found = {name: row.labels[name] for name in ("agent", "task", "user", "team", "tag.colour")}
        assert found == {"agent": "a", "task": "t", "user": "u", "team": "red", "tag.colour": "blue"}
    assert len({row.labels["run"] for row in rows}) == 1


def test_guards_stop_it_with_3(home: House) -> None:
    told = ran(home, "--guards", "default", "--", *RUNAWAYS["loop"])
    assert told.returncode == 3
    by_minute: Counter[int] = Counter()
    for row in home.holds():
        by_minute[row.opened_ns // MINUTE_NS] += row.settled.cost_nano
    assert max(by_minute.values()) <= DOLLAR // 2 and sum(by_minute.values()) <= DOLLAR
    assert re.search("STOPPED: Budget 'guard (spend_per_minute|cost)'", told.stderr), "or a minute has just ended"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_passed_on(home: House, number: signal.Signals) -> None:
    program = "import signal, sys\nfor n in (2, 15): signal.signal(n, lambda n, _: (print(n), sys.exit(40 + n)))\n"
    program += "print('ready', flush=True)\nwhile True: signal.pause()"
    with running(home, "--budget", "1", "--", PYTHON, "-c", program) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (40 + number, f"{int(number)}\n")


def test_ctrl_c_at_a_terminal_comes_to_the_program_once(home: House) -> None:
    program = "import signal, sys, time\nhits = []\nsignal.signal(2, lambda *_: hits.append(1))\n"
    program += "print('ready', sys.stdin.isatty(), flush=True)\nwhile not hits: time.sleep(0.01)\ntime.sleep(0.5)\n"
    program += "print('hits', len(hits), flush=True)\nraise SystemExit(9)"
    command = [PYTHON, "-m", "bursar.cli", "run", "-q", "--", PYTHON, "-c", program]
    pid, terminal = pty.fork()
    if pid == 0:
        (home.path / "tmp").mkdir()
        os.chdir(home.path)
        os.execve(PYTHON, command, environment(home))
    read = b""
    while b"ready True" not in read:
        read += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    while b"hits 1" not in read:
        read += os.read(terminal, 1000)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 9


def test_a_run_that_is_killed_takes_gateway_and_program_with_it(home: House) -> None:
    program = f"import os, time; import sys; sys.path.append({str(PROGRAMS)!r}); import ask; ask.ask()\n"
    program += "print(os.getpid(), os.environ['OPENAI_BASE_URL'], flush=True)\nwhile True: time.sleep(9)"
    with running(home, "--budget", "1", "--", PYTHON, "-I", "-c", program) as process:
        assert process.stdout is not None
        pid, url = process.stdout.readline().split()
        process.kill()
        process.wait(30)
        until(lambda: not is_running(int(pid)))
    assert len(list((home.path / "tmp").glob("bursar-run-*"))) == 1
    assert ran(home, "--", "true").returncode == 0, "and the next run takes away what it has left behind"
    refused = subprocess.run(
        [PYTHON, "-I", ASK], env={"OPENAI_BASE_URL": url}, capture_output=True, text=True, check=False
    )
    assert "Connection refused" in refused.stderr


def test_what_a_program_started_is_ended_with_it(home: House) -> None:
    script = f'{PYTHON} -c "import time; time.sleep(999)" & echo $!; exec {PYTHON} {RUNAWAY} plain'
    told = ran(home, "--requests", "1", "--", "sh", "-c", script)
    assert told.returncode == 3
    assert not is_running(int(told.stdout.splitlines()[0]))


def test_a_ledger_in_memory_is_refused(home: House) -> None:
    told = ran(home, "--", "true", BURSAR_STORE_KIND="memory")
    assert told.returncode == 2
    assert "cannot be shared" in told.stderr
