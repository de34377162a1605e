"""What happens to the money right now, as one frozen snapshot, and the JSON in which it travels.

Owns the shapes and their JSON, which the command line prints, the gateway serves and `bursar top --url` reads again.
How a snapshot is made stands in `reports/watch.py`. It must never trust what it reads back: that came over a network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from bursar.core.hold import State
from bursar.core.ledger import HoldRow
from bursar.core.money import Nano, format_usd
from bursar.core.window import to_datetime
from bursar.reports.anatomy import amounts_of

__all__ = ["LIVE_LABELS", "Filling", "LiveCall", "Ranked", "Snapshot", "as_json", "from_json", "live_call"]

LIVE_LABELS = ("agent", "user", "model", "run", "key")
"""What is ranked."""
ROWS_MAX = 10_000
"""How many rows of one kind a snapshot that is read back may have."""
TEXT_MAX = 2_000


@dataclass(frozen=True, slots=True)
class LiveCall:
    """One call, in flight or ended. `cost_nano` is what it counts as: what is held for it while it is open."""

    id: str
    state: str
    opened_ns: int
    closed_ns: int
    """0 while it is open."""
    labels: Mapping[str, str]
    cost_nano: Nano
    held_nano: Nano
    input_tokens: int
    output_tokens: int
    flags: tuple[str, ...]
    ended: str
    status: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Filling:
    """How full one limit is at one scope. Amounts are in `unit`, nano-USD for usd."""

    budget: str
    scope: str
    unit: str
    limit: int
    used: int
    """Settled and presumed."""
    held: int
    percent: int
    """Of the limit, by what is used; what is held comes on top."""
    level: str
    """fine, warned or exceeded."""
    ends_ns: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """What one value of a label came to since the snapshot's `since_ns`, and what it has in flight."""

    value: str
    calls: int = 0
    cost_nano: Nano = 0
    tokens: int = 0
    in_flight: int = 0
    held_nano: Nano = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment. Lists hold the most telling rows only; the counts beside them count all."""

    at_ns: int
    since_ns: int
    """From when on the ranks and the total count; an hour ago unless there were too many calls to keep."""
    minute_nano: Nano
    """What calls that ended in the last 60 seconds cost."""
    five_minutes_nano: Nano
    total: Ranked
    in_flight: tuple[LiveCall, ...]
    """The oldest first."""
    ended: tuple[LiveCall, ...]
    """The latest first, however long ago."""
    budgets: tuple[Filling, ...]
    """The fullest first."""
    budget_count: int
    """How many standings there are in all."""
    ranks: Mapping[str, tuple[Ranked, ...]]
    """By label, the dearest first."""

    @property
    def rate_nano(self) -> Nano:
        """USD a minute, over the last minute."""
        return self.minute_nano

    @property
    def rate_5_nano(self) -> Nano:
        """USD a minute, over the last five minutes."""
        return self.five_minutes_nano // 5


def live_call(row: HoldRow) -> LiveCall:
    """Give what is shown of a call."""
    amounts, note = amounts_of(row), row.note
    return LiveCall(
        row.id,
        row.state.name.lower(),
        row.opened_ns,
        0 if row.state is State.OPEN else row.closed_ns,
        dict(row.labels),
        amounts.cost_nano,
        row.held.cost_nano if row.state is State.OPEN else 0,
        amounts.input_tokens,
        amounts.output_tokens,
        tuple(sorted(row.flags)),
        note.ended,
        note.status,
        note.duration_ms,
    )


def as_json(snapshot: Snapshot) -> dict[str, Any]:
    """Give a snapshot as JSON: instants in nanoseconds since 1970, money in nano-USD and as exact text."""
    told = {
        **_plain(snapshot),
        "rate_nano": snapshot.rate_nano,
        "rate_5_nano": snapshot.rate_5_nano,
        "at": f"{to_datetime(snapshot.at_ns):%Y-%m-%dT%H:%M:%S.%fZ}",
    }
    found = _with_usd(told)
    assert isinstance(found, dict)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "__slots__"):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return value


def _with_usd(value: Any) -> Any:
    """Put the exact text beside every amount of money."""
    if isinstance(value, list):
        return [_with_usd(each) for each in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for name, each in value.items():
        found[name] = _with_usd(each)
        if name.endswith("_nano"):
            found[f"{name.removesuffix('_nano')}_usd"] = _usd(each)
    if value.get("unit") == "usd":
        found |= {f"{name}_usd": _usd(value[name]) for name in ("limit", "used", "held")}
    return found


def _usd(nano: Nano) -> str:
    return format_usd(nano).replace("$", "").replace(",", "")


def from_json(value: Any) -> Snapshot:
    """Read a snapshot again; more fields than are known are passed over. Raises ValueError."""
    table = _Table(value)
    ranks = _Table(table.get("ranks"))
    return Snapshot(
        **table.numbers("at_ns", "since_ns", "minute_nano", "five_minutes_nano", "budget_count"),
        total=_ranked(table.get("total")),
        in_flight=tuple(_call(each) for each in table.rows("in_flight")),
        ended=tuple(_call(each) for each in table.rows("ended")),
        budgets=tuple(_filling(each) for each in table.rows("budgets")),
        ranks={label: tuple(_ranked(each) for each in ranks.rows(label)) for label in LIVE_LABELS},
    )


class _Table:
    """A JSON object whose fields are read with their types. Raises ValueError that names the field."""

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise ValueError("an object is missing")
        self._value = value

    def get(self, name: str) -> Any:
        return self._value.get(name)

    def number(self, name: str) -> int:
        found = self._value.get(name)
        if type(found) is not int or abs(found) >= 2**63:
            raise ValueError(f"{name} is no whole number")
        return found

    def numbers(self, *names: str) -> dict[str, Any]:
        return {name: self.number(name) for name in names}

    def text(self, name: str) -> str:
        found = self._value.get(name)
        if not isinstance(found, str):
            raise ValueError(f"{name} is no text")
        return found[:TEXT_MAX]

    def texts(self, *names: str) -> dict[str, Any]:
        return {name: self.text(name) for name in names}

    def rows(self, name: str) -> Iterable[Any]:
        found = self._value.get(name)
        if not isinstance(found, list) or len(found) > ROWS_MAX:
            raise ValueError(f"{name} is no list of at most {ROWS_MAX:,} rows")
        return found

    def names(self) -> Iterable[str]:
        return self._value


def _ranked(value: Any) -> Ranked:
    table = _Table(value)
    return Ranked(**table.texts("value"), **table.numbers("calls", "cost_nano", "tokens", "in_flight", "held_nano"))


def _filling(value: Any) -> Filling:
    table = _Table(value)
    return Filling(
        **table.texts("budget", "scope", "unit", "level"),
        **table.numbers("limit", "used", "held", "percent", "ends_ns"),
    )


def _call(value: Any) -> LiveCall:
    table = _Table(value)
    labels = _Table(table.get("labels"))
    flags = tuple(str(each)[:TEXT_MAX] for each in table.rows("flags"))
    numbers = table.numbers(
        "opened_ns", "closed_ns", "cost_nano", "held_nano", "input_tokens", "output_tokens", "status", "duration_ms"
    )
    return LiveCall(
        **table.texts("id", "state", "ended"),
        **numbers,
        labels={name[:TEXT_MAX]: labels.text(name) for name in labels.names()},
        flags=flags,
    )
