"""docs/configuration.md names every key with its true default, and its examples load."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest
from tests.config.conftest import Load

from bursar.config.budgets import BUDGET_KEYS
from bursar.config.environment import ADMIN_SECRET, CONFIG, FAILPOINT, KEY, LINK, METRICS_SECRET, PEPPER
from bursar.config.example import starter
from bursar.config.guards import GUARD_KEYS
from bursar.config.load import KEYS
from bursar.config.loops import LOOP_KEYS
from bursar.config.prices import MODEL_KEYS, PRICE_KEYS
from bursar.config.providers import DEADLINE_KEYS, PROVIDER_KEYS
from bursar.config.sections import SECTIONS
from bursar.config.settings import Settings
from bursar.config.short import parse_short
from bursar.config.telemetry import ENDPOINTS, METRICS_KEYS, OTLP_KEYS
from bursar.core.labels import LABEL_NAMES
from bursar.core.provider import Deadlines

TEXT = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
NONE = "–"


def _rows(heading: str) -> dict[str, str]:
    """Find the first two columns of the table under a heading."""
    section = re.search(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert section is not None, heading
    found = re.findall(r"^\| `([^`]+)` \| (.*?) \|", section.group(1), re.MULTILINE)
    return {key: value.strip("`") for key, value in found}


TABLES: Mapping[str, Mapping[str, object]] = {
    **SECTIONS,
    "budgets": BUDGET_KEYS,
    "providers": PROVIDER_KEYS,
    "deadlines": DEADLINE_KEYS,
    "guards": GUARD_KEYS,
    "loops": LOOP_KEYS,
    "prices": PRICE_KEYS,
    "models": MODEL_KEYS,
    "metrics": METRICS_KEYS,
    "otlp": OTLP_KEYS,
}


@pytest.mark.parametrize("heading", TABLES)
def test_every_key_has_its_row_and_no_other(heading: str) -> None:
    assert list(_rows(heading)) == list(TABLES[heading])


def test_every_top_level_key_has_a_chapter() -> None:
    assert all(f"\n## {key}\n" in TEXT for key in KEYS)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_defaults_of_a_section_are_the_true_ones(load_text: Load, section: str) -> None:
    rows = _rows(section)
    settings = load_text(f"{section}: {{{', '.join(f'{key}: {value}' for key, value in rows.items())}}}")
    assert getattr(settings, section) == getattr(Settings(), section)
    assert set(rows) == {field.name for field in fields(getattr(settings, section))}


def test_the_defaults_of_a_budget_are_the_true_ones(load_text: Load) -> None:
    rows = {key: value for key, value in _rows("budgets").items() if value != NONE}
    stated = ", ".join(f"{key}: {value}" for key, value in rows.items())
    assert load_text(f"budgets: [{{limit: $5 / day, {stated}}}]").budgets == load_text("budgets: [$5 / day]").budgets


def test_the_defaults_of_a_provider_are_the_true_ones(load_text: Load) -> None:
    rows = {key: value for key, value in _rows("providers").items() if value != NONE and key != "local"}
    stated = ", ".join(f"{key}: {value}" for key, value in rows.items())
    deadlines = ", ".join(f"{key}: {value}" for key, value in _rows("deadlines").items())
    plain = load_text("providers: {x: {base_url: 'http://x'}}")
    assert load_text(f"providers: {{x: {{base_url: 'http://x', {stated}, deadlines: {{{deadlines}}}}}}}") == plain
    assert plain.providers[-1].deadlines == Deadlines()


def test_the_defaults_of_guards_are_the_true_ones(load_text: Load) -> None:
    rows = {key: value for key, value in _rows("guards").items() if value != NONE}
    stated = load_text(f"guards: {{{', '.join(f'{key}: {value}' for key, value in rows.items())}}}")
    assert stated.guards == load_text("guards: default").guards
    assert not Settings().guards


def test_the_defaults_of_loops_are_the_true_ones(load_text: Load) -> None:
    rows = {key: value for key, value in _rows("loops").items() if value != NONE}
    stated = load_text(f"guards: {{loops: {{{', '.join(f'{key}: {value}' for key, value in rows.items())}}}}}")
    assert stated.guards == load_text("guards: default").guards


@pytest.mark.parametrize("part", ["metrics", "otlp"])
def test_the_defaults_of_telemetry_are_the_true_ones(load_text: Load, part: str) -> None:
    rows = {key: value for key, value in _rows(part).items() if value != NONE}
    stated = ", ".join(f"{key}: {value}" for key, value in rows.items())
    told = load_text(f"telemetry: {{{part}: {{{stated}}}}}").telemetry
    assert getattr(told, part) == getattr(Settings().telemetry, part)


@pytest.mark.parametrize("example", [*EXAMPLES, starter()])
def test_each_example_loads(load_text: Load, example: str) -> None:
    load_text(example, {"OPENAI_API_KEY": "k"})


def test_the_starter_loads_without_any_variable_and_limits_something(load_text: Load) -> None:
    assert load_text(starter()).budgets


def test_what_the_starter_offers_in_comments_loads_too(load_text: Load) -> None:
    """Take away each `# ` that stands before a key or item, but not before a sentence."""
    text = re.sub(r"^( *)# (?=(?: *- )|(?: *[a-z*\"-]+: ?)|(?: +))", r"\1", starter(), flags=re.MULTILINE)
    settings = load_text(text, {"OPENAI_API_KEY": "k"})
    assert [budget.name for budget in settings.budgets] == [
        "everything",
        "each run",
        "users (day)",
        "users (month)",
        "research",
    ]
    assert settings.link
    assert settings.prices
    assert settings.providers[0].name == "vllm"


def test_each_short_form_of_the_page_is_read() -> None:
    rows = _rows("Short forms")
    assert len(rows) >= 8
    assert all(parse_short(text) for text in rows)


VARIABLES = (ADMIN_SECRET, CONFIG, FAILPOINT, KEY, LINK, METRICS_SECRET, PEPPER)


@pytest.mark.parametrize("name", [*VARIABLES, *ENDPOINTS, *LABEL_NAMES])
def test_every_variable_and_label_is_named(name: str) -> None:
    assert f"`{name}`" in TEXT


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5
