"""Turns: what an agent did between two answers of its model, and what it saw after that.

Owns the step from a conversation's parts to turns. A turn holds digests and the names of tools, never a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bursar.guards.loops.digest import Sketch, digest, loose_digest, sketch, steady_digest
from bursar.wire.acts import Asked, Part, Returned, Said
from bursar.wire.base import CallMark

__all__ = ["Action", "Turn", "turns_of"]

NAME_LENGTH_MAX = 64
ACKNOWLEDGES_WORDS = 2
"""An answer of so few words says only that it was done: then what was done is what is new."""


@dataclass(frozen=True, slots=True)
class Action:
    """One tool call and its answer."""

    name: str
    key: int
    """Of the name and the arguments; of the answer, where the call itself is not shown."""
    answer: int
    """Of the answer, without what changes by itself; 0 for none."""
    loose: int
    """Of the answer without its digits."""
    news: int
    """What was learnt: of the answer, or of call and answer where that only says that it was done."""
    is_error: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """One step of an agent, as the request after it shows it."""

    actions: tuple[Action, ...]
    key: int
    """Of everything that the model did; of its words, where it called nothing."""
    answer: int
    """Of what its calls gave; of the words that came back, where it called nothing."""
    loose: int
    """The same, without digits."""
    said: Sketch = b""
    """The model's words, where it called nothing."""
    heard: Sketch = b""
    """The words that came back then."""
    news: tuple[int, ...] = ()
    """What was seen: one digest for each answer and for the words to the model; where it called nothing, its own too:
    there they are what it does."""
    is_seen: bool = True
    """What the model did is shown. What stays at the provider (`previous_response_id`) is not, only what came back."""


@dataclass(slots=True)
class _Open:
    """A turn whose parts still come."""

    is_seen: bool = True
    words: list[str] = field(default_factory=list)
    calls: list[CallMark] = field(default_factory=list)
    returned: list[Returned] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    @property
    def is_answered(self) -> bool:
        return bool(self.returned or self.heard)


def turns_of(parts: Iterable[Part], before: Sequence[CallMark] | None = None) -> list[Turn]:
    """Fold parts into turns, the oldest first.

    What stands before the model's first part belongs to no turn, but where the request continues an answer that it does
    not show: there it is that answer's turn, and `before` are its calls, as far as they are known. A turn to which
    nothing came back yet is none.
    """
    turns: list[Turn] = []
    current = None if before is None else _Open(bool(before), calls=[*before])
    for part in parts:
        is_model = isinstance(part, Asked) or (isinstance(part, Said) and part.is_model)
        if is_model and (current is None or current.is_answered):
            if current is not None:
                turns.append(_turn(current))
            current = _Open()
        if current is not None:
            _add(current, part)
    if current is not None and current.is_answered:
        turns.append(_turn(current))
    return turns


def _add(turn: _Open, part: Part) -> None:
    match part:
        case Asked():
            turn.calls.append(part.mark)
        case Returned():
            turn.returned.append(part)
        case Said(text, is_model):
            (turn.words if is_model else turn.heard).append(text)


def _turn(parts: _Open) -> Turn:
    actions = _actions(parts)
    heard = "\n".join(parts.heard)
    steady = steady_digest(heard) if heard else 0
    news = (*(action.news for action in actions), *((steady,) if heard else ()))
    if actions:
        key, answer, loose = (
            _joined(*digests)
            for digests in zip(*((each.key, each.answer, each.loose) for each in actions), strict=True)
        )
        return Turn(actions, key, answer, loose, news=news, is_seen=parts.is_seen)
    words = "\n".join(parts.words)
    key = steady_digest(words)
    return Turn(
        (),
        key,
        steady,
        loose_digest(heard),
        sketch(words),
        sketch(heard),
        (*news, key),
        parts.is_seen,
    )


def _actions(parts: _Open) -> tuple[Action, ...]:
    """Match calls with their answers by id, and in their order where ids are missing."""
    by_id = {answer.id: answer for answer in parts.returned if answer.id}
    unnamed = iter([answer for answer in parts.returned if not answer.id])
    actions = []
    for call in parts.calls:
        answer = by_id.pop(call.id, None) if call.id else None
        actions.append(_action(call, answer or next(unnamed, None)))
    unseen = [*by_id.values(), *unnamed] if not parts.calls else []
    actions += [_unseen(answer) for answer in unseen]
    return tuple(actions)


def _action(call: CallMark, answer: Returned | None) -> Action:
    name, key = _clean(call.name), call.key
    if answer is None:
        return Action(name, key, 0, 0, key, is_error=False)
    steady = steady_digest(answer.text)
    news = _joined(key, steady) if _only_says_done(answer) else steady
    return Action(name, key, steady, loose_digest(answer.text), news, answer.is_error)


def _unseen(answer: Returned) -> Action:
    """Make an action of an answer alone. Where that says no more than that it was done, no two are the same."""
    steady = steady_digest(answer.text)
    if _only_says_done(answer):
        steady = _joined(digest(answer.id), steady)
        return Action("", steady, steady, steady, steady, is_error=False)
    return Action("", steady, steady, loose_digest(answer.text), steady, answer.is_error)


def _only_says_done(answer: Returned) -> bool:
    return not answer.is_error and len(answer.text.split(None, ACKNOWLEDGES_WORDS)) <= ACKNOWLEDGES_WORDS


def _joined(*digests: int) -> int:
    """Make one digest of several; of a single one, itself."""
    if len(digests) == 1:
        return digests[0]
    return digest(*(each.to_bytes(8, "big") for each in digests))


def _clean(name: str) -> str:
    """Give a tool's name as it may stand in a sentence: a model can write anything for one."""
    return name[:NAME_LENGTH_MAX] if name.isprintable() else ""
