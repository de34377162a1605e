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
    assert [provider.name for provider in providers] == [
        "gamma",
        "alpha",
        "ollama",
        "openai",
        "anthropic",
        "gemini",
        "bedrock",
        "zeta",
    ]
    assert providers[3] == BUILT_IN_PROVIDERS[0]
    assert providers[-1].wires == BUILT_IN_PROVIDERS[0].wires


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
    local = load_text("providers: {ollama: {base_url: 'http://gpu:11434/v1'}}").providers[3]
    assert local.is_free
    with pytest.raises(ConfigError, match="write free: true or free: false"):
        load_text("providers: {ollama: {base_url: 'https://ollama.example/v1'}}")
    remote = load_text("providers: {ollama: {base_url: 'https://ollama.example/v1', free: false}}").providers[3]
    assert not remote.is_free


def test_local_is_another_word_for_free(load_text: Load) -> None:
    assert load_text("providers: {x: {base_url: 'http://x', local: true}}").providers[-1].is_free
    assert not load_text("providers: {ollama: {local: false}}").providers[3].is_free


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


def test_headers_and_query_are_as_written_with_the_environment_put_in(load_text: Load) -> None:
    text = """
providers:
  x:
    base_url: https://x.example/v1
    headers: {X-Team: blue, X-Auth-Of-Proxy: "Bearer ${BURSAR_PROXY_KEY} ${OTHER}"}
    query: {api-version: 2024-10-21, Mode: a b}
"""
    provider = load_text(text, {"BURSAR_PROXY_KEY": SECRET, "OTHER": "other-secret"}).providers[-1]
    assert provider.headers == (("x-team", "blue"), ("x-auth-of-proxy", f"Bearer {SECRET} other-secret"))
    assert provider.query == (("api-version", "2024-10-21"), ("Mode", "a b"))
    assert provider.hidden == (SECRET, "other-secret")
    assert SECRET not in repr(provider)


@pytest.mark.parametrize("said", ["", "a\nb: c", "é"])
def test_a_header_of_the_environment_that_is_none_is_refused_without_showing_it(load_text: Load, said: str) -> None:
    text = """
providers:
  x:
    base_url: https://x.example/v1
    headers:
      X-Auth: "${PROXY}"
"""
    with pytest.raises(ConfigError) as caught:
        load_text(text, {"PROXY": said})
    assert (caught.value.line, caught.value.key) == (6, "providers.x.headers.X-Auth")
    assert "'PROXY' is not set" in str(caught.value)


@pytest.mark.parametrize(
    ("written", "is_open"),
    [
        ("base_url: http://gpu/v1", False),
        ("base_url: http://gpu/v1, local: true", True),
        ("base_url: http://gpu/v1, free: true", True),
        ("base_url: http://gpu/v1, free: true, allow_private: false", False),
        ("base_url: http://gpu/v1, allow_private: true", True),
    ],
)
def test_what_is_local_may_be_in_the_operators_own_network(load_text: Load, written: str, is_open: bool) -> None:
    assert load_text(f"providers: {{x: {{{written}}}}}").providers[-1].allows_private is is_open


def test_no_built_in_provider_but_the_local_one_may_be_inside(load_text: Load) -> None:
    assert not any(provider.allows_private for provider in load_text("").providers)
    assert load_text("providers: {ollama: {base_url: 'http://gpu:11434/v1'}}").providers[3].allows_private


def test_a_fall_back_may_be_written_before_it_is_defined(load_text: Load) -> None:
    text = """
providers:
  openai: {fallback: [last/llama, ollama/qwen, openai/gpt-5-mini]}
  last: {base_url: https://x.example/v1, api_key_env: KEY}
"""
    assert load_text(text, {"KEY": SECRET}).providers[0].fallback == ("last/llama", "ollama/qwen", "openai/gpt-5-mini")


def test_a_key_that_is_never_sent_is_one_too_many(load_text: Load) -> None:
    with pytest.raises(ConfigError, match="keep one of auth: none and api_key_env"):
        load_text("providers: {openai: {api_key_env: KEY, auth: none}}", {"KEY": SECRET})
