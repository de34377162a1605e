"""A provider of models: where it is, how it is spoken to, how long it may take.

Owns the facts that a person configures. Keys are named by environment variable and read in `config/`; a provider's
key never appears in a repr.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bursar.core.headers import is_settable

__all__ = ["Auth", "Deadlines", "Provider"]

SECRET_LENGTH_MIN = 8
"""A shorter text is no secret, and would be found by chance."""


class Auth(StrEnum):
    """Where a provider wants its key."""

    BEARER = "bearer"
    """`Authorization: Bearer KEY`."""
    X_API_KEY = "x-api-key"
    API_KEY = "api-key"
    X_GOOG_API_KEY = "x-goog-api-key"
    NONE = "none"
    """It takes no key, and is shown none, the client's neither."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each part of a call to a provider may take, in seconds."""

    connect_s: float = 10.0
    first_byte_s: float = 600.0
    """Long, since a whole answer comes at its end."""
    idle_s: float = 120.0
    """Between two pieces of a stream."""
    total_s: float = 3600.0

    def __post_init__(self) -> None:
        if min(self.connect_s, self.first_byte_s, self.idle_s, self.total_s) <= 0:
            raise ValueError("deadlines are positive seconds")


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider under the name that configuration, labels and reports use."""

    name: str
    base_url: str
    """Without the wire's own path: `https://api.openai.com/v1`, `https://api.anthropic.com`."""
    wires: tuple[str, ...]
    """Wire names that it answers: `openai.chat`, `anthropic.messages`."""
    models: tuple[str, ...] = ()
    """Globs of model names that go here without naming the provider; the first provider of a wire takes the rest."""
    api_key: str = field(default="", repr=False)
    """Sent instead of the client's own key; empty forwards the client's."""
    is_free: bool = False
    """Declared local: its models cost nothing."""
    price_as: str = ""
    """Whose list prices apply, when not its own name's."""
    cap_parameter: str = ""
    """The name of the output cap for servers that do not know `max_completion_tokens`."""
    takes_stream_options: bool = True
    """It knows `stream_options` of chat completions; one that does not tells the usage of a stream unasked."""
    top_speed: int | None = None
    """Output tokens per second and answer that this server never exceeds; None when unknown."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    attempts: int = 1
    """How often a call may be tried in all; each try that may be billed stays counted."""
    auth: Auth | None = None
    """Where its key goes, when not where the API of the call has it."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Sent with every request: lower-case names and values, instead of the client's of the same name."""
    query: tuple[tuple[str, str], ...] = ()
    """Added to the query of every request: `api-version` for Azure."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What stands in `headers` and nobody may see; `api_key` is one of itself."""
    fallback: tuple[str, ...] = ()
    """Who is asked, in this order, when this one fails before any output: names of providers, or `name/model`."""
    allows_private: bool = False
    """Its name may lead to an address of the operator's own network."""

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise ValueError(f"provider {self.name}: base_url starts with http:// or https://")
        if self.attempts < 1 or (self.top_speed is not None and self.top_speed < 1):
            raise ValueError(f"provider {self.name}: attempts and top_speed are at least 1")
        for name, value in self.headers:
            if name != name.lower() or not is_settable(name) or not (value.isascii() and value.isprintable()):
                raise ValueError(f"provider {self.name}: the header {name} cannot be set")

    def auth_on(self, wire: str) -> Auth:
        """Say where the key goes in a call of this wire."""
        if self.auth is not None:
            return self.auth
        if wire.startswith("anthropic."):
            return Auth.X_API_KEY
        return Auth.X_GOOG_API_KEY if wire.startswith("gemini.") else Auth.BEARER

    @property
    def hidden(self) -> tuple[str, ...]:
        """Every text that must not come back to a client, the longest first."""
        found = {text for text in (self.api_key, *self.secrets) if len(text) >= SECRET_LENGTH_MIN}
        return tuple(sorted(found, key=len, reverse=True))
