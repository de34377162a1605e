"""The part `loops` of the section `guards`: when an agent goes in circles.

Owns the keys of that part, and the step from what a person writes to a rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields as fields_of
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

from bursar.config.budgets import read_match
from bursar.config.problems import Problems, near, show
from bursar.config.read import Read, fields, scalar
from bursar.config.short import parse_amount
from bursar.config.tree import Items, Node, Scalar, Table
from bursar.config.values import whole
from bursar.core.budget import Unit
from bursar.core.guards import Act, LadderStep, LoopRule
from bursar.core.loops import LoopSettings

__all__ = ["LOOP_KEYS", "Match", "read_loops"]

Match: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]

TURNS_MAX = 40
"""So many steps of a conversation are remembered: nothing more can be counted."""
REPEATS_MAX = 8
"""Of the longest round, five steps, so many are remembered."""
STEPS_MAX = 1_000_000
ENDS = (Act.PARK, Act.STOP)


def _or_off(read: Read) -> Read:
    """Let a threshold be `off`, which is 0."""

    def read_one(node: Node, problems: Problems) -> int | None:
        if isinstance(node, Scalar) and node.text == "off":
            return 0
        found: int | None = read(node, problems)
        return found

    return read_one


def _count(most: int, least: int = 2) -> Read:
    return _or_off(scalar(whole(least, most)))


LOOP_KEYS: Mapping[str, Read] = MappingProxyType(
    {
        "row": _count(TURNS_MAX),
        "row_alike": _count(TURNS_MAX),
        "again": _count(TURNS_MAX),
        "window": scalar(whole(2, TURNS_MAX)),
        "cycle": _count(REPEATS_MAX),
        "rounds": _count(TURNS_MAX),
        "error": _count(TURNS_MAX),
        "error_alike": _count(TURNS_MAX),
        "exchange": _count(TURNS_MAX),
        "openings": _count(TURNS_MAX),
        "stale": _or_off(scalar(lambda written: parse_amount(Unit.USD, written).amount)),
        "stale_steps": scalar(whole(1, STEPS_MAX)),
        "match": read_match,
        "on_trip": lambda node, problems: node,
    }
)
"""The keys of `loops`; `on_trip` is read with the words for acts that every guard has."""


def read_loops(node: Node, problems: Problems, *, rung: Callable[[str], LadderStep]) -> tuple[LoopRule, ...]:
    """Read `default`, `off` (no rule), or the thresholds that differ. A rule without a ladder takes the section's."""
    if isinstance(node, Scalar):
        if node.text not in ("default", "off"):
            words = near(node.text, ("default", "off"))
            problems.add(node.place, f"{show(node.text)} is nothing that loops can be; {words}")
        return (LoopRule(ladder=()),) if node.text == "default" else ()
    before = len(problems)
    read = fields(node, LOOP_KEYS, problems)
    if len(problems) > before or not isinstance(node, Table):
        return ()
    if "stale" in read:
        read["stale_nano"] = read.pop("stale")
    ladder = _ladder(read["on_trip"], problems, rung) if "on_trip" in read else ()
    known = {field.name for field in fields_of(LoopSettings)}
    settings = LoopSettings(**{name: value for name, value in read.items() if name in known})
    return (LoopRule(settings, read.get("match", ()), ladder),)


def _ladder(node: Node, problems: Problems, rung: Callable[[str], LadderStep]) -> tuple[LadderStep, ...]:
    """Read one act or a list of them in their order; the end is to stop unless it says park."""
    found = [step for step in _each(node, scalar(partial(_act, rung)), problems) if step is not None]
    if any(step.act in ENDS for step in found[:-1]):
        problems.add(node.place, "nothing comes after park or stop: write it last")
    if not found or found[-1].act not in ENDS:
        found.append(LadderStep(Act.STOP))
    return tuple(found)


def _each(node: Node, read: Read, problems: Problems) -> list[LadderStep | None]:
    """Read one value, or each of a list."""
    return [read(item, problems) for item in (node.nodes if isinstance(node, Items) else (node,))]


def _act(rung: Callable[[str], LadderStep], written: str) -> LadderStep:
    if re.search(r"\bat [0-9]+ ?%?$", written):
        raise ValueError(f"{show(written)}: loops have no percentage; each finding is one act further")
    return rung(written)
