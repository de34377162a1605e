"""What is set now, read back into values: keys, budgets, top-ups, prices, pauses.

Owns the step from documents to values, for gateways, reports and the acts themselves. A stored document that cannot be
read is told as a problem, never silently left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from bursar.config.budgets import read_match, read_set_budget
from bursar.config.objects import tree_of
from bursar.config.prices import read_price
from bursar.config.problems import Problems
from bursar.config.settings import PriceRow
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.control import EVERY_TENANT, Document, KeyRow, Kind, Pause, Role, TopUp
from bursar.errors import BursarError

__all__ = [
    "ControlState",
    "Readable",
    "budgets_of",
    "is_operators",
    "key_row",
    "overlap",
    "parsed",
    "pause_of",
    "price_row",
    "read_control",
    "state_of",
    "top_up_of",
]

T = TypeVar("T")


class Readable(Protocol):
    """What this reads."""

    def control_version(self) -> int: ...
    def documents(self, kind: Kind | None = None) -> Sequence[Document]: ...


@dataclass(frozen=True, slots=True)
class ControlState:
    """Everything that is set at one version."""

    version: int = 0
    keys: tuple[KeyRow, ...] = ()
    budgets: tuple[Budget, ...] = ()
    """As they were set; the tenant `*` is not yet expanded."""
    top_ups: tuple[TopUp, ...] = ()
    """As they were given; which of them count `all_top_ups` says."""
    own: frozenset[tuple[str, str]] = frozenset()
    """Tenant and identity of each budget that a key of that tenant has set."""
    prices: tuple[PriceRow, ...] = ()
    pauses: tuple[Pause, ...] = ()
    problems: tuple[str, ...] = ()
    """What is stored and cannot be read: nothing of it is in force, so somebody must look."""
    has_keys: bool = False
    """There are keys, be they readable or not: then nobody comes in without one."""

    def all_budgets(self, in_file: Iterable[Budget]) -> tuple[Budget, ...]:
        """Give the budgets of the file, and those that were set. Of the same name the file's counts."""
        own = tuple(in_file)
        return own + tuple(each for each in self.budgets if not any(overlap(each, other) for other in own))

    def all_top_ups(self, in_file: Iterable[Budget]) -> tuple[TopUp, ...]:
        """Give the top-ups that count. What a key gave raises only what a key has set, never the operator's limit."""
        filed = {(each.tenant, each.name) for each in in_file}
        return tuple(each for each in self.top_ups if each.is_operators or self._is_own(each, filed))

    def _is_own(self, found: TopUp, filed: Collection[tuple[str, str]]) -> bool:
        is_filed = any((tenant, found.budget) in filed for tenant in (EVERY_TENANT, found.tenant))
        return (found.tenant, found.identity) in self.own and not is_filed

    def all_prices(self, in_file: Iterable[PriceRow]) -> tuple[PriceRow, ...]:
        """Give the prices of the file, and those that were set. Of the same models the file's counts."""
        own = tuple(in_file)
        named = {(row.provider.lower(), row.model.lower()) for row in own}
        return own + tuple(row for row in self.prices if (row.provider.lower(), row.model.lower()) not in named)


def state_of(ledger: Readable) -> ControlState:
    """Read what is set. The version is never newer than the rest, so that a change meanwhile is seen the next time."""
    version = ledger.control_version()
    return read_control(ledger.documents(), version)


def read_control(documents: Iterable[Document], version: int = 0) -> ControlState:
    """Read documents; what cannot be read stands in `problems`."""
    problems: list[str] = []
    every = list(documents)

    def read(kind: Kind, parse: Callable[[Document], T]) -> tuple[T, ...]:
        found = []
        for document in every:
            if document.kind is kind:
                try:
                    found.append(parsed(parse, document))
                except BursarError as error:
                    problems.append(error.message)
        return tuple(found)

    owned = [(budget, is_own) for group, is_own in read(Kind.BUDGET, _owned) for budget in group]
    return ControlState(
        version=version,
        keys=read(Kind.KEY, key_row),
        budgets=tuple(budget for budget, _ in owned),
        own=frozenset((budget.tenant, budget.identity) for budget, is_own in owned if is_own),
        top_ups=read(Kind.TOP_UP, top_up_of),
        prices=read(Kind.PRICE, price_row),
        pauses=read(Kind.PAUSE, pause_of),
        problems=tuple(problems),
        has_keys=any(document.kind is Kind.KEY for document in every),
    )


def parsed(parse: Callable[[Document], T], document: Document) -> T:
    """Read one document. Raises BursarError when that cannot be done."""
    try:
        return parse(document)
    except (BursarError, ValueError, KeyError, TypeError, AttributeError) as error:
        # A document is what an older or newer bursar wrote, or somebody by hand: nothing is sure of it.
        what = f"{document.kind.replace('_', '-')} {document.name} of {document.tenant}"
        raise BursarError(f"{what} cannot be read: {error}") from error


def overlap(one: Budget, other: Budget) -> bool:
    """Tell whether some tenant would have two budgets of the same name."""
    return one.name == other.name and (EVERY_TENANT in (one.tenant, other.tenant) or one.tenant == other.tenant)


def key_row(document: Document) -> KeyRow:
    """Read one key."""
    body = _body(document)
    times = {name: _whole(body[name]) for name in ("created_ns", "expires_ns", "revoked_ns")}
    return KeyRow(
        id=document.name,
        tenant=document.tenant,
        name=_text(body["name"]),
        role=Role(body["role"]),
        digest=_text(body["digest"]),
        hint=_text(body["hint"]),
        labels={_text(label): _text(value) for label, value in body["labels"].items()},
        may_set=frozenset(_text(label) for label in body["may_set"]),
        **times,
    )


def budgets_of(document: Document) -> tuple[Budget, ...]:
    """Read one definition: it gives a budget for each of its windows."""
    problems = Problems()
    node = tree_of(_body(document)["definition"], problems)
    found = read_set_budget(document.name, document.tenant, node, problems)
    problems.raise_any()
    return found


def is_operators(document: Document) -> bool:
    """Tell whether the operator set it, and no key of a tenant; the operator's is what does not say."""
    try:
        return bool(_body(document).get("is_operators", True))
    except ValueError:
        return True


def _owned(document: Document) -> tuple[tuple[Budget, ...], bool]:
    return budgets_of(document), not is_operators(document)


def top_up_of(document: Document) -> TopUp:
    """Read one top-up."""
    body = _body(document)
    limit = Limit(Unit(body["unit"]), _whole(body["amount"]))
    texts = (_text(body["identity"]), _text(body["budget"]), _text(body["scope"]))
    starts_ns = _whole(body["starts_ns"])
    return TopUp(document.name, document.tenant, *texts, starts_ns, limit, is_operators(document))


def price_row(document: Document) -> PriceRow:
    """Read one price."""
    body = _body(document)
    problems = Problems()
    node = tree_of(body["price"], problems)
    found = read_price(_text(body["provider"]), _text(body["model"]), node, problems)
    problems.raise_any()
    return found


def pause_of(document: Document) -> Pause:
    """Read one pause."""
    body = _body(document)
    problems = Problems()
    match = read_match(tree_of(body["match"], problems), problems)
    problems.raise_any()
    return Pause(
        document.name,
        document.tenant,
        match,
        _text(body["reason"]),
        _text(body["actor"]),
        _whole(body["at_ns"]),
        body.get("now") is True,
    )


def _body(document: Document) -> dict[str, Any]:
    found = json.loads(document.body)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is no whole number")
    return value
