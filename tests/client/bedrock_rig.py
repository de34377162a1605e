"""A truthful provider, a library with a price for it, and real clients of AWS and Google before it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bursar
from bursar.config.settings import PriceRow, Settings, StoreSettings
from bursar.testing import Rates, Script, ScriptedProvider

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-lite-v1:0"
GEMINI = "gemini-2.5-flash"
HELLO = [{"role": "user", "content": [{"text": "hello"}]}]
CAP = 5_000
"""At $50 a million this is $0.25."""
MESSAGE = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": CAP,
    "messages": [{"role": "user", "content": "hello"}],
}
TRUTHFUL = Script(output_tokens=CAP, rates=Rates(input=0, cache_read=0, output=50_000_000), tokens_per_event=250)
KEYS = {"aws_access_key_id": "AKID", "aws_secret_access_key": "SECRET", "region_name": "us-east-1"}


@contextmanager
def metered_provider(folder: Path) -> Iterator[ScriptedProvider]:
    """Run a provider that answers with $0.25 each time; the library knows the price of three models and no other."""
    models = (("bedrock", CLAUDE), ("bedrock", NOVA), ("gemini", GEMINI))
    rates = (("input", "0"), ("output", "50"))
    prices = tuple(PriceRow(model, provider, False, rates) for provider, model in models)
    with ScriptedProvider() as provider:
        for model in (CLAUDE, NOVA, GEMINI, "acme.unknown-v1:0", "acme-unknown"):
            provider.set(model, TRUTHFUL)
        bursar.configure(Settings(store=StoreSettings(path=folder / "bursar.db"), prices=prices))
        try:
            yield provider
        finally:
            bursar.close()


def billed(provider: ScriptedProvider) -> int:
    """Say how many calls the provider has billed."""
    return provider.invoice()["billed"]


@dataclass
class Aws:
    """A boto3 client's four ways to ask, each to the end of its answer."""

    client: Any

    def converse(self, model: str = CLAUDE, **more: Any) -> str:
        config = {"maxTokens": more.pop("cap", CAP)}
        answer = self.client.converse(modelId=model, messages=HELLO, inferenceConfig=config, **more)
        text: str = answer["output"]["message"]["content"][0]["text"]
        return text

    def converse_stream(self, model: str = CLAUDE, **more: Any) -> str:
        config = {"maxTokens": more.pop("cap", CAP)}
        answer = self.client.converse_stream(modelId=model, messages=HELLO, inferenceConfig=config, **more)
        deltas = [event["contentBlockDelta"]["delta"] for event in answer["stream"] if "contentBlockDelta" in event]
        return "".join(delta.get("text", "") for delta in deltas)

    def invoke(self, model: str = CLAUDE) -> str:
        answer = self.client.invoke_model(modelId=model, body=json.dumps(MESSAGE))
        text: str = json.loads(answer["body"].read())["content"][0]["text"]
        return text

    def invoke_stream(self, model: str = CLAUDE) -> str:
        answer = self.client.invoke_model_with_response_stream(modelId=model, body=json.dumps(MESSAGE))
        events = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
        return "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")


WAYS = ("converse", "converse_stream", "invoke", "invoke_stream")
