"""A call and its reply: what travels through the pipeline.

Owns the two words. A call is one request to a model API, parsed once at the edge; a reply is what the client gets,
whole or as a body that is read piece by piece.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field, replace
from typing import Protocol

from bursar.core.budget import Budget
from bursar.core.labels import Labels
from bursar.core.provider import Provider
from bursar.core.run import RunAsk
from bursar.core.value import value
from bursar.pipeline.ports import Upstream
from bursar.upstream.headers import bare
from bursar.wire.base import Refusal, Request, Wire

__all__ = ["Body", "Call", "Next", "Reply", "Stage", "Target"]


def _here() -> bool:
    return False


@value
class Target:
    """Where a call can be answered: a provider, its name for the model, and the wire as it speaks it."""

    provider: Provider
    model: str
    wire: Wire
    path: str
    """Below the provider's base URL, with the query."""


@value
class Call:
    """One request to a model API, on its way."""

    id: str
    tenant: str
    wire: Wire
    request: Request
    provider: Provider
    model: str
    """As the provider knows it."""
    labels: Labels
    path: str
    """Where it goes below the provider's base URL, with its query."""
    headers: Mapping[str, str]
    """The client's headers that the provider may see."""
    client: str = ""
    """What the client calls itself (`originator`), since refusals differ."""
    is_gone: Callable[[], bool] = field(default=_here, compare=False)
    """Has the client gone away? Asked only while the call waits."""
    earlier_tokens: int = 0
    """Input beyond the body: the earlier response that this request continues, as the ledger has it."""
    fallbacks: tuple[Target, ...] = ()
    """Who is asked, in this order, when the provider fails before any output."""
    run: RunAsk | None = None
    """What is asked of its run; None where nothing is."""
    parent_run: str = ""
    """The run that began this call's run, as the client says."""
    seen: str = ""
    """What a guard saw in it, in few words; the ledger keeps it beside the call."""
    budgets: tuple[Budget, ...] = ()
    """Budgets that this call brings along: the scopes that are open around it. They count beside those in force."""
    is_interruptible: bool = True
    """Whoever drives it can end a wait for the provider; where that is not so, all that is sent is held at once."""
    upstream: Upstream | None = field(default=None, compare=False, repr=False)
    """Who sends it, where that is its own client; None where the hold stage has a way of its own to the provider."""

    @property
    def target(self) -> Target:
        """Where it goes first."""
        return Target(self.provider, self.model, self.wire, self.path)

    def asking(self, run: RunAsk) -> Call:
        """Let it ask this of its run, and give it: on its way it is in one stage's hands alone, and a copy of so many
        fields for each guarded call is dear."""
        self.run = run  # type: ignore[misc] # frozen for everybody else
        return self

    def towards(self, target: Target) -> Call:
        """Give the same call on its way elsewhere; a client's key is never shown to another provider."""
        is_same = target.provider.name == self.provider.name
        return replace(
            self,
            provider=target.provider,
            model=target.model,
            wire=target.wire,
            path=target.path,
            headers=self.headers if is_same else bare(self.headers),
        )


class Body(Protocol):
    """A reply that comes in pieces. Exactly one reader; `close` is always called, and again is harmless."""

    async def read(self) -> bytes:
        """Give the next piece for the client; b"" when there is no more."""
        ...

    async def tick(self) -> float | None:
        """Do what time alone makes due while the reader cannot take more; give the seconds until the next time."""
        ...

    async def close(self, *, is_hangup: bool) -> None:
        """End: what was not read will not be. `is_hangup` tells that the client went away."""
        ...


@value
class Reply:
    """What the client gets."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes | Body
    refusal: Refusal | None = None
    """What bursar itself refused; None for whatever the provider said."""


Next = Callable[[Call], Awaitable[Reply]]


class Stage(Protocol):
    """One capability: it may pass on, replace the call, answer itself, or wrap the reply.

    One that has nothing to do gives what `following` gives, without a coroutine of its own.
    """

    def __call__(self, call: Call, following: Next) -> Awaitable[Reply]: ...
