"""The section `budgets`: from what a person writes to checked Budget values.

Owns the keys of a budget, its name when none is given, and the expansion of one definition into a budget per window
(`limit: [50k tokens / day, 1M tokens / month]`). What a budget then does is `core/budget.py`'s matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bursar.config.problems import Place, Problems, show
from bursar.config.read import Fields, Read, entries, fields, many, scalar, tried
from bursar.config.short import DAYS_MAX, Period, parse_amount, parse_date, parse_period, parse_short
from bursar.config.tree import Items, Node, Scalar, Table
from bursar.config.values import label_name, link, member, one_of, text, timezone, truth, whole
from bursar.core.budget import Budget, Limit, Policy, Unit
from bursar.core.control import EVERY_TENANT, TENANT_LENGTH_MAX, is_tenant
from bursar.core.labels import VALUE_LENGTH_MAX
from bursar.core.window import Window, WindowKind

__all__ = [
    "BUDGETS_MAX",
    "BUDGET_KEYS",
    "DEFAULT_TENANT_OF_BUDGETS",
    "NAME_LENGTH_MAX",
    "SET_KEYS",
    "read_budgets",
    "read_flag_budgets",
    "read_match",
    "read_set_budget",
]

BUDGETS_MAX = 1_000
DEFAULT_TENANT_OF_BUDGETS = EVERY_TENANT
"""Whose a budget of the file is that names no tenant."""
NAME_LENGTH_MAX = 128
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class _Part:
    """One limit as it was written."""

    limit: Limit
    period: Period | None
    text: str
    place: Place


def _percent(written: str) -> int:
    return whole(1, 100)(written.removesuffix("%").rstrip())


def _weekday(written: str) -> int:
    return WEEKDAYS.index(one_of(WEEKDAYS)(written.lower()))


def _tenant(written: str) -> str:
    if written != EVERY_TENANT and not is_tenant(written):
        raise ValueError(
            f"{show(written)} names no tenant: write letters, digits, '.', '_' and '-', at most {TENANT_LENGTH_MAX}, "
            "or '*' for each tenant"
        )
    return written


def read_match(node: Node, problems: Problems) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Read which calls are meant: labels with a value or a list of values, `*` for anything."""
    read_patterns = many(text(VALUE_LENGTH_MAX))
    found: dict[str, tuple[str, ...]] = {}
    for written, value in entries(node, problems).items():
        label = tried(value.place, problems, label_name, written)
        if label in found:
            problems.add(value.place, f"the label {label} is here twice")
        if label is not None:
            found[label] = read_patterns(value, problems)
    return tuple(found.items())


def _read_period(node: Node, problems: Problems) -> Period | None:
    if not isinstance(node, Table):
        return scalar(parse_period)(node, problems)
    found = fields(node, {"days": scalar(whole(1, DAYS_MAX)), "since": scalar(parse_date)}, problems)
    for key in ("days", "since"):
        if key not in node.entries:
            problems.add(node.place, f"{key} is missing: write for example {{days: 30, since: 2026-11-01}}")
    return Period(WindowKind.DAYS, **found) if len(found) == 2 else None


def _read_parts(node: Node, problems: Problems) -> tuple[_Part, ...]:
    """Read a short form, a list of them, or amounts by unit."""
    if isinstance(node, Table):
        return tuple(_amounts(node, problems))
    nodes = node.nodes if isinstance(node, Items) else (node,)
    if not nodes:
        problems.add(node.place, "at least one limit is needed, such as $5 / day")
    parts = []
    for item in nodes:
        short = scalar(parse_short)(item, problems)
        if short is not None and isinstance(item, Scalar):
            parts.append(_Part(short.limit, short.period, _tidy(item.text), item.place))
    return tuple(parts)


def _amounts(node: Table, problems: Problems) -> Iterator[_Part]:
    if not node.entries:
        problems.add(node.place, "at least one limit is needed, such as {usd: 5}")
    for key, value in node.entries.items():
        unit = tried(value.place, problems, member(Unit), key)
        if unit is None:
            continue
        limit = scalar(partial(parse_amount, unit))(value, problems)
        if limit is not None and isinstance(value, Scalar):
            yield _Part(limit, None, f"{_tidy(value.text)} {unit}", value.place)


BUDGET_KEYS: Mapping[str, Read] = {
    "name": scalar(text(NAME_LENGTH_MAX)),
    "limit": _read_parts,
    "window": _read_period,
    "match": read_match,
    "per": many(label_name),
    "tenant": scalar(_tenant),
    "timezone": scalar(timezone),
    "week_start": scalar(_weekday),
    "strict": scalar(truth),
    "on_unknown_price": scalar(member(Policy)),
    "on_store_down": scalar(member(Policy)),
    "link": scalar(link),
    "warn_at": many(_percent, least=0),
    "values_max": scalar(whole(1, 10_000_000)),
}
_NAMED: Mapping[str, Read] = {key: read for key, read in BUDGET_KEYS.items() if key != "name"}
SET_KEYS: Mapping[str, Read] = {key: read for key, read in _NAMED.items() if key != "tenant"}
"""The keys of a budget that is set while bursar runs: its name and its tenant are said beside them."""
_SAME_WORDS = ("match", "per", "on_unknown_price", "on_store_down", "link", "values_max")
"""Keys of the file that are fields of Budget, as they are."""


def read_budgets(node: Node, problems: Problems) -> tuple[Budget, ...]:
    """Read a list of budgets, or budgets by name."""
    named = [("", item) for item in node.nodes] if isinstance(node, Items) else [*entries(node, problems).items()]
    if len(named) > BUDGETS_MAX:
        problems.add(node.place, f"more than {BUDGETS_MAX:,} budgets; `per:` makes one budget count for each value")
        return ()
    found: dict[str, tuple[Budget, Place]] = {}
    for name, item in named:
        for budget in _read_budget(name, item, problems):
            if budget.name in found:
                line = found[budget.name][1].line
                problems.add(item.place, f"the budget of line {line} is also named {show(budget.name)}: set name")
            found[budget.name] = budget, item.place
    return tuple(budget for budget, _ in found.values())


def read_flag_budgets(
    texts: Sequence[str], place: Place, before: tuple[Budget, ...], problems: Problems
) -> tuple[Budget, ...]:
    """Add budgets written as short forms to those of the file. The same budget twice is one."""
    found = {budget.name: budget for budget in before}
    for written in texts:
        for budget in _read_budget("", Scalar(place, written.strip()), problems):
            if found.setdefault(budget.name, budget) != budget:
                problems.add(place, f"the file has another budget named {show(budget.name)}")
    return tuple(found.values())


def read_set_budget(name: str, tenant: str, node: Node, problems: Problems) -> tuple[Budget, ...]:
    """Read one budget that was set while bursar runs."""
    shown = tried(node.place.child("name"), problems, text(NAME_LENGTH_MAX), name)
    if shown is not None and not shown.isprintable():
        problems.add(node.place.child("name"), "holds a character that cannot be printed")
    whose = tried(node.place.child("tenant"), problems, _tenant, tenant)
    if len(problems):
        return ()
    return tuple(replace(each, tenant=whose or "") for each in _read_budget(name, node, problems, SET_KEYS))


def _read_budget(
    name: str, node: Node, problems: Problems, keys: Mapping[str, Read] | None = None
) -> tuple[Budget, ...]:
    """Read one definition. It gives a budget per window, and none when something in it is wrong."""
    before = len(problems)
    found: Fields
    if isinstance(node, Table):
        found = fields(node, keys or (_NAMED if name else BUDGET_KEYS), problems)
        if "limit" not in node.entries:
            problems.add(node.place, "limit is missing: write for example limit: $5 / day")
    else:
        found = {"limit": _read_parts(node, problems)}
    if len(problems) > before:
        return ()
    periods = _by_period(found["limit"], found.get("window"), problems)
    if len(problems) > before:
        return ()
    budgets = []
    for period, group in periods.items():
        full_name = _full_name(name or found.get("name", ""), period if len(periods) > 1 else None, group, found)
        if len(full_name) > NAME_LENGTH_MAX:
            problems.add(
                node.place, f"{show(full_name)} is longer than {NAME_LENGTH_MAX} characters: set a shorter name"
            )
        else:
            budgets.append(_budget(full_name, tuple(part.limit for part in group), period, found))
    return tuple(budgets)


def _by_period(parts: Sequence[_Part], window: Period | None, problems: Problems) -> Mapping[Period, list[_Part]]:
    found: dict[Period, list[_Part]] = {}
    for part in parts:
        period = part.period or window
        if period is None:
            problems.add(part.place, "over which time? Write for example $5 / day, or add window: day")
            continue
        if window is not None and period != window:
            problems.add(part.place, f"{part.text} is per {period}, but window says {window}: keep one of them")
        group = found.setdefault(period, [])
        if part.limit.unit in {other.limit.unit for other in group}:
            problems.add(part.place, f"a second limit in {part.limit.unit} per {period}: keep one of them")
        group.append(part)
    return found


def _budget(name: str, limits: tuple[Limit, ...], period: Period, found: Fields) -> Budget:
    same = {key: found[key] for key in _SAME_WORDS if key in found}
    same["tenant"] = found.get("tenant", DEFAULT_TENANT_OF_BUDGETS)
    if "warn_at" in found:
        same["warn_at"] = tuple(sorted(found["warn_at"]))
    window = Window(
        period.kind,
        timezone=found.get("timezone", "UTC"),
        week_start=found.get("week_start", 0),
        days=period.days,
        since=period.since,
    )
    return Budget(name, limits, window, is_strict=found.get("strict", False), **same)


def _full_name(name: str, period: Period | None, parts: Sequence[_Part], found: Fields) -> str:
    """Name a budget: `users`, `users (day)` where one definition gives several, or after its text."""
    if name:
        return f"{name} ({period})" if period else name
    return _described(parts, found)


def _described(parts: Sequence[_Part], found: Fields) -> str:
    """Name a budget after its text: `$5/day per user, team=research`."""
    words = ", ".join(part.text for part in parts)
    if "window" in found and all(part.period is None for part in parts):
        words += f"/{found['window']}"
    if "per" in found:
        words += f" per {' and '.join(found['per'])}"
    return ", ".join([words, *(f"{label}={'|'.join(patterns)}" for label, patterns in found.get("match", ()))])


def _tidy(written: str) -> str:
    return " ".join(written.split()).replace(" /", "/").replace("/ ", "/")
