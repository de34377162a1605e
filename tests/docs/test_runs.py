"""What docs/runs.md shows of runs is what the commands print, but for the time of day."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.filled import Filled, run

from bursar.core.admission import Ask, Cover
from bursar.core.charge import Amounts
from bursar.core.ledger import Note
from bursar.core.run import RunChange, RunVerb
from bursar.core.window import NS

HELD = Cover(100_000_000_000, 20_000_000, 20_000), Ask(5_000, 5_000)
PAGE = Path(__file__).parents[2] / "docs" / "runs.md"
SHOWN = re.findall(
    r"^```console\n\$ bursar (.*?)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
STEPS = (
    # run, after s, took s, model, cost in micro-USD, input, cached, output, tool calls, flags, seen
    ("outage-17", 0, 3, "gpt-5", 21_400, 5_120, 0, 1_500, 2, "", ""),
    ("outage-17", 4, 2, "gpt-5", 13_700, 8_960, 4_608, 760, 1, "", ""),
    ("outage-17", 7, 2, "gpt-5", 9_850, 10_240, 8_704, 700, 1, "", ""),
    ("outage-17", 10, 9, "gpt-5", 31_600, 11_264, 9_728, 2_850, 0, "estimated", "row 3"),
    ("outage-18", 0, 2, "gpt-5-mini", 4_300, 5_120, 0, 1_510, 2, "", ""),
    ("outage-18", 3, 2, "gpt-5-mini", 3_150, 9_020, 4_608, 980, 0, "", ""),
)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The two runs of the page; of one it was said that it went well."""
    book = Filled(tmp_path_factory.mktemp("runs") / "bursar.db")
    began = book.now_ns - 600 * NS
    for name, after, took, model, micro, given, cached, output, tools, flags, seen in STEPS:
        labels = {"run": name, "agent": "researcher", "task": "t-17", "user": "ada", "model": model}
        note = Note(status=200, ended="complete", tool_calls=tools, seen=seen)
        amounts = Amounts(micro * 1_000, given, cached, 0, output, 0, 1)
        at_ns = began + after * NS
        ends_ns, said = at_ns + took * NS, set(flags.split())
        book.call(labels, amounts, at_ns=at_ns, closed_ns=ends_ns, note=note, flags=said, held=HELD, is_watched=True)
    book.ledger.change_run("default", "outage-18", RunChange(RunVerb.FINISH, book.now_ns, outcome="ok"))
    book.ledger.change_run(
        "default",
        "outage-17",
        RunChange(RunVerb.STOP, book.now_ns, "loops", "the call `search` was made 5 times in a row"),
    )
    yield book.path
    book.ledger.close_store()


@pytest.mark.parametrize(("words", "shown"), SHOWN, ids=[words for words, _ in SHOWN])
def test_what_the_page_shows_is_what_is_printed(ledger: Path, words: str, shown: str) -> None:
    printed = run(*words.split(), "--store", ledger, env={"COLUMNS": "100"})
    assert printed.exit_code == 0, printed.output
    assert _steady(printed.stdout) == _steady(shown)


def test_the_page_shows_every_command() -> None:
    assert [words.split()[1] for words, _ in SHOWN] == ["show", "compare", "tasks"]


def _steady(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("began")]
