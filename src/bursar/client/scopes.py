"""Which budgets are open around the code that runs now.

Owns the stack of scopes of a context, and what counts where a thread has no context of its own: every scope that is
open in this process. It decides nothing about money; a scope is a real budget, and the ledger holds against it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from bursar.client import names
from bursar.core.budget import Budget, Unit
from bursar.core.labels import Labels
from bursar.wiring.handed import left_of

__all__ = [
    "UNATTRIBUTED",
    "Around",
    "Scope",
    "around",
    "budgeted_here",
    "close_scope",
    "labelled",
    "name_here",
    "named_here",
    "open_everywhere",
    "open_scope",
    "scopes_here",
    "scopes_open",
]

MODELS_MAX = 100
"""For so many models, the labels of calls inside the same blocks are remembered."""
UNATTRIBUTED = "unattributed"
"""The run of a call of which nobody can say to which of several open scopes it belongs."""


@dataclass(eq=False, slots=True)
class Scope:
    """One budget that a program opened, with the labels that calls inside it get. Each is itself and nobody else."""

    budget: Budget | None
    """None for one that only labels."""
    labels: Mapping[str, str]
    parents: tuple[Scope, ...] = ()
    """The scopes around it, from the outside to the inside."""
    stopped: str = ""
    """Why no call inside it is let through any more; empty while it goes on by what the ledger says."""
    is_exceeded: bool = False
    refusals: int = 0
    """How many calls were refused because of it."""
    reason: str = ""
    """What the last of them was told."""
    refused_at_s: float = 0.0
    """When that was, by the monotonic clock."""
    react: Callable[[Any], None] | None = None
    """What the program wants done about a refusal that is this scope's, before it hears of it."""
    covered: tuple[tuple[Scope, Unit], ...] = ()
    """Where its part is held already: what its calls cost in that unit is not held against that scope once more."""
    began_ns: int = 0
    """When it was entered first; 0 where that was in another process."""
    entries: int = field(default=0)
    """How many blocks of code are inside it now."""

    @property
    def chain(self) -> tuple[Scope, ...]:
        """The scope with all that are around it, the outermost first."""
        return (*self.parents, self)


@dataclass(frozen=True, slots=True)
class Around:
    """The scopes around a call, the outermost first, and the labels that they give.

    Calls inside the same blocks have the same one, so what follows from it is worked out once.
    """

    scopes: tuple[Scope, ...]
    labels: Mapping[str, str]
    budgets: tuple[Budget, ...] = field(init=False, compare=False)
    """Those that count the call, without the limits that a part was carved out of."""
    parent_run: str = field(init=False, compare=False)
    """The run inside which a scope began the innermost one; empty where there is one run, or none."""
    _labelled: dict[tuple[str, str, str], Labels] = field(default_factory=dict, init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "budgets", self._budgets())
        object.__setattr__(self, "parent_run", self._parent_run())

    @property
    def stopped(self) -> Scope | None:
        """Find the outermost scope inside which no call is let through any more."""
        for scope in self.scopes:
            if scope.stopped:
                return scope
        return None

    def labels_of(self, provider: str, model: str, wire: str) -> Labels:
        """Give the labels of a call about which its request itself says nothing; they are made once."""
        key = (provider, model, wire)
        found = self._labelled.get(key)
        if found is None:
            if len(self._labelled) >= MODELS_MAX:
                self._labelled.clear()
            pairs = {**self.labels, "provider": provider, "model": model, "wire": wire}
            found = self._labelled[key] = Labels(pairs)
        return found

    def _parent_run(self) -> str:
        if len(self.scopes) < 2:
            return ""
        runs = list(dict.fromkeys(scope.labels["run"] for scope in self.scopes if "run" in scope.labels))
        return runs[-2] if len(runs) > 1 and self.labels.get("run") != UNATTRIBUTED else ""

    def _budgets(self) -> tuple[Budget, ...]:
        covered = [each for scope in self.scopes for each in scope.covered]
        if not covered:
            return tuple([scope.budget for scope in self.scopes if scope.budget is not None])
        left = (_without(scope, [unit for other, unit in covered if other is scope]) for scope in self.scopes)
        return tuple(budget for budget in left if budget is not None)


NOTHING = Around((), {})


class _Stack:
    """For each block that a context is in: the scopes that it put around what follows, its own the last."""

    __slots__ = ("blocks", "known")

    def __init__(self, *blocks: tuple[Scope, ...]) -> None:
        self.blocks = blocks
        self.known: tuple[int, names.Name | None, Around] | None = None
        """What was around the latest call here, by how much was open elsewhere and what was named here."""


@dataclass(slots=True)
class _Changes:
    """How often something was opened or closed in this process."""

    count: int = 0

    def note(self) -> None:
        self.count += 1
        _nowhere.known = None


_nowhere = _Stack()
_stack: ContextVar[_Stack] = ContextVar("bursar_scopes", default=_nowhere)
_open: dict[int, Scope] = {}
_base: list[Scope] = []
_changes = _Changes()
_lock = threading.RLock()


def _without(scope: Scope, units: Sequence[Unit]) -> Budget | None:
    """Give a scope's budget without its limits in some units; None where nothing is left of it."""
    budget = scope.budget
    if budget is None or not units:
        return budget
    return left_of(budget, units)


def open_scope(scope: Scope) -> None:
    """Put a scope around what follows in this context."""
    here = scopes_here()
    added = (*(each for each in scope.parents if each not in here), scope)
    _stack.set(_Stack(*_stack.get().blocks, added))
    with _lock:
        scope.entries += 1
        _open[id(scope)] = scope
        _changes.note()


def close_scope(scope: Scope) -> None:
    """Take a scope off this context; harmless in a context that it was not opened in, as generators do."""
    blocks = _stack.get().blocks
    mine = next((at for at in reversed(range(len(blocks))) if blocks[at][-1] is scope), None)
    if mine is not None:
        left = (*blocks[:mine], *blocks[mine + 1 :])
        _stack.set(_Stack(*left) if left else _nowhere)
    with _lock:
        scope.entries -= 1
        if scope.entries <= 0:
            _open.pop(id(scope), None)
        _changes.note()


def open_everywhere(scope: Scope) -> None:
    """Put a scope around all that this process does, in every thread, for good."""
    with _lock:
        scope.entries += 1
        _open[id(scope)] = scope
        _base.append(scope)
        _changes.note()


def scopes_here() -> tuple[Scope, ...]:
    """Give the scopes of this context, with those that are around the whole process."""
    blocks = _stack.get().blocks
    if not blocks:
        return tuple(_base)
    if len(blocks) == 1 and not _base:
        return blocks[0]
    return tuple(dict.fromkeys((*_base, *(scope for block in blocks for scope in block))))


def budgeted_here() -> tuple[Scope, ...]:
    """Give those scopes of this context that have a budget; equal in two places where the same are around both."""
    return tuple([scope for scope in scopes_here() if scope.budget is not None])


def scopes_open() -> tuple[Scope, ...]:
    """Give every scope that is open in this process, parents before their children."""
    with _lock:
        found = tuple(_open.values())
    return _all_of(found)


def around() -> Around:
    """Say what a call made here counts against."""
    stack, name = _stack.get(), names.latest()
    # Without a block of its own a context is inside all that is open anywhere.
    elsewhere = len(_base) if stack.blocks else _changes.count
    known = stack.known
    if known is not None and known[1] is name and known[0] == elsewhere:
        return known[2]
    found = _around()
    stack.known = (elsewhere, name, found)
    return found


def _around() -> Around:
    here = scopes_here()
    name = names.given(here)
    if here and name is names.NOBODY:
        return Around(here, _merged(here))
    if here:
        depth = len(name.inside)
        return Around(here, {**_merged(here[:depth]), **name.labels, **_merged(here[depth:])})
    if not _open:
        return Around((), name.labels) if name.labels else NOTHING
    every = scopes_open()
    innermost = max(every, key=lambda scope: len(scope.parents), default=None)
    if innermost is None:
        return NOTHING
    if len(innermost.chain) == len(every):
        return Around(every, {**_merged(every), **name.labels})
    return Around(every, {**_common(every), **name.labels, "run": UNATTRIBUTED})


def name_here(labels: Mapping[str, str]) -> None:
    """Give these labels, and no others, to what follows in this context, inside the scopes that are open here."""
    names.give(scopes_here(), labelled(labels))


def named_here() -> Mapping[str, str]:
    """Say what was named here."""
    return names.given(scopes_here()).labels


def _all_of(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    found: dict[int, Scope] = {}
    for scope in scopes:
        for each in scope.chain:
            found.setdefault(id(each), each)
    return tuple(sorted(found.values(), key=lambda scope: len(scope.parents)))


def _merged(scopes: Iterable[Scope]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for scope in scopes:
        labels.update(scope.labels)
    return labels


def _common(scopes: Iterable[Scope]) -> dict[str, str]:
    """Keep the labels about which the innermost scopes agree."""
    every = tuple(scopes)
    outer = {id(parent) for scope in every for parent in scope.parents}
    merged = [_merged(scope.chain) for scope in every if id(scope) not in outer]
    return {name: value for name, value in merged[0].items() if all(each.get(name) == value for each in merged)}


def labelled(given: Mapping[str, str]) -> Mapping[str, str]:
    """Clean labels as every door does."""
    return dict(Labels.of(given).pairs)


def _forked() -> None:
    """Keep in a forked child what is open around the fork; the other threads' scopes have nobody left to close them."""
    global _lock  # noqa: PLW0603 - a lock that another thread held at the fork would never be let go of
    _lock = threading.RLock()
    here = {id(scope) for scope in scopes_here()}
    if here:
        for key in [key for key in _open if key not in here]:
            del _open[key]
    _changes.note()


os.register_at_fork(after_in_child=_forked)
