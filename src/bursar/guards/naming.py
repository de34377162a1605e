"""A run has a name before anything counts by it: the client's, else one inferred from the conversation.

Owns the inference, and that it happens only where a guard or a budget counts by run. Such a name begins with
`inferred-`, so that every report shows what it is. It must never guess across tenants, keys, agents or users.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from bursar.core.labels import NONE, Labels
from bursar.core.run import RunAsk
from bursar.core.window import NS
from bursar.errors import StoreUnavailable
from bursar.guards.ports import Clock, Runs
from bursar.pipeline.call import Call, Next, Reply
from bursar.wire.conversation import Conversation, conversation_of

__all__ = ["PREFIX", "RunNaming"]

PREFIX = "inferred-"
SAME_NS = 10 * NS
"""A user's word that comes sooner after the last call is part of the same run: people take longer, programs do not."""
IDLE_NS = 3_600 * NS
"""After so much silence what continues a conversation is another run."""
KNOWN_MAX = 10_000
"""How many conversations one process remembers; for the others the ledger is asked."""
WHOSE = ("key", "agent", "user", "session", "task")
"""Calls that differ in one of these belong to no common run."""


@dataclass(slots=True)
class RunNaming:
    """A stage: gives a call its run where `is_needed` says that something counts by it."""

    is_needed: Callable[[], bool]
    runs: Runs
    clock: Clock
    _known: OrderedDict[str, tuple[str, int]] = field(default_factory=OrderedDict)
    """By prefix: the latest run, and when it last did something in this process."""

    def __call__(self, call: Call, following: Next) -> Awaitable[Reply]:
        if call.labels.pairs.get("run", NONE) != NONE or not self.is_needed():
            return following(call)
        return self._inferred(call, following)

    async def _inferred(self, call: Call, following: Next) -> Reply:
        """Pass a call on that nobody named a run for."""
        if call.request.previous_id:
            return await following(await self._continued(call))
        talk = conversation_of(call.request)
        if talk is None or not talk.opening:
            return await following(call)
        prefix = _prefix(call, talk)
        run = await self._run(call, talk, prefix)
        reply = await following(_named(call, run, RunAsk(run, prefix=prefix)))
        self._remember(prefix, run)
        return reply

    async def _continued(self, call: Call) -> Call:
        """Give a call that continues a response to that response's run."""
        try:
            run = await self.runs.response_run(call.tenant, call.request.previous_id)
        except StoreUnavailable:
            return call
        return _named(call, run, RunAsk(run)) if run else call

    async def _run(self, call: Call, talk: Conversation, prefix: str) -> str:
        """Name the run of a conversation: the latest that began like it, unless too much time lies between."""
        now_ns, within_ns = self.clock(), SAME_NS if talk.is_asking else IDLE_NS
        run, last_ns = self._known.get(prefix, ("", 0))
        if not run or now_ns - last_ns >= within_ns:
            # Another process may know better, and of a stream the ledger alone knows when it ended.
            run = await self._stored(call.tenant, prefix, now_ns - within_ns)
        run = run or PREFIX + call.id
        self._remember(prefix, run)
        return run

    async def _stored(self, tenant: str, prefix: str, since_ns: int) -> str:
        try:
            row = await self.runs.latest(tenant, prefix)
        except StoreUnavailable:
            return ""
        return row.run if row is not None and (row.in_flight or row.last_ns > since_ns) else ""

    def _remember(self, prefix: str, run: str) -> None:
        self._known[prefix] = (run, self.clock())
        self._known.move_to_end(prefix)
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)


def _prefix(call: Call, talk: Conversation) -> str:
    """Digest what all calls of one conversation share, and whose they are."""
    whose = "\0".join([call.tenant, *(call.labels[label] for label in WHOSE)])
    return hashlib.sha256(whose.encode() + b"\0" + talk.opening).hexdigest()[:32]


def _named(call: Call, run: str, ask: RunAsk) -> Call:
    return replace(call, labels=Labels({**call.labels.pairs, "run": run}), run=ask)
