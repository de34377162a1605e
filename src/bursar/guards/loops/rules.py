"""The rules of loops: from the latest turns of a conversation to what is wrong with the last one.

Owns one pure function a rule, and the words of a finding. Every rule asks whether the latest turn is one more of the
same; none looks at a text, and a sentence never holds one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bursar.core.loops import LoopSettings
from bursar.core.money import Nano, format_usd
from bursar.guards.loops.digest import is_alike
from bursar.guards.loops.turns import Turn

__all__ = ["TURNS_MAX", "Finding", "Rule", "find"]

TURNS_MAX = 40
"""Turns that are kept of a conversation; no rule looks further back."""


class Rule(StrEnum):
    """Which rule found it."""

    ROW = "row"
    AGAIN = "again"
    CYCLE = "cycle"
    ROUNDS = "rounds"
    ERROR = "error"
    EXCHANGE = "exchange"
    OPENINGS = "openings"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Finding:
    """One loop. `step` is the step of the run at which it was seen."""

    rule: Rule
    step: int
    count: int
    """How often it came."""
    within: int = 0
    """Among so many steps; of a cycle, its length."""
    tool: str = ""
    """The tool that was called, where it was one."""
    spent_nano: Nano = 0
    """What was spent since anything new was seen."""

    @property
    def sentence(self) -> str:
        """Say it to a person, without a word of any prompt."""
        call = f"the call `{self.tool}`" if self.tool else "the same step"
        match self.rule:
            case Rule.ROW:
                return f"{call} was made {self.count} times in a row, with the same outcome"
            case Rule.AGAIN:
                return f"{call} was made {self.count} times in {self.within} steps, with the same outcome"
            case Rule.CYCLE:
                return f"the same {self.within} steps were made {self.count} times over, with the same outcomes"
            case Rule.ROUNDS:
                return f"{self.count} of the last {self.within} steps repeat earlier ones, with the same outcomes"
            case Rule.ERROR:
                return f"{call} failed {self.count} times in {self.within} steps, with the same error"
            case Rule.EXCHANGE:
                return f"nearly the same words were exchanged {self.count} times in {self.within} steps"
            case Rule.OPENINGS:
                return f"nearly the same conversation was begun {self.count} times, and nothing new was seen"
            case Rule.STALE:
                return f"{format_usd(self.spent_nano)} were spent in {self.count} steps that brought nothing new"


def find(turns: Sequence[Turn], step: int, settings: LoopSettings) -> tuple[Finding, ...]:
    """Say which loops the latest turn is in, the clearest first."""
    if not turns:
        return ()
    found = (rule(turns, step, settings) for rule in _RULES)
    return tuple(finding for finding in found if finding is not None)


def _is_same(one: Turn, other: Turn) -> bool:
    return one.key == other.key and one.answer == other.answer


def _is_same_but_numbers(one: Turn, other: Turn) -> bool:
    return one.key == other.key and one.loose == other.loose


def _window(turns: Sequence[Turn], settings: LoopSettings) -> Sequence[Turn]:
    return turns[-settings.window :]


def _needed(threshold: int, turn: Turn, settings: LoopSettings) -> int:
    return threshold if turn.is_seen else threshold * settings.unseen_factor


def _tool(turn: Turn) -> str:
    return turn.actions[0].name if len(turn.actions) == 1 else ""


def _row(turns: Sequence[Turn], step: int, settings: LoopSettings) -> Finding | None:
    last = turns[-1]
    for threshold, is_same in ((settings.row, _is_same), (settings.row_alike, _is_same_but_numbers)):
        count = 0
        for turn in reversed(turns):
            if not is_same(turn, last):
                break
            count += 1
        if threshold and count >= _needed(threshold, last, settings):
            return Finding(Rule.ROW, step, count, count, _tool(last))
    return None


def _again(turns: Sequence[Turn], step: int, settings: LoopSettings) -> Finding | None:
    last, window, needed = turns[-1], _window(turns, settings), settings.again
    if not needed or not last.is_seen:
        return None
    for action in last.actions:
        count = sum(
            any(each.key == action.key and each.answer == action.answer for each in turn.actions) for turn in window
        )
        if count >= needed:
            return Finding(Rule.AGAIN, step, count, len(window), action.name)
    count = sum(_is_same(turn, last) for turn in window)
    return Finding(Rule.AGAIN, step, count, len(window)) if not last.actions and count >= needed else None


def _cycle(turns: Sequence[Turn], step: int, settings: LoopSettings) -> Finding | None:
    if not settings.cycle:
        return None
    for length in range(2, settings.cycle_length_max + 1):
        matches = 0
        for at in range(len(turns) - 1, length - 1, -1):
            if not _is_same(turns[at], turns[at - length]):
                break
            matches += 1
        count = 1 + matches // length
        if count >= _needed(settings.cycle, turns[-1], settings):
            return Finding(Rule.CYCLE, step, count, length)
    return None


def _rounds(turns: Sequence[Turn], step: int, settings: LoopSettings) -> Finding | None:
    seen: set[tuple[int, int]] = set()
    repeats: list[bool] = []
    for turn in turns:
        mark = (turn.key, turn.answer)
        repeats.append(turn.is_seen and mark in seen)
        seen.add(mark)
    count = sum(repeats[-settings.window :])
    is_loop = settings.rounds and repeats[-1] and count >= settings.rounds
    return Finding(Rule.ROUNDS, step, count, min(len(turns), settings.window)) if is_loop else None


def _error(turns: Sequence[Turn], step: int, settings: LoopSettings) -> Finding | None:
    window = _window(turns, settings)
    last = turns[-1]
    for action in last.actions:
        if not action.is_error:
            continue
        earlier = [
            each
            for turn in window
            for each in turn.actions
            if each.is_error and each.name == action.name and each.loose == action.loose
        ]
        same = sum(each.key == action.key for each in earlier)
        for count, threshold in ((same, settings.error), (len(earlier), settings.error_alike)):
            if threshold and count >= _needed(threshold, last, settings):
                return Finding(Rule.ERROR, step, count, len(window), action.name)
    return None


def _exchange(turns: Sequence[Turn], step: int, settings: LoopSettings) -> Finding | None:
    last, window = turns[-1], _window(turns, settings)
    if not settings.exchange or not last.heard or not last.said:
        return None
    per_mille = settings.alike_per_mille
    count = sum(is_alike(t.heard, last.heard, per_mille) and is_alike(t.said, last.said, per_mille) for t in window)
    return Finding(Rule.EXCHANGE, step, count, len(window)) if count >= settings.exchange else None


_RULES: tuple[Callable[[Sequence[Turn], int, LoopSettings], Finding | None], ...] = (
    _row,
    _cycle,
    _error,
    _again,
    _exchange,
    _rounds,
)
