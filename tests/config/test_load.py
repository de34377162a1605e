"""The one loader: what wins, which file is read, and that every setting can be set."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from tests.config.conftest import Load

from bursar.config.environment import VARIABLES
from bursar.config.load import find_file, from_environment, load
from bursar.config.settings import (
    Limits,
    MetricsSettings,
    OtlpSettings,
    ServerSettings,
    Settings,
    StoreKind,
    StoreSettings,
)
from bursar.core.budget import Budget
from bursar.core.guards import Guards, LoopRule
from bursar.core.loops import LOOPS
from bursar.core.provider import Deadlines, Provider
from bursar.errors import ConfigError

EVERYTHING = """
server: {host: "::1", port: 9000, keys: required, workers: 2, grace_s: 1.5}
store: {kind: memory, path: other.db, durability: power, timeout_s: 2}
link: https://ask.example
providers:
  vllm:
    base_url: http://127.0.0.1:8000/v1
    wires: [openai.chat, anthropic.messages]
    models: [qwen*]
    api_key_env: VLLM_KEY
    free: true
    cap_parameter: max_tokens
    top_speed: 900
    attempts: 2
    stream_options: false
    auth: api-key
    headers: {X-Team: "${VLLM_TEAM}"}
    query: {api-version: "1"}
    fallback: [ollama/qwen]
    deadlines: {connect_s: 1, first_byte_s: 2, idle_s: 3, total_s: 4}
  proxy: {base_url: https://proxy.example/v1, price_as: openai}
prices:
  vllm/qwen*: {free: true}
  proxy/gpt-5: {input: 1.25, output: 10}
models:
  vllm/qwen*: {max_output_tokens: 1000, top_speed: 50}
budgets:
  - name: all keys
    match: {team: research}
    per: user
    tenant: acme
    limit: $5
    window: {days: 84, since: 2026-11-01}
    timezone: Europe/Paris
    week_start: sunday
    strict: true
    on_unknown_price: allow
    on_store_down: allow
    link: mailto:ask@example.com
    warn_at: [50, 90]
    values_max: 7
guards:
  park_wait_s: 5
  steps: 9
  loops:
    {row: 2, row_alike: 2, again: 2, window: 9, cycle: 2, rounds: 2, error: 2, error_alike: 2, exchange: 2, openings: 2,
     stale: $1, stale_steps: 2, match: {team: research}, on_trip: [warn, park]}
limits:
  hold_wait_s: 1
  waiting_max: 2
  calls_per_tenant_max: 7
  body_bytes_max: 3
  headers_bytes_max: 4
  headers_max: 5
  headers_s: 6
  body_s: 7
  answer_bytes_max: 8 MiB
  read_ahead_bytes_max: 10
  stall_s: 11
  connections_max: 12
  heartbeat_s: 2
  lapse_s: 13
telemetry:
  metrics: {enabled: false, labels: [user], values_max: 1, series_max: 2}
  otlp: {endpoint: http://127.0.0.1:4318, labels: [user], queue_max: 3}
"""
NOT_IN_THE_FILE = {"file", "failpoint", "tenant", "zone"}
"""Where the file is, what only the environment says, what comes with keys, and what a window computes."""


FIXED = ["cycle_length_max", "alike_per_mille", "unseen_factor"]
"""What is no setting of a person's: how two texts are compared, and what follows from the rest."""


def _unset(value: Any, base: Any) -> list[str]:
    names = [field.name for field in fields(value) if field.name not in NOT_IN_THE_FILE]
    return [name for name in names if getattr(value, name) == getattr(base, name)]


def test_without_anything_the_settings_are_the_defaults() -> None:
    assert load(None, {}) == Settings()


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "server:\nbudgets:\nproviders:\nprices:\nmodels:\nlimits:\nstore:\n"]
)
def test_an_empty_file_changes_nothing(load_text: Load, text: str, tmp_path: Path) -> None:
    assert load_text(text) == Settings(file=tmp_path / "bursar.yaml")


def test_every_field_of_every_setting_can_be_set(load_text: Load) -> None:
    text = EVERYTHING.replace("workers: 2", "workers: 1")
    secrets = {"BURSAR_PEPPER": "p" * 40, "BURSAR_ADMIN_SECRET": "s" * 40, "BURSAR_METRICS_SECRET": "m" * 40}
    settings = load_text(text, {"VLLM_KEY": "k", "VLLM_TEAM": "blue", **secrets})
    vllm, proxy = settings.providers[0], settings.providers[-1]
    budget = settings.budgets[0]
    plain = load_text("budgets: [$1 / day]").budgets[0]
    assert not _unset(settings, Settings())
    assert _unset(settings.server, ServerSettings()) == ["workers"]
    assert load_text("server: {workers: 2}").server.workers == 2
    assert not _unset(settings.store, StoreSettings())
    assert not _unset(settings.guards, Guards())
    assert settings.guards.loops is not None
    assert not _unset(settings.guards.loops, LoopRule())
    assert _unset(settings.guards.loops.settings, LOOPS) == FIXED
    assert not _unset(settings.limits, Limits())
    assert not _unset(settings.telemetry.metrics, MetricsSettings())
    assert _unset(settings.telemetry.otlp, OtlpSettings()) == ["enabled"]
    assert not _unset(vllm.deadlines, Deadlines())
    assert _unset(vllm, Provider("", "http://x", ("openai.chat",))) == ["price_as"]
    assert proxy.price_as == "openai"
    assert _unset(budget, plain) == ["instance"], "that is for scopes of a program"
    assert not _unset(budget.window, plain.window)
    assert [(row.provider, row.model, row.is_free, row.rates) for row in settings.prices] == [
        ("vllm", "qwen*", True, ()),
        ("proxy", "gpt-5", False, (("input", "1.25"), ("output", "10"))),
    ]
    row = settings.models[0]
    assert (row.provider, row.model, row.max_output_tokens, row.top_speed) == ("vllm", "qwen*", 1000, 50)


def test_a_budget_is_made_of_what_was_written(load_text: Load) -> None:
    environ = {"VLLM_KEY": "k", "VLLM_TEAM": "blue"}
    budget = load_text(EVERYTHING.replace("workers: 2", "workers: 1"), environ).budgets[0]
    assert isinstance(budget, Budget)
    assert budget.match == (("team", ("research",)),)
    assert (budget.window.week_start, budget.window.timezone, budget.window.days) == (6, "Europe/Paris", 84)


def test_a_flag_beats_the_environment_and_that_beats_the_file(load_text: Load) -> None:
    text = "server: {host: a, port: 1, workers: 3}\nlink: https://file.example\n"
    environ = {"BURSAR_SERVER_HOST": "b", "BURSAR_SERVER_PORT": "2", "BURSAR_LINK": "https://environment.example"}
    settings = load_text(text, environ, {"server.host": "c", "link": "https://flag.example"})
    assert settings.server == ServerSettings(host="c", port=2, workers=3)
    assert settings.link == "https://flag.example"
    assert load_text(text, environ).link == "https://environment.example"


@pytest.mark.parametrize("name", VARIABLES)
def test_each_variable_sets_its_key(name: str) -> None:
    section, key = VARIABLES[name]
    base = getattr(Settings(), section)
    values = {
        "host": "h",
        "kind": "memory",
        "path": "p",
        "durability": "power",
        "heartbeat_s": "2.5",
        "keys": "required",
    }
    settings = load(None, {name: values.get(key, "99")})
    assert _unset(getattr(settings, section), base) == [field.name for field in fields(base) if field.name != key]


def test_each_section_setting_has_a_variable() -> None:
    settings = Settings()
    sections = ("server", "store", "limits")
    assert set(VARIABLES.values()) == {
        (name, field.name) for name in sections for field in fields(getattr(settings, name))
    }


def test_an_empty_variable_sets_nothing() -> None:
    assert load(None, {"BURSAR_SERVER_PORT": "", "BURSAR_CONFIG": " ", "BURSAR_LINK": ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BURSAR_SERVER_PROT", "BURSAR_SERVER_PORT"),
        ("BURSAR_PATH", "BURSAR_"),
        ("BURSAR_FAILPOINTS", "BURSAR_FAILPOINT"),
    ],
)
def test_an_unknown_variable_is_refused(name: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=meant) as caught:
        load(None, {name: "1", "PATH": "/bin"})
    assert (caught.value.file, caught.value.key) == ("environment", name)


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^environment: BURSAR_SERVER_PORT: 'http' does not fit"):
        load(None, {"BURSAR_SERVER_PORT": "http"})


def test_what_kubernetes_sets_beside_a_service_named_bursar_is_no_setting() -> None:
    environ = {
        "BURSAR_SERVICE_HOST": "10.0.0.1",
        "BURSAR_SERVICE_PORT": "8484",
        "BURSAR_SERVICE_PORT_HTTP": "8484",
        "BURSAR_PORT": "tcp://10.0.0.1:8484",
        "BURSAR_PORT_8484_TCP": "tcp://10.0.0.1:8484",
        "BURSAR_PORT_8484_TCP_PROTO": "tcp",
        "BURSAR_PORT_8484_TCP_PORT": "8484",
        "BURSAR_PORT_8484_TCP_ADDR": "10.0.0.1",
        "BURSAR_SERVER_SERVICE_HOST": "10.0.0.2",
        "BURSAR_SERVER_PORT": "tcp://10.0.0.2:8484",
    }
    assert load(None, environ) == Settings()
    with pytest.raises(ConfigError, match="BURSAR_SERVER_PORT"):
        load(None, {"BURSAR_PORT": "9000"})


def test_a_key_variable_may_begin_with_the_prefix(load_text: Load) -> None:
    text = "providers: {openai: {api_key_env: BURSAR_OPENAI_KEY}}"
    assert load_text(text, {"BURSAR_OPENAI_KEY": "k"}).providers[0].api_key == "k"


def test_the_failpoint_comes_from_the_environment_alone(load_text: Load) -> None:
    assert load(None, {"BURSAR_FAILPOINT": "mid_stream:3"}).failpoint == "mid_stream:3"
    with pytest.raises(ConfigError, match="BURSAR_FAILPOINT"):
        load(None, {"BURSAR_FAILPOINT": "mid_stream:0"})
    with pytest.raises(ConfigError, match="unknown key"):
        load_text("failpoint: mid_stream")


def test_flags_add_budgets(load_text: Load) -> None:
    settings = load_text("budgets: [$9 / month]", {}, {"budget": ("$5/day", "$1 / run", "$5 / day")})
    assert [budget.name for budget in settings.budgets] == ["$9/month", "$5/day", "$1/run"]
    assert [budget.name for budget in load(None, {}, {"budget": "50k tokens/day"}).budgets] == ["50k tokens/day"]


def test_the_same_budget_in_file_and_flag_is_one(load_text: Load) -> None:
    assert len(load_text("budgets: [$5 / day]", {}, {"budget": "$5/day"}).budgets) == 1
    with pytest.raises(ConfigError, match="another budget named"):
        load_text("budgets: {$5/day: $6 / day}", {}, {"budget": "$5/day"})


@pytest.mark.parametrize(
    ("flags", "advice"),
    [
        ({"budget": "5/day"}, "command line: --budget: '5/day': of what"),
        ({"budget": ""}, "command line: --budget: the value is missing"),
        ({"server.prot": "1"}, "did you mean 'server.port'"),
        ({"server.port": "x"}, "command line: server.port: 'x' does not fit"),
        ({"link": "javascript:alert(1)"}, "is not a link"),
    ],
)
def test_a_wrong_flag_is_named(flags: dict[str, str], advice: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {}, flags)
    assert advice in str(caught.value)


def test_all_problems_come_at_once_in_the_order_of_the_file(load_text: Load, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text("link: x\nserver:\n  prot: 1\nbudgets:\n  - $5\n", {"BURSAR_X": "1"}, {"budget": "$"})
    lines = str(caught.value).splitlines()
    file = str(tmp_path / "bursar.yaml")
    assert [line.removeprefix(file).split(": ")[0] for line in lines] == [
        ":1",
        ":3",
        ":5",
        "command line",
        "environment",
    ]
    assert (caught.value.file, caught.value.line, caught.value.key) == (file, 1, "link")
    assert caught.value.exit_code == 2


def test_a_thousand_problems_are_cut_short(load_text: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text("\n".join(f"key{number}: 1" for number in range(1000)))
    assert len(str(caught.value).splitlines()) == 21
    assert "and perhaps more" in str(caught.value)


def test_the_file_is_found_in_this_order(tmp_path: Path) -> None:
    assert find_file({}, tmp_path) is None
    (tmp_path / "bursar.yaml").touch()
    assert find_file({}, tmp_path) == tmp_path / "bursar.yaml"
    assert find_file({"BURSAR_CONFIG": "/etc/other.yaml"}, tmp_path) == Path("/etc/other.yaml")


def test_a_file_with_the_other_ending_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "bursar.yml").touch()
    with pytest.raises(ConfigError, match=r"rename it to bursar\.yaml"):
        find_file({}, tmp_path)


def test_the_process_loads_its_own_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("BURSAR_CONFIG", raising=False)
    (tmp_path / "bursar.yaml").write_text("server: {port: 1}")
    (tmp_path / "named.yaml").write_text("server: {port: 2}")
    (tmp_path / "flag.yaml").write_text("server: {port: 3}")
    assert from_environment().server.port == 1
    monkeypatch.setenv("BURSAR_CONFIG", "named.yaml")
    assert from_environment().server.port == 2
    assert from_environment(Path("flag.yaml")).server.port == 3
    monkeypatch.setenv("BURSAR_STORE_KIND", "memory")
    assert from_environment(flags={"server.port": "4"}).server.port == 4
    assert from_environment().store.kind is StoreKind.MEMORY


def test_load_reads_the_file_that_the_environment_names(tmp_path: Path) -> None:
    (tmp_path / "named.yaml").write_text("server: {port: 2}")
    assert load(None, {"BURSAR_CONFIG": str(tmp_path / "named.yaml")}).server.port == 2


@pytest.mark.parametrize(
    ("name", "advice"), [("none.yaml", "no such file"), (".", "directory"), ("a\0b", "cannot be read")]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=advice) as caught:
        load(tmp_path / name, {})
    assert caught.value.file == str(tmp_path / name)


def test_values_that_are_wrong_together_are_refused(load_text: Load) -> None:
    with pytest.raises(ConfigError, match=r"bursar\.yaml:1: server\.workers: with store\.kind memory"):
        load_text("server: {workers: 2}\nstore: {kind: memory}\n")
    with pytest.raises(ConfigError, match=r"environment: BURSAR_LIMITS_LAPSE_S: .* at least 10"):
        load_text("", {"BURSAR_LIMITS_LAPSE_S": "8"})


def test_a_home_directory_is_expanded(load_text: Load) -> None:
    assert load_text("store: {path: ~/bursar.db}").store.path == Path.home() / "bursar.db"
