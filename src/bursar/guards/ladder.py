"""What happens on the way to a limit: a warning, a sentence to the model, a cheaper model.

Owns these rungs; the last one, to park or to stop, is the ledger's and `parking.py`'s. It never refuses, and what it
does to a request it does openly, in headers of the answer.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from bursar.core.budget import Unit
from bursar.core.guards import Act, GuardRule, Guards, LadderStep
from bursar.core.labels import NONE
from bursar.core.money import format_usd
from bursar.guards.board import RunBoard
from bursar.guards.ports import Clock
from bursar.pipeline.call import Call, Next, Reply
from bursar.wire.notes import with_note

__all__ = ["Ladder"]

log = logging.getLogger("bursar.guards")

WARNED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class _Reached:
    """A rung that a run has come to."""

    rule: GuardRule
    rung: LadderStep
    figures: str


@dataclass(slots=True)
class Ladder:
    """A stage. `retarget` sends a call to another model, where one of that name can answer it."""

    guards: Guards
    board: RunBoard
    clock: Clock
    retarget: Callable[[Call, str], Call]
    _warned: OrderedDict[tuple[str, str, str], None] = field(default_factory=OrderedDict)

    _early: tuple[tuple[GuardRule, tuple[LadderStep, ...]], ...] = field(init=False)
    """The rules that have rungs before the end, with these."""

    def __post_init__(self) -> None:
        self.board.is_read = True
        self._early = tuple((rule, rule.early) for rule in self.guards.rules if rule.early)

    def __call__(self, call: Call, following: Next) -> Awaitable[Reply]:
        reached = self._reached(call)
        return self._acting(call, following, reached) if reached else following(call)

    async def _acting(self, call: Call, following: Next, reached: list[_Reached]) -> Reply:
        """Do what each rung says."""
        headers = []
        for each in reached:
            if each.rung.act is Act.MODEL:
                call = self.retarget(call, each.rung.model)
                headers.append(("x-bursar-model", call.model))
            elif each.rung.act is Act.NOTE:
                call = replace(call, request=with_note(call.request, _sentence(each)))
            else:
                self._warn(call, each)
                headers.append(("x-bursar-warning", f"{each.rule.guard}: {each.figures}"))
        reply = await following(call)
        return replace(reply, headers=(*reply.headers, *headers))

    def _reached(self, call: Call) -> list[_Reached]:
        """Find the rungs that the call's run has come to, of each act the highest."""
        run = call.labels["run"]
        standing = self.board.standing(call.tenant, run) if run != NONE else None
        if standing is None:
            return []
        found: dict[tuple[str, Act], _Reached] = {}
        for rule, early in self._early:
            if not rule.matches(call.labels):
                continue
            used, most = standing.used(rule, self.clock())
            for rung in early:
                if most and used * 100 >= rung.percent * most:
                    found[rule.guard, rung.act] = _Reached(rule, rung, _figures(rule, used, most))
        return list(found.values())

    def _warn(self, call: Call, reached: _Reached) -> None:
        """Tell the log once of each run and guard."""
        key = (call.tenant, call.labels["run"], reached.rule.guard)
        if key in self._warned:
            return
        self._warned[key] = None
        while len(self._warned) > WARNED_MAX:
            self._warned.popitem(last=False)
        log.warning("run %s of tenant %s nears its guard %s: %s", key[1], key[0], key[2], reached.figures)


def _figures(rule: GuardRule, used: int, most: int) -> str:
    if rule.guard in ("cost", "spend_per_minute"):
        return f"{format_usd(used // 100_000 * 100_000)} of {format_usd(most)} {Unit.USD}"
    return f"{used:,} of {most:,} {rule.guard.replace('_', ' ')}"


def _sentence(reached: _Reached) -> str:
    """Tell the model in one sentence, without a name that a client chose."""
    return f"[Budget notice: this run has used {reached.figures}. Finish now with what you have.]"
