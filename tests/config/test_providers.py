"""Providers: what is written, laid over what is built in."""

from __future__ import annotations

import pytest
from tests.config.conftest import Load

from bursar.config.settings import BUILT_IN_PROVIDERS
from bursar.core.provider import Deadlines
from bursar.errors import ConfigError

SECRET = "sk-proj-do-not-show-me-4711"


def test_providers_that_claim_models_come_first_and_then_the_built_in_ones(load_text: Load) -> None:
    text = """
providers:
  zeta: {base_url: http://127.0.0.1:1/v1}
  gamma: {base_url: http://127.0.0.1:2/v1, models: [llama*]}
  alpha: {base_url: http://127.0.0.1:3/v1, models: ["*"]}
  anthropic: {attempts: 2}
  ollama: {models: [qwen*]}
"""
    providers = load_text(text).providers
    assert [provider.name for provider in providers] == ["gamma", "alpha", "ollama", "openai", "anthropic", "zeta"]
    assert providers[3] == BUILT_IN_PROVIDERS[0]
    assert providers[-1].wires == ("openai.chat",)


def test_a_built_in_provider_keeps_what_is_not_written(load_text: Load) -> None:
    anthropic = load_text("providers: {anthropic: {deadlines: {idle_s: 5}}}").providers[1]
    assert anthropic.deadlines == Deadlines(idle_s=5.0)
    assert (anthropic.base_url, anthropic.top_speed) == ("https://api.anthropic.com", 300)


@pytest.mark.parametrize(
    ("written", "top_speed"),
    [
        ("base_url: https://proxy.example/v1", None),
        ("base_url: https://proxy.example/v1, top_speed: 700", 700),
        ("base_url: https://api.openai.com/v1/", 300),
        ("attempts: 2", 300),
    ],
)
def test_another_server_has_no_known_top_speed(load_text: Load, written: str, top_speed: int | None) -> None:
    assert load_text(f"providers: {{openai: {{{written}}}}}").providers[0].top_speed == top_speed


def test_ollama_stays_free_on_another_local_server_but_not_silently_on_a_remote_one(load_text: Load) -> None:
    local = load_text("providers: {ollama: {base_url: 'http://gpu:11434/v1'}}").providers[2]
    assert local.is_free
    with pytest.raises(ConfigError, match="write free: true or free: false"):
        load_text("providers: {ollama: {base_url: 'https://ollama.example/v1'}}")
    remote = load_text("providers: {ollama: {base_url: 'https://ollama.example/v1', free: false}}").providers[2]
    assert not remote.is_free


def test_local_is_another_word_for_free(load_text: Load) -> None:
    assert load_text("providers: {x: {base_url: 'http://x', local: true}}").providers[-1].is_free
    assert not load_text("providers: {ollama: {local: false}}").providers[2].is_free


def test_a_key_is_read_from_the_named_variable_and_never_shown(load_text: Load) -> None:
    text = "providers: {openai: {api_key_env: OPENAI_API_KEY}}"
    settings = load_text(text, {"OPENAI_API_KEY": f" {SECRET}\n"})
    assert settings.providers[0].api_key == SECRET
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("providers: {openai: {api_key_env: OPENAI_API_KEY}}", {}),
        ("providers: {openai: {api_key_env: OPENAI_API_KEY}}", {"OPENAI_API_KEY": "  "}),
        ("providers: {openai: {api_key_env: OPENAI_API_KEY}}", {"OPENAI_API_KEY": f"{SECRET}\r\nx: y"}),
        ("providers: {openai: {api_key_env: OPENAI_API_KEY}}", {"OPENAI_API_KEY": f"{SECRET}é"}),
        (f"providers: {{openai: {{api_key_env: {SECRET}}}}}", {}),
        (f"providers: {{openai: {{api_key: {SECRET}}}}}", {}),
        (f"providers: {{openai: {{base_url: 'https://me:{SECRET}@x.example'}}}}", {}),
        (f"providers: {{openai: {{base_url: 'https://x.example?key={SECRET}'}}}}", {}),
    ],
)
def test_a_missing_or_wrong_key_is_refused_without_showing_it(
    load_text: Load, text: str, environ: dict[str, str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(text, environ)
    assert "key" in str(caught.value)
    assert SECRET not in str(caught.value)
