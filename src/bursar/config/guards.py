"""The section `guards`: circuit breakers per run, off until `guards: default` switches them on.

Owns the keys of the section, the defaults, and the step from what a person writes to rules and to the budgets that
count tokens and money of a run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from bursar.config.budgets import read_match
from bursar.config.loops import Match, read_loops
from bursar.config.problems import Problems, near, show
from bursar.config.read import Fields, Read, at, entries, fields, scalar
from bursar.config.short import parse_amount
from bursar.config.tree import Items, Node, Scalar, Table
from bursar.config.values import seconds, whole
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.control import EVERY_TENANT
from bursar.core.guards import BUDGET_PREFIX, Act, GuardRule, Guards, LadderStep, LoopRule
from bursar.core.labels import VALUE_LENGTH_MAX
from bursar.core.window import Window, WindowKind

__all__ = ["DEFAULTS", "GUARD_KEYS", "RULE_KEYS", "read_guards"]

RULES_MAX = 100
"""How many rules one guard may have."""
PARK_WAIT_MAX_S = 3_600
_COUNT = whole(1, 1_000_000_000)
_PARSERS: Mapping[str, Callable[[str], int]] = MappingProxyType(
    {
        "tool_calls": _COUNT,
        "tokens": lambda written: parse_amount(Unit.TOKENS, written).amount,
        "seconds": whole(1, 7 * 86_400),
        "cost": lambda written: parse_amount(Unit.USD, written).amount,
        "steps": _COUNT,
        "depth": whole(0, 32),
        "children": _COUNT,
        "parallel": _COUNT,
        "spend_per_minute": lambda written: parse_amount(Unit.USD, written).amount,
    }
)
DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        "tool_calls": "10",
        "tokens": "50k",
        "seconds": "120",
        "cost": "$1",
        "steps": "25",
        "depth": "3",
        "children": "20",
        "parallel": "10",
        "spend_per_minute": "$0.50",
    }
)
"""What `guards: default` switches on; a guard that is not written keeps this."""
_EARLY = {Act.WARN: 80, Act.NOTE: 80, Act.MODEL: 90}
"""The percentage of a rung that names none."""
_RUNG = re.compile(r"(warn|note|model|park|stop)(?: (?!at )(\S+))?(?: at ([0-9]{1,3}) ?%?)?", re.ASCII)
_BUDGETS: Mapping[str, tuple[Unit, WindowKind]] = MappingProxyType(
    {
        "tokens": (Unit.TOKENS, WindowKind.RUN),
        "cost": (Unit.USD, WindowKind.RUN),
        "spend_per_minute": (Unit.USD, WindowKind.MINUTE),
    }
)
WHOLE_RUNS = ("run", ("*",))
"""Calls of a run: what belongs to none shares no budget."""


def _rung(written: str) -> LadderStep:
    found = _RUNG.fullmatch(" ".join(written.split()))
    if found is None:
        raise ValueError(f"{show(written)} is no act of a guard: write warn, note, model NAME, park or stop")
    act, model, percent = Act(found[1]), found[2] or "", found[3]
    if (act is Act.MODEL) != bool(model) or len(model) > VALUE_LENGTH_MAX:
        raise ValueError(f"{show(written)}: a model is named after `model`, and only there")
    if act in (Act.PARK, Act.STOP):
        if percent is not None:
            raise ValueError(f"{show(written)}: a run is parked or stopped at its limit; leave the percentage out")
        return LadderStep(act)
    rung = LadderStep(act, int(percent) if percent else _EARLY[act], model)
    if not 1 <= rung.percent <= 99:
        raise ValueError(f"{show(written)}: write 1% to 99%")
    return rung


def _ladder(node: Node, problems: Problems) -> tuple[LadderStep, ...] | None:
    """Read one act or a list of them; the end is to stop unless it says park."""
    nodes = node.nodes if isinstance(node, Items) else (node,)
    rungs = [rung for rung in (scalar(_rung)(item, problems) for item in nodes) if rung is not None]
    ends = [rung for rung in rungs if rung.act in (Act.PARK, Act.STOP)]
    if len(ends) > 1:
        problems.add(node.place, "a run is parked or stopped, not both: write one of them")
    early = sorted((rung for rung in rungs if rung not in ends), key=lambda rung: rung.percent)
    return (*early, ends[0] if ends else LadderStep(Act.STOP))


def _rules(guard: str, node: Node, problems: Problems) -> list[GuardRule]:
    """Read a limit, `off`, a table with limit, match and on_trip, or a list of such tables."""
    nodes = node.nodes if isinstance(node, Items) else (node,)
    if not 1 <= len(nodes) <= RULES_MAX:
        problems.add(node.place, f"1 to {RULES_MAX} rules are possible; write off for none")
        return []
    found = []
    for item in nodes:
        if isinstance(item, Scalar) and item.text == "off":
            continue
        rule = _rule(guard, item, problems)
        if rule is not None:
            found.append(rule)
    return found


def _rule(guard: str, node: Node, problems: Problems) -> GuardRule | None:
    read_limit = scalar(_PARSERS[guard])
    if not isinstance(node, Table):
        most = read_limit(node, problems)
        return None if most is None else GuardRule(guard, most, ladder=())
    keys = {**RULE_KEYS, "limit": read_limit}
    before = len(problems)
    read = fields(node, keys, problems)
    if len(problems) > before:
        return None
    if "limit" not in read:
        read["limit"] = _PARSERS[guard](DEFAULTS[guard])
    return GuardRule(guard, read["limit"], read.get("match", ()), read.get("on_trip", ()))


RULE_KEYS: Mapping[str, Read] = {
    "limit": scalar(_COUNT),
    "match": read_match,
    "on_trip": _ladder,
}
"""The keys of one guard where it is more than its limit."""
GUARD_KEYS: Mapping[str, Read] = {
    **{guard: partial(_rules, guard) for guard in DEFAULTS},
    "loops": partial(read_loops, rung=_rung),
    "match": read_match,
    "on_trip": _ladder,
    "park_wait_s": scalar(seconds(0, PARK_WAIT_MAX_S)),
}


def read_guards(node: Node, problems: Problems) -> Guards:
    """Read the section: `default`, `off`, or the guards that differ from the defaults."""
    if isinstance(node, Scalar):
        if node.text == "default":
            return _guards({}, Problems())
        if node.text not in ("", "off"):
            problems.add(node.place, f"{show(node.text)} is no set of guards; {near(node.text, ('default', 'off'))}")
        return Guards()
    if not entries(node, problems):
        return Guards()
    before = len(problems)
    read = fields(node, GUARD_KEYS, problems)
    if at(node, "park_wait_s") is not None and len(node.entries if isinstance(node, Table) else {}) == 1:
        problems.add(node.place, "no guard is switched on by this alone: write for example `steps: 25` beside it")
    return Guards() if len(problems) > before else _guards(read, problems)


def _guards(read: Fields, problems: Problems) -> Guards:
    shared = read.get("match", ())
    ladder = read.get("on_trip", (LadderStep(Act.STOP),))
    rules: list[GuardRule] = []
    budgets: list[Budget] = []
    for guard, text in DEFAULTS.items():
        mine = read.get(guard, [GuardRule(guard, _PARSERS[guard](text), ladder=())])
        for number, rule in enumerate(mine, 1):
            whole_rule = replace(rule, match=_both(shared, rule.match), ladder=rule.ladder or ladder)
            budget = _budget(whole_rule, number if len(mine) > 1 else 0)
            if budget is not None:
                budgets.append(budget)
                whole_rule = replace(whole_rule, budget=budget.name)
            rules.append(whole_rule)
    return Guards(tuple(rules), tuple(budgets), read.get("park_wait_s", 0.0), _loops(read, shared, ladder))


def _loops(read: Fields, shared: Match, ladder: tuple[LadderStep, ...]) -> LoopRule | None:
    """Lay what the section says under what `loops` says of itself."""
    rules: tuple[LoopRule, ...] = read.get("loops", (LoopRule(ladder=()),))
    return next((replace(rule, match=_both(shared, rule.match), ladder=rule.ladder or ladder) for rule in rules), None)


def _both(shared: Match, own: Match) -> Match:
    """Lay a guard's own labels over those of the section."""
    return tuple({**dict(shared), **dict(own)}.items())


def _budget(rule: GuardRule, number: int) -> Budget | None:
    if rule.guard not in _BUDGETS:
        return None
    unit, kind = _BUDGETS[rule.guard]
    name = f"{BUDGET_PREFIX}{rule.guard}" + (f" {number}" if number else "")
    match = tuple({WHOLE_RUNS[0]: WHOLE_RUNS[1], **dict(rule.match)}.items())
    per = () if kind is WindowKind.RUN else ("run",)
    return Budget(name, (Limit(unit, rule.most),), Window(kind), match, per, EVERY_TENANT)
