"""What answers of calls, reports and the installation hold, as types: the OpenAPI document is made of them.

Owns their description, beside `answers.py`, which has what people set.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from bursar.gateway.admin.answers import Budget, Nano, Ns, Price, State, Usd, Utc

__all__ = [
    "Audit",
    "Call",
    "Change",
    "Checked",
    "Config",
    "Corrected",
    "Explained",
    "Finding",
    "Findings",
    "Held",
    "Lapsed",
    "Live",
    "Part",
    "Parts",
    "Rest",
    "Run",
    "Runs",
    "Spend",
    "Sums",
]


class Held(Struct):
    """What is held for a call."""

    cost_nano: Nano
    cost_usd: Usd
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    requests: int


class Call(Held):
    """A call: the amounts are what it counts as."""

    id: str
    state: State
    opened_ns: Ns
    opened: Utc
    closed_ns: Ns | None
    labels: dict[str, str]
    held: Held
    flags: list[str]
    price: str | None
    answered_by: Annotated[
        str | None, Meta(description="provider/model of the fall-back that was asked in the end, where there was one.")
    ]
    process: str
    status: int | None
    ended: str | None
    duration_ms: int | None
    cap: int | None


class Part(Struct):
    """One part of a call."""

    name: str
    tokens: int
    cost_nano: Nano
    cost_usd: Usd


class Parts(Struct):
    """What each part of a call cost."""

    basis: Literal["exact", "shared", "tokens"]
    input: list[Part]
    input_by_rate: list[Part]
    output: list[Part]
    fee_nano: Nano


class Explained(Call):
    """A call and its parts."""

    parts: Parts


class Corrected(Struct):
    """A call before and after."""

    before: Call
    after: Call


class Lapsed(Struct):
    """How many open holds are presumed now."""

    lapsed: int


class Spent(Struct):
    """What was spent, in money and tokens."""

    cost_nano: Nano
    cost_usd: Usd
    presumed_nano: Nano
    presumed_usd: Usd
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    requests: int


class Sums(Spent):
    """What some calls came to."""

    calls: int


class Rest(Sums):
    """The groups beyond this page."""

    groups: int


class Run(Spent):
    """What a run came to so far, of the calls that were looked at."""

    run: str
    agent: str
    task: str
    steps: int
    in_flight: int
    state: Annotated[str, Meta(description="running, parked, stopped, finished; empty where no guard looks at it.")]
    guard: Annotated[str, Meta(description="What parked or stopped it.")]
    began: Utc
    last_activity: Utc


class RunState(Struct):
    """Where a run stands that a guard looks at."""

    run: str
    tenant: str
    state: Annotated[str, Meta(description="running, parked, stopped or finished.")]
    guard: Annotated[str, Meta(description="What stopped or parked it.")]
    reason: str
    outcome: str
    steps: int
    tool_calls: int
    in_flight: int
    parent: str
    depth: int
    children: int
    extras: Annotated[dict[str, int], Meta(description="What people granted beyond the limits, by guard.")]
    is_inferred: bool
    began_ns: Ns
    last_ns: Ns


class RunLink(Struct):
    """A link with which whoever has it approves or stops one run, once."""

    run: str
    path: Annotated[str, Meta(description="Below the gateway's address.")]
    expires: Utc


class Runs(Struct):
    """Runs, the one that did something last first."""

    items: list[Run]
    next: Annotated[int | None, Meta(description="The offset of the next page; null on the last page.")]
    is_cut: Annotated[bool, Meta(description="There were more calls than are looked at.")]


class Spend(Struct):
    """Sums by labels. Each row has the labels of `by` beside the fields of `total`."""

    since: Utc | None
    until: Utc | None
    timezone: str
    by: list[str]
    rows: list[dict[str, Any]]
    rest: Rest | None
    total: Sums
    next: Annotated[int | None, Meta(description="The offset of the next page; null on the last page.")]


class Change(Struct):
    """One change: who, what, when."""

    seq: int
    at_ns: Ns
    at: Utc | None
    tenant: str
    actor: str
    action: str
    kind: Literal["key", "budget", "top_up", "price", "pause", "run"]
    name: str
    before: Any
    after: Any


class Audit(Struct):
    """The state of a ledger: does every balance equal its entries?"""

    is_proven: bool
    balances: int
    calls: int
    open_calls: int
    settled_nano: Nano
    settled_usd: Usd
    presumed_nano: Nano
    presumed_usd: Usd
    presumed_calls: int
    orphans: list[str]
    flags: dict[str, int]
    flags_of_calls: int
    mismatches: list[dict[str, Any]]


class Finding(Struct):
    """One thing to know, and what to do about it."""

    severity: Literal["note", "advice", "problem"]
    what: str
    fix: str


class Findings(Struct):
    """What is missing or risky, the worst first."""

    items: list[Finding]


class Checked(Struct):
    """Whether a configuration can be used; a line for each problem."""

    is_valid: bool
    problems: list[str]


class Config(Struct):
    """What is in force. No secret stands in it."""

    file: str | None
    link: str | None
    server: dict[str, Any]
    store: dict[str, Any]
    limits: dict[str, Any]
    telemetry: dict[str, Any]
    providers: list[dict[str, Any]]
    budgets: list[Budget]
    prices: list[Price]
    models: list[dict[str, Any]]
    problems: Annotated[list[str], Meta(description="What is set but cannot be read, so that it is not in force.")]


class Live(Struct):
    """One moment, as `bursar top` shows it."""

    at_ns: Ns
    at: Utc
    since_ns: Ns
    minute_nano: Nano
    minute_usd: Usd
    five_minutes_nano: Nano
    five_minutes_usd: Usd
    rate_nano: Nano
    rate_usd: Usd
    rate_5_nano: Nano
    rate_5_usd: Usd
    total: dict[str, Any]
    in_flight: list[dict[str, Any]]
    ended: list[dict[str, Any]]
    budgets: list[dict[str, Any]]
    budget_count: int
    ranks: dict[str, list[dict[str, Any]]]
