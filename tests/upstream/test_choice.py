"""Which provider answers: the one that the model names, then who claims the model, then the first of the API."""

from __future__ import annotations

import pytest

from bursar.core.provider import Provider
from bursar.errors import BadRequest
from bursar.upstream.choice import ProviderChoice

CHAT, MESSAGES = "openai.chat", "anthropic.messages"
OPENAI = Provider("openai", "https://api.openai.com/v1", (CHAT,))
ANTHROPIC = Provider("anthropic", "https://api.anthropic.com", (MESSAGES,))
GROQ = Provider("groq", "https://groq.example", (CHAT,), ("llama-*", "qwen/*"))
BOTH = Provider("both", "https://both.example", (CHAT, MESSAGES), ("claude-*",))
ALL = ProviderChoice((OPENAI, ANTHROPIC, GROQ, BOTH))


@pytest.mark.parametrize(
    ("wire", "model", "provider", "known_as"),
    [
        (CHAT, "gpt-5", "openai", "gpt-5"),
        (CHAT, "llama-3", "groq", "llama-3"),
        (CHAT, "groq/llama-3", "groq", "llama-3"),
        (CHAT, "groq/gpt-5", "groq", "gpt-5"),
        (CHAT, "qwen/qwen3-32b", "groq", "qwen/qwen3-32b"),
        (CHAT, "openai/gpt-5", "openai", "gpt-5"),
        (CHAT, "groq/openai/gpt-oss", "groq", "openai/gpt-oss"),
        (CHAT, "claude-5", "both", "claude-5"),
        (MESSAGES, "claude-5", "both", "claude-5"),
        (MESSAGES, "other", "anthropic", "other"),
        (MESSAGES, "anthropic/claude-5", "anthropic", "claude-5"),
        (CHAT, "meta/llama-3", "openai", "meta/llama-3"),
        (CHAT, "groq/", "openai", "groq/"),
        (CHAT, "/gpt", "openai", "/gpt"),
        (CHAT, "anthropic/claude", "openai", "anthropic/claude"),
    ],
)
def test_a_model_goes_to_its_provider(wire: str, model: str, provider: str, known_as: str) -> None:
    chosen, name = ALL.choose(wire, model)
    assert (chosen.name, name) == (provider, known_as)


def test_the_case_of_a_model_matters() -> None:
    assert ALL.choose(CHAT, "LLAMA-3")[0] is OPENAI


def test_a_model_that_nobody_answers_is_refused() -> None:
    with pytest.raises(BadRequest) as caught:
        ProviderChoice((GROQ,)).choose(CHAT, "gpt-5")
    assert caught.value.param == "model"
    with pytest.raises(BadRequest):
        ProviderChoice((OPENAI,)).choose(MESSAGES, "claude")


def test_routes_without_a_model_go_to_the_first_of_the_api() -> None:
    assert ALL.first(CHAT) is OPENAI
    assert ALL.first(MESSAGES) is ANTHROPIC
    assert ProviderChoice((GROQ,)).first(CHAT) is GROQ  # Also when it claims only some models.
    with pytest.raises(BadRequest):
        ProviderChoice((OPENAI,)).first(MESSAGES)
