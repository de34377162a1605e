"""An event says what a call was and cost, in the conventions' words, and nothing that was said in it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.telemetry.records import record

from bursar.config.settings import OtlpSettings
from bursar.core.charge import ZERO
from bursar.telemetry.events import EVENT_NAME, attributes_of
from bursar.telemetry.record import PRESUMED, REFUSED

LABELS = OtlpSettings().labels
PAGE = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text(encoding="utf-8")


def test_a_settled_call_tells_cost_and_tokens() -> None:
    found = attributes_of(record(labels={"session": "s1", "run": "r1"}), LABELS)
    assert found["gen_ai.provider.name"] == "openai"
    assert found["gen_ai.request.model"] == "gpt-x"
    assert found["gen_ai.usage.input_tokens"] == 100
    assert found["gen_ai.usage.output_tokens"] == 20
    assert found["gen_ai.usage.cache_read.input_tokens"] == 40
    assert found["gen_ai.usage.reasoning.output_tokens"] == 5
    assert found["gen_ai.usage.cache_creation.input_tokens"] == found["gen_ai.usage.cache_write.input_tokens"] == 10
    assert found["bursar.cost_nano_usd"] == 1_234_567_891
    assert found["bursar.cost"] == 1.234567891
    assert found["gen_ai.agent.name"] == found["bursar.label.agent"] == "bot"
    assert found["gen_ai.conversation.id"] == "s1"
    assert "error.type" not in found


def test_a_fall_back_is_named_beside_what_was_asked_for() -> None:
    found = attributes_of(record(provider="other", model="gpt-y"), LABELS)
    assert (found["gen_ai.request.model"], found["gen_ai.response.model"]) == ("gpt-x", "gpt-y")
    assert found["gen_ai.provider.name"] == "other"


def test_users_go_only_where_they_are_listed() -> None:
    assert "ada@example.com" not in str(attributes_of(record(), LABELS))
    only = attributes_of(record(labels={"session": "s1"}), ("user",))
    assert only["bursar.label.user"] == "ada@example.com"
    assert not {"gen_ai.agent.name", "gen_ai.conversation.id", "bursar.label.agent"} & set(only)


def test_a_refused_call_tells_why_and_no_amounts() -> None:
    refused = record(state=REFUSED, amounts=ZERO, status=402, ended="", code="budget_exceeded", budget="all")
    found = attributes_of(refused, LABELS)
    assert found["error.type"] == found["bursar.refusal.code"] == "budget_exceeded"
    assert found["bursar.refusal.budget"] == "all"
    assert not any(name.startswith(("gen_ai.usage", "bursar.cost")) for name in found)


def test_a_call_that_ended_badly_says_how() -> None:
    assert attributes_of(record(state=PRESUMED, status=0, ended="lost"), LABELS)["error.type"] == "lost"
    assert attributes_of(record(status=500, ended="error"), LABELS)["error.type"] == "500"


def test_every_attribute_stands_on_the_page() -> None:
    told = attributes_of(record(flags=frozenset({"estimated"}), labels={"session": "s"}, status=500), LABELS)
    refused = attributes_of(record(state=REFUSED, code="contended", budget="all"), LABELS)
    named = {re.sub(r"^bursar\.label\..*", "bursar.label.NAME", name) for name in (*told, *refused)}
    assert named == set(re.findall(r"^\| `((?:gen_ai|bursar|http|error)\.[A-Za-z_.]+)` \|", PAGE, re.MULTILINE))
    assert f"`{EVENT_NAME}`" in PAGE
