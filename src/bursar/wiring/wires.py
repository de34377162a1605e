"""The wires: which class speaks which API, as a provider speaks it.

Owns the table of API shapes. A wire is made once and holds no state, but for those whose request names its model and
its kind of answer in the path.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bursar.core.provider import Provider
from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.base import Wire
from bursar.wire.bedrock_common import Asked
from bursar.wire.bedrock_converse import BedrockConverse
from bursar.wire.bedrock_embed import TitanEmbed, is_titan_embed
from bursar.wire.bedrock_invoke import BedrockInvoke
from bursar.wire.gemini_generate import GeminiGenerate
from bursar.wire.openai_chat import OpenAIChat
from bursar.wire.openai_completions import OpenAICompletions
from bursar.wire.openai_embeddings import OpenAIEmbeddings
from bursar.wire.openai_responses import OpenAICompact, OpenAIResponses

__all__ = ["Named", "Wires"]


@dataclass(frozen=True, slots=True)
class Named:
    """What the path and query of a Gemini request say."""

    model: str
    version: str
    is_stream: bool
    is_sse: bool


class Wires:
    """Every wire, for bodies up to a size."""

    def __init__(self, body_bytes_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self._gemini = GeminiGenerate("", is_stream=False, body_bytes_max=body_bytes_max)
        self._chats = {
            (is_older, takes_options): OpenAIChat(
                "max_tokens" if is_older else "max_completion_tokens", takes_options, body_bytes_max=body_bytes_max
            )
            for is_older in (False, True)
            for takes_options in (False, True)
        }
        wires: tuple[Wire, ...] = (
            self._chats[False, True],
            OpenAIResponses(body_bytes_max=body_bytes_max),
            OpenAIEmbeddings(body_bytes_max=body_bytes_max),
            OpenAICompletions(body_bytes_max=body_bytes_max),
            AnthropicMessages(body_bytes_max=body_bytes_max),
            self._gemini,
        )
        self.compact: Wire = OpenAICompact(body_bytes_max=body_bytes_max)
        """Speaks for the one path of the Responses API that takes no cap."""
        self._by_name = {wire.name: wire for wire in wires}

    def wire(self, name: str) -> Wire:
        """Give the wire of an API."""
        return self._by_name[name]

    def naming(self, named: Named) -> Wire:
        """Give the wire of a request whose path names the model and the kind of answer."""
        return replace(
            self._gemini,
            model=named.model,
            version=named.version,
            is_stream=named.is_stream,
            is_sse=named.is_sse,
        )

    def bedrock(self, name: str, asked: Asked) -> Wire:
        """Give one of Bedrock's wires, of a request whose path and headers say much of it."""
        if name == "bedrock.invoke" and is_titan_embed(asked.model):
            return TitanEmbed(asked, body_bytes_max=self._body_bytes_max)
        if name == "bedrock.invoke":
            return BedrockInvoke(asked, body_bytes_max=self._body_bytes_max)
        return BedrockConverse(asked, body_bytes_max=self._body_bytes_max)

    def spoken_by(self, wire: Wire, provider: Provider) -> Wire:
        """Give a wire as a provider speaks it: some know the cap under its older name alone, or no `stream_options`."""
        if wire.name != "openai.chat":
            return wire
        return self._chats[provider.cap_parameter == "max_tokens", provider.takes_stream_options]
