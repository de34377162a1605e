"""What every API shape must be able to do: the narrow waist between bodies and the domain.

Owns the words `Request`, `Answer`, `StreamReader` and `Wire`. A wire file turns bytes into these and back; it never
knows a budget, a price or a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bursar.core.money import Nano
from bursar.core.usage import Usage
from bursar.core.value import value

__all__ = ["Anatomy", "Answer", "CallMark", "Refusal", "Request", "StreamReader", "Wire"]


@value
class Anatomy:
    """Where the input of a request sits, in bytes of text (images and files in their token estimate × 4)."""

    system: int = 0
    tools: int = 0
    history: int = 0
    """Everything between the system prompt and the last user turn: earlier turns, tool calls and their results."""
    user: int = 0
    """The last user turn (or tool result) of the conversation."""

    @property
    def total(self) -> int:
        return self.system + self.tools + self.history + self.user


@value
class Request:
    """One request to a model API, parsed once. Counts are tokens unless the name says bytes."""

    wire: str
    model: str
    body: Mapping[str, Any]
    """The strictly parsed body; only the wire that made it looks inside."""
    is_stream: bool
    wants_usage: bool
    """The client itself asked for the usage of a stream (always true where the API sends it anyway)."""
    cap: int | None
    """The client's own output cap per choice, or None."""
    cap_least: int = 1
    """The smallest cap that this body allows (thinking needs room)."""
    choices: int = 1
    anatomy: Anatomy = field(default_factory=Anatomy)
    images_tokens_most: int = 0
    """The most input that images, files and search results can cost beyond `anatomy` (by the provider's formulas).

    `anatomy` holds the likely tokens of each, times 4; this is the sum of the worst cases less that.
    """
    shape_key: str = ""
    """Hash of system + tools + output schema: the calibration key of the input estimate."""
    has_cache_write: bool = False
    """The body asks for cache writes at the ordinary lifetime."""
    has_cache_write_1h: bool = False
    searches_most: int = 0
    """Provider-run web searches that this body allows at most."""
    service_tiers: tuple[str, ...] = ("",)
    """Every service tier that this body can be billed at; `""` is the ordinary one."""
    body_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that clients already put into bodies: user, session, tags (DESIGN §9)."""
    output_beyond_cap: int = 0
    """Output tokens that can be billed on top of the cap (rejected predictions), over all choices."""
    passes_most: int = 1
    """How often the provider may bill this input and a capped output for one request (server-side compaction: 2)."""
    dropped: tuple[str, ...] = ()
    """What the client sent and bursar leaves out, because it would bill another model than the one asked for."""
    previous_id: str = ""
    """The earlier response whose input and output the provider adds to this input; its size is in the ledger alone."""
    has_output: bool = True
    """The answer holds generated tokens; False (embeddings, scoring with a cap of 0) bills input alone: no cap."""
    takes_cap: bool = True
    """The API lets a body limit its output; where it does not, the model's own maximum is the bound, and is held."""
    takes_comments: bool = True
    """The API's readers pass over comments in a stream; google-genai raises on one, so nothing may be appended."""


@value
class CallMark:
    """One tool call of the model, as a digest: enough to know the same one again, and no text but the tool's name."""

    id: str
    name: str
    key: int
    """64 bits of name and arguments."""


@value
class Answer:
    """What a provider's answer says of itself, whole or at the end of a stream."""

    usage: Usage | None
    """None when it was not told: then `visible_tokens` is what was counted, an upper estimate."""
    visible_tokens: int
    """Output tokens over all choices that the deltas show, estimated from bytes and events, rounded up."""
    is_capped: bool = False
    """The answer ended because it reached its output cap."""
    model: str = ""
    service_tier: str = ""
    cost_reported: Nano | None = None
    """A positive cost stated by the provider (nano-USD); 0 is no proof of free and becomes None."""
    tool_calls: int = 0
    usage_input: Usage | None = None
    """The input side alone, where it was told before the output was (a stream cut short); output leaves are 0."""
    response_id: str = ""
    """The name under which a later request can continue this answer (`Request.previous_id`)."""
    asked: tuple[CallMark, ...] = ()
    """Its tool calls, where a later request shows them no more (`response_id`)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a client is told instead of an answer. `message` is for a person; it never says "rate limit" or "429"."""

    status: int
    code: str
    """budget_exceeded, price_unknown, contended, bad_request, not_found, store_unavailable, upstream_failed."""
    message: str
    param: str | None = None
    retry_after_s: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    budget: str = ""
    """The identity of the budget that refused."""


class StreamReader(Protocol):
    """Read one answer as it streams, event by event. Pure: bytes in, bytes out."""

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes as they came; return those for the client, unchanged and in order.

        Held back are only an incomplete event and the usage chunk that bursar asked for and the client did not.
        Raises TooLarge when one line or event passes its limit, UpstreamFailed for one that is damaged.
        """
        ...

    @property
    def visible_tokens(self) -> int:
        """Output tokens shown so far, over all choices, estimated and rounded up."""
        ...

    @property
    def is_finished(self) -> bool:
        """The API's last event has passed: closing now is a normal end."""
        ...

    @property
    def is_complete(self) -> bool:
        """Every part of the answer has ended as its API ends it: bytes that end here end normally."""
        ...

    @property
    def is_error(self) -> bool:
        """The stream carried an error event of the provider."""
        ...

    def answer(self) -> Answer:
        """Say what is known now; the last cumulative usage counts."""
        ...

    def rest(self) -> bytes:
        """Give what is held back when the provider's bytes end without closing the last event."""
        ...

    def cut(self, usage: Usage) -> bytes:
        """Write the end that this API gives an answer which reached its output cap, with usage."""
        ...

    def error(self, refusal: Refusal) -> bytes:
        """Write an error in the middle of a stream, as this API does."""
        ...


class Wire(Protocol):
    """One API shape."""

    @property
    def name(self) -> str: ...

    def parse(self, raw: bytes) -> Request:
        """Parse a body strictly. Raises BadRequest (with `param`) for what cannot be parsed or bounded."""
        ...

    def encode(self, request: Request, *, model: str, cap: int | None) -> bytes:
        """Write the body that goes upstream: what was parsed, keys in order, with the cap and include_usage."""
        ...

    def read_whole(self, request: Request, body: bytes) -> Answer | None:
        """Read a whole 200 answer; None when it is not JSON of this API's shape."""
        ...

    def reader(self, request: Request) -> StreamReader: ...

    def path(self, model: str) -> str:
        """Say where a request goes below the provider's base URL, for this model."""
        ...

    def is_provider_error(self, status: int, body: bytes) -> bool:
        """Is this body the provider's own error, before any output? Then nothing was billed.

        Ask it for every non-2xx answer, and for a 200 that `read_whole` cannot read: some servers send errors so.
        """
        ...

    def named_maximum(self, status: int, body: bytes) -> int | None:
        """The model's output maximum, when a 400 names it."""
        ...

    def named_room(self, status: int, body: bytes) -> int | None:
        """The output that this call has room for in the context window, when a 400 names it. Not to be learned."""
        ...

    def refusal(self, refusal: Refusal) -> bytes:
        """Write a refusal's body in this API's error shape."""
        ...
