"""What the documents say is true: links lead somewhere, examples load, promises name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bursar.config.load import load

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made from their words."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name}: {target}#{anchor}"


def test_every_test_that_a_promise_names_exists() -> None:
    named = re.findall(r"`(tests/[^`]*)`", (ROOT / "docs" / "promises.md").read_text(encoding="utf-8"))
    assert len(named) >= 10
    for name in named:
        path = ROOT / name
        assert path.is_file() or any(path.glob("test_*.py")), name


@pytest.mark.parametrize("page", ["README.md", "docs/budgets.md"])
def test_every_example_configuration_loads(page: str, tmp_path: Path) -> None:
    examples = [text for kind, text in FENCE.findall((ROOT / page).read_text(encoding="utf-8")) if kind == "yaml"]
    assert examples
    for text in examples:
        file = tmp_path / "bursar.yaml"
        file.write_text(text, encoding="utf-8")
        assert load(file, {}).budgets


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in ROOT.glob("docs/*.md"):
        assert f"docs/{page.name}" in readme, page.name
