"""Set a budget, take it out, give more for one window.

Owns what may be set while bursar runs: never a budget that the file defines, never two of one name for one tenant. A
key can neither change nor top up what the operator has set: nobody raises their own limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bursar.actions.acting import (
    By,
    Ledger,
    checked_id,
    checked_tenant,
    decide,
    encoded,
    most_for,
    refuse_any,
    refuse_key,
    require_right,
)
from bursar.actions.control import ControlState, is_operators, overlap, parsed, read_control, top_up_of
from bursar.config.budgets import BUDGETS_MAX, read_set_budget
from bursar.config.objects import plain, tree_of
from bursar.config.problems import Problems, near
from bursar.config.short import parse_short
from bursar.config.tree import Scalar, Table
from bursar.core.budget import LIMIT_MAX, Budget, Limit
from bursar.core.control import EVERY_TENANT, Change, Condition, Document, Kind, TopUp, raised
from bursar.core.labels import Labels
from bursar.errors import Forbidden, HoldConflict, NotFound, UsageError
from bursar.ids import new_id

__all__ = ["BudgetWish", "TopUpWish", "remove_budget", "set_budget", "top_up"]

TOP_UPS_MAX = 10_000
"""How many one tenant has in force."""
TOP_UPS_KEPT = 1_000
"""Beyond so many, those of windows that are over are taken out with the next one."""


@dataclass(frozen=True, slots=True)
class BudgetWish:
    """A budget to be set: a short form such as `$5 / day`, or keys and values as under `budgets:` in the file.

    `tenant` `*` gives each tenant the whole budget for itself.
    """

    tenant: str
    name: str
    definition: str | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TopUpWish:
    """More for a budget in its current window. Without `scope` each of its scopes has it. The same `id` counts once."""

    tenant: str
    budget: str
    amount: str
    """Such as `$5` or `50k tokens`."""
    scope: Mapping[str, str] = field(default_factory=dict)
    id: str = ""


def set_budget(ledger: Ledger, in_file: Sequence[Budget], wish: BudgetWish, by: By) -> tuple[Budget, ...]:
    """Set a budget, or change the one of this name; returns one for each window that its limits have.

    Raises UsageError with key and advice, and for a name of the file; HoldConflict for a name that another one has;
    Forbidden.
    """
    require_right(by, checked_tenant(wish.tenant, may_be_every=True))
    refuse_key(wish.name, "name")
    definition, budgets = _read(wish)
    _refuse_file(in_file, budgets)

    def plan(documents: Sequence[Document]) -> tuple[list[Change], None]:
        mine = _find(documents, wish.tenant, wish.name)
        _require_own(mine, by)
        _refuse_others([each for each in documents if each.kind is Kind.BUDGET and each is not mine], budgets, by)
        body = encoded({"definition": definition, "is_operators": by.grantor is None})
        ended = _ended_with(documents, _replaced(mine, budgets, by), by)
        return [*ended, _change(wish.tenant, wish.name, body, "budget set", by)], None

    decide(ledger, None, plan)
    return budgets


def remove_budget(ledger: Ledger, in_file: Sequence[Budget], tenant: str, name: str, by: By) -> None:
    """Take out a budget that was set, and its top-ups with it. What was spent under it stays in the ledger.

    Raises NotFound, UsageError, Forbidden.
    """
    require_right(by, checked_tenant(tenant, may_be_every=True))

    def plan(documents: Sequence[Document]) -> tuple[list[Change], None]:
        mine = _find(documents, tenant, name)
        if mine is None:
            _refuse_file(in_file, [budget for budget in in_file if budget.name == name])
            known = (each.name for each in documents if each.kind is Kind.BUDGET and each.tenant == tenant)
            raise NotFound(_unknown(name, known))
        _require_own(mine, by)
        # Where the file has a budget of this name now, what the operator gave more is that one's.
        gone = [each for each in read_control([mine]).budgets if not any(overlap(each, other) for other in in_file)]
        return [*_ended_with(documents, gone, by), _change(tenant, name, None, "budget remove", by)], None

    decide(ledger, None, plan)


def top_up(ledger: Ledger, in_file: Sequence[Budget], wish: TopUpWish, by: By) -> TopUp:
    """Give one budget of one tenant more in its current window. It is gone with the window.

    Raises UsageError, NotFound; HoldConflict for an id that was used for something else; Forbidden.
    """
    require_right(by, checked_tenant(wish.tenant))
    top_up_id = checked_id(wish.id) if wish.id else new_id(by.at_ns)

    def plan(documents: Sequence[Document]) -> tuple[list[Change], TopUp]:
        state = read_control(documents)
        budget = _named(state.all_budgets(in_file), wish)
        _require_own(_owner(documents, budget), by, budget.name)
        found = _top_up(budget, wish, top_up_id, by)
        for document in documents:
            if (document.kind, document.tenant, document.name) == (Kind.TOP_UP, wish.tenant, top_up_id):
                return [], _same(parsed(top_up_of, document), found)
        _check_room(budget, state, found, by)
        _check_sum(budget, state.all_top_ups(in_file), found)
        return [*_ended(budget, state, found, by), _top_up_change(found, by)], found

    return decide(ledger, None, plan)


def _read(wish: BudgetWish) -> tuple[Any, tuple[Budget, ...]]:
    problems = Problems()
    node = tree_of(wish.definition, problems)
    if isinstance(node, Scalar):
        node = Table(node.place, {"limit": Scalar(node.place.child("limit"), node.text)})
    budgets = () if len(problems) else read_set_budget(wish.name, wish.tenant, node, problems)
    refuse_any(problems)
    definition = plain(node)
    refuse_key(encoded(definition), "definition")
    return definition, budgets


def _refuse_file(in_file: Iterable[Budget], budgets: Sequence[Budget]) -> None:
    for other in in_file:
        if any(overlap(each, other) for each in budgets):
            raise UsageError(
                f"budget {other.name!r} is written in bursar.yaml: change it there; `bursar budget top-up` gives more "
                "for one window",
                param="name",
            )


def _refuse_others(others: Sequence[Document], budgets: Sequence[Budget], by: By) -> None:
    most = most_for(by, BUDGETS_MAX)
    if sum(each.tenant == budgets[0].tenant for each in others) >= most:
        raise HoldConflict(f"{most:,} budgets are set already; `per:` makes one budget count for each value")
    for other in read_control(others).budgets:
        if any(overlap(each, other) for each in budgets):
            whose = "every tenant" if other.tenant == EVERY_TENANT else f"tenant {other.tenant}"
            raise HoldConflict(f"{whose} has another budget named {other.name!r}: choose another name")


def _find(documents: Iterable[Document], tenant: str, name: str) -> Document | None:
    place = (Kind.BUDGET, tenant, name)
    return next((each for each in documents if (each.kind, each.tenant, each.name) == place), None)


def _replaced(mine: Document | None, budgets: Sequence[Budget], by: By) -> list[Budget]:
    """Say which budgets are others from now on: their identity is new or gone, or whoever sets them."""
    was = () if mine is None else read_control([mine]).budgets
    same = was if mine is not None and is_operators(mine) == (by.grantor is None) else ()
    kept = {each.identity for each in same} & {each.identity for each in budgets}
    return [each for each in (*was, *budgets) if each.identity not in kept]


def _ended_with(documents: Iterable[Document], gone: Iterable[Budget], by: By) -> list[Change]:
    """End what was given more to budgets: it would count for whatever is set in their place."""
    places = {(each.tenant, each.identity) for each in gone}
    top_ups = read_control(each for each in documents if each.kind is Kind.TOP_UP).top_ups
    ended = [each for each in top_ups if {(each.tenant, each.identity), (EVERY_TENANT, each.identity)} & places]
    return [_end(each, by) for each in ended]


def _require_own(document: Document | None, by: By, name: str = "") -> None:
    """Refuse a key that would change what the operator has set; a budget without a document is one of the file."""
    if by.grantor is None or (document is None and not name):
        return
    if document is None or is_operators(document):
        raise Forbidden(f"budget {name or (document.name if document else '')!r} is the operator's: ask them for more")


def _owner(documents: Iterable[Document], budget: Budget) -> Document | None:
    """Find the document that a budget was read from."""
    mine = (each for each in documents if each.kind is Kind.BUDGET and each.tenant == budget.tenant)
    return next((each for each in mine if budget in read_control([each]).budgets), None)


def _named(budgets: Iterable[Budget], wish: TopUpWish) -> Budget:
    known = [budget for budget in budgets if budget.tenant in (EVERY_TENANT, wish.tenant)]
    found = next((budget for budget in known if budget.name == wish.budget), None)
    if found is None:
        raise NotFound(_unknown(wish.budget, (budget.name for budget in known)))
    return found


def _unknown(name: str, known: Iterable[str]) -> str:
    names = tuple(known)
    return f"there is no budget {name[:128]!r}: {near(name, names) if names else 'none is set'}"


def _top_up(budget: Budget, wish: TopUpWish, top_up_id: str, by: By) -> TopUp:
    span = budget.window.span(by.at_ns)
    if not budget.window.is_within_term(span):
        raise UsageError(f"budget {budget.name!r} is not in its term now, so there is no window to top up")
    limit = _amount(budget, wish.amount)
    scope, is_theirs = _scope(budget, wish), by.grantor is None
    return TopUp(top_up_id, wish.tenant, budget.identity, budget.name, scope, span.starts_ns, limit, is_theirs)


def _amount(budget: Budget, text: str) -> Limit:
    try:
        short = parse_short(text)
    except ValueError as error:
        raise UsageError(
            f"{text[:60]!r} is not an amount: write for example $5 or 50k tokens", param="amount"
        ) from error
    if short.period is not None:
        raise UsageError("a top-up is for the current window: leave the time out, as in $5", param="amount")
    units = [limit.unit for limit in budget.limits]
    if short.limit.unit not in units:
        counted = " and ".join(unit.replace("_", " ") for unit in units)
        raise UsageError(f"budget {budget.name!r} counts {counted}, not {short.limit.unit}", param="amount")
    if not short.limit.amount:
        raise UsageError("nothing is no top-up", param="amount")
    return short.limit


def _scope(budget: Budget, wish: TopUpWish) -> str:
    if not wish.scope:
        return ""
    if set(wish.scope) != set(budget.split):
        advice = (
            f"write {' and '.join(f'{label}=…' for label in budget.split)}, or nothing for all"
            if budget.split
            else "it counts everybody together, so leave the scope out"
        )
        raise UsageError(f"budget {budget.name!r}: {advice}", param="scope")
    return budget.scope(Labels(wish.scope))


def _same(known: TopUp, wanted: TopUp) -> TopUp:
    """Give what is there when it is what is asked for. A retry may come in the next window: it adds nothing there."""
    if (known.identity, known.scope, known.limit) != (wanted.identity, wanted.scope, wanted.limit):
        raise HoldConflict(f"the id {known.id} was used for another top-up")
    return known


def _check_room(budget: Budget, state: ControlState, found: TopUp, by: By) -> None:
    most, over = most_for(by, TOP_UPS_MAX), _over(budget, state, found.tenant, found.starts_ns)
    if len(_of(state, found.tenant)) - len(over) >= most:
        raise HoldConflict(f"{most:,} top-ups are in force already: raise the limit instead")


def _check_sum(budget: Budget, top_ups: Iterable[TopUp], found: TopUp) -> None:
    unit = found.limit.unit
    limit = next(each for each in budget.limits if each.unit is unit)
    mine = [each for each in top_ups if each.tenant == found.tenant]
    if raised(limit, mine, found.identity, found.scope, found.starts_ns).amount + found.limit.amount > LIMIT_MAX[unit]:
        raise UsageError("with that the limit would be above the largest there is", param="amount")


def _of(state: ControlState, tenant: str) -> list[TopUp]:
    return [each for each in state.top_ups if each.tenant == tenant]


def _over(budget: Budget, state: ControlState, tenant: str, starts_ns: int) -> list[TopUp]:
    """Find a tenant's top-ups of this budget whose window is over."""
    mine = _of(state, tenant)
    return [each for each in mine if each.identity == budget.identity and each.starts_ns < starts_ns]


def _ended(budget: Budget, state: ControlState, found: TopUp, by: By) -> list[Change]:
    if len(_of(state, found.tenant)) < TOP_UPS_KEPT:
        return []
    return [_end(each, by) for each in _over(budget, state, found.tenant, found.starts_ns)]


def _end(found: TopUp, by: By) -> Change:
    return Change(Kind.TOP_UP, found.tenant, found.id, None, "", "budget top-up ended", by.actor, by.at_ns)


def _top_up_change(found: TopUp, by: By) -> Change:
    shown = {
        "budget": found.budget,
        "scope": found.scope,
        "starts_ns": found.starts_ns,
        "unit": str(found.limit.unit),
        "amount": found.limit.amount,
    }
    body = encoded({**shown, "identity": found.identity, "is_operators": found.is_operators})
    about = ("budget top-up", by.actor, by.at_ns, Condition.NEW)
    return Change(Kind.TOP_UP, found.tenant, found.id, body, encoded(shown), *about)


def _change(tenant: str, name: str, body: str | None, action: str, by: By) -> Change:
    condition = Condition.EXISTS if body is None else Condition.ANY
    return Change(Kind.BUDGET, tenant, name, body, body or "", action, by.actor, by.at_ns, condition)
