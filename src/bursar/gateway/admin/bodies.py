"""What requests may say: bodies and queries, as strict types with a limit on every text and list.

Owns their shapes. A field that is not here is refused, so nobody can set what was not meant to be set. What a budget or
a price may be is decided where the file's are: these only keep out what could never be one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from bursar.actions.keys import OVERLAP_S_MAX
from bursar.actions.pauses import REASON_LENGTH_MAX
from bursar.core.budget import Policy
from bursar.core.control import Role
from bursar.core.money import AMOUNT_MAX

__all__ = [
    "ApproveBody",
    "AuditQuery",
    "BudgetBody",
    "BudgetQuery",
    "BudgetsQuery",
    "CallsQuery",
    "CheckBody",
    "ComparisonQuery",
    "CorrectBody",
    "FinishBody",
    "ForceQuery",
    "HoldsQuery",
    "KeyBody",
    "LinkBody",
    "ListQuery",
    "LookupQuery",
    "MeQuery",
    "PageQuery",
    "PauseBody",
    "PriceBody",
    "RotateBody",
    "RunsQuery",
    "SpendQuery",
    "StopBody",
    "StoryQuery",
    "TasksQuery",
    "TenantQuery",
    "TopQuery",
    "TopUpBody",
]

COUNT_MAX = 2**53
Text: TypeAlias = Annotated[str, Meta(max_length=256)]
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
Number: TypeAlias = Annotated[int, Meta(ge=0, le=COUNT_MAX)]
Rate: TypeAlias = Annotated[str, Meta(max_length=64, description="USD, as decimal text.")] | Number
Labels: TypeAlias = Annotated[dict[Label, Label], Meta(max_length=40)]
Patterns: TypeAlias = Label | Annotated[list[Label], Meta(max_length=100)]
Match: TypeAlias = Annotated[
    dict[Label, Patterns],
    Meta(max_length=40, description="Labels with a value, or a list of values; * stands for anything."),
]
Instant: TypeAlias = Annotated[datetime, Meta(tz=True)]
Top: TypeAlias = Annotated[int, Meta(ge=1, le=1_000, description="How many at most.")]
Offset: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000, description="How many rows to leave out.")]
After: TypeAlias = Annotated[str, Meta(max_length=600, description="The `next` of the page before.")]


class _Said(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whatever a client says."""


# --- queries ----------------------------------------------------------------------------------------------------------


class TenantQuery(_Said):
    """Whose it is: the operator names a tenant, a key has its own."""

    tenant: Annotated[
        str,
        Meta(
            max_length=64,
            pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*|\*|)$",
            description="Whose it is. A key has its own tenant and may leave this out; for the operator it is `default`"
            " when it is left out. `*` stands for every tenant where the operator may ask for all.",
        ),
    ] = ""


class ForceQuery(_Said):
    """Say that it is meant."""

    force: bool = False


class PageQuery(TenantQuery):
    """One page of a list."""

    limit: Top = 50
    after: After = ""


class ListQuery(_Said):
    """One page of a list that is nobody's own."""

    limit: Top = 50
    after: After = ""


class BudgetsQuery(PageQuery):
    """One page of budgets."""

    scopes: Annotated[
        int, Meta(ge=0, le=1_000, description="How many standings of each budget, the fullest first.")
    ] = 10


class BudgetQuery(TenantQuery):
    """One budget."""

    scopes: Annotated[int, Meta(ge=0, le=10_000, description="How many standings, the fullest first.")] = 100


class CallsQuery(PageQuery):
    """One page of calls."""

    state: Literal["all", "open", "settled", "released", "presumed"] = "all"


class HoldsQuery(PageQuery):
    """One page of holds."""

    state: Literal["waiting", "all", "open", "settled", "released", "presumed"] = "waiting"
    """`waiting` is open and presumed."""


class TopQuery(TenantQuery):
    """The first of a list."""

    limit: Top = 50


class RunsQuery(TopQuery):
    """Which runs."""

    since: Annotated[Instant, Meta(description="Runs that did something from then on.")] | UnsetType = UNSET
    days: Annotated[int, Meta(ge=1, le=3_660, description="Without since: in so many times 24 hours.")] = 7
    offset: Offset = 0


class StoryQuery(TenantQuery):
    """Where a run's calls are looked for."""

    since: Annotated[Instant, Meta(description="Calls from then on.")] | UnsetType = UNSET
    days: Annotated[int, Meta(ge=1, le=3_660, description="Without since: in so many times 24 hours.")] = 30


class ComparisonQuery(StoryQuery, kw_only=True):
    """Which two runs."""

    first: Label
    second: Label


class TasksQuery(TopQuery):
    """Which tasks."""

    by: Annotated[str, Meta(max_length=128, description="The label that runs are grouped by.")] = "task"
    since: Annotated[Instant, Meta(description="From then on; this month by default.")] | UnsetType = UNSET
    until: Annotated[Instant, Meta(description="Up to, not including, then; now by default.")] | UnsetType = UNSET
    days: Annotated[int, Meta(ge=1, le=3_660, description="Instead of since: so many times 24 hours.")] | UnsetType = (
        UNSET
    )
    timezone: Annotated[str, Meta(max_length=64, description="Where a day begins, such as Europe/Paris.")] = "UTC"
    offset: Offset = 0


class SpendQuery(TopQuery):
    """Which sums."""

    by: Annotated[
        str, Meta(max_length=300, description="Labels, separated by commas; one of hour, day, week, month may be among")
    ] = "agent"
    since: Annotated[Instant, Meta(description="From then on; this month by default.")] | UnsetType = UNSET
    until: Annotated[Instant, Meta(description="Up to, not including, then; now by default.")] | UnsetType = UNSET
    days: Annotated[int, Meta(ge=1, le=3_660, description="Instead of since: so many times 24 hours.")] | UnsetType = (
        UNSET
    )
    timezone: Annotated[str, Meta(max_length=64, description="Where a day begins, such as Europe/Paris.")] = "UTC"
    match: Annotated[
        list[Annotated[str, Meta(max_length=300)]],
        Meta(max_length=10, description="Only these calls: LABEL=VALUE, repeatable."),
    ] = []
    offset: Offset = 0


class AuditQuery(TenantQuery):
    """One page of the audit log."""

    limit: Top = 50
    before_seq: Annotated[int, Meta(ge=1, le=COUNT_MAX, description="The `next` of the page before.")] | UnsetType = (
        UNSET
    )


class LookupQuery(_Said):
    """Which model's price."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    provider: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    tier: Annotated[str, Meta(max_length=64, description="A service tier, such as flex.")] = ""


class MeQuery(_Said):
    """Which model and provider a call would be for, where budgets look at them."""

    model: Annotated[str, Meta(max_length=128)] = ""
    provider: Annotated[str, Meta(max_length=64)] = ""


# --- bodies -----------------------------------------------------------------------------------------------------------


class WindowBody(_Said):
    """A window of so many days."""

    days: Annotated[int, Meta(ge=1, le=COUNT_MAX)]
    since: Annotated[str, Meta(max_length=20, description="The first day: 2026-11-01.")]


_Limit: TypeAlias = Annotated[str, Meta(max_length=100, description="Such as $5 / day, or 50k tokens / month.")]


class BudgetBody(_Said):
    """A budget, with keys and values as in bursar.yaml."""

    limit: (
        _Limit
        | Annotated[list[_Limit], Meta(max_length=20)]
        | Annotated[dict[Label, _Limit | Number], Meta(max_length=10)]
    )
    window: Annotated[str, Meta(max_length=40)] | WindowBody | UnsetType = UNSET
    match: Match | UnsetType = UNSET
    per: Label | Annotated[list[Label], Meta(max_length=10)] | UnsetType = UNSET
    timezone: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    week_start: Annotated[str, Meta(max_length=10)] | UnsetType = UNSET
    strict: bool | UnsetType = UNSET
    on_unknown_price: Policy | UnsetType = UNSET
    on_store_down: Policy | UnsetType = UNSET
    link: Annotated[str, Meta(max_length=2_000)] | UnsetType = UNSET
    warn_at: Annotated[list[Annotated[int, Meta(ge=1, le=100)]], Meta(max_length=20)] | UnsetType = UNSET
    values_max: Annotated[int, Meta(ge=1, le=10_000_000)] | UnsetType = UNSET


class TopUpBody(_Said):
    """More for a budget in its current window."""

    amount: Annotated[str, Meta(max_length=100, description="Such as $5, or 50k tokens.")]
    scope: Annotated[Labels, Meta(description="Only for this one, such as {user: ada}; without it for each.")] = {}
    id: Annotated[str, Meta(max_length=64, description="Said again with the same id, it counts once.")] = ""


class KeyBody(_Said):
    """A key to be made."""

    name: Annotated[str, Meta(min_length=1, max_length=64, description="The label `key` of its calls.")]
    role: Role = Role.CALL
    labels: Annotated[Labels, Meta(description="Labels that all its calls have.")] = {}
    may_set: Annotated[
        list[Label], Meta(max_length=40, description="Labels that its clients may set; tag.* is every tag.")
    ] = []
    expires: Annotated[Instant, Meta(description="When it ends; never, when left out.")] | UnsetType = UNSET


class RotateBody(_Said):
    """How a key gives way to its successor."""

    overlap_s: Annotated[int, Meta(ge=0, le=OVERLAP_S_MAX, description="How long the old one still opens.")] = 3_600


class PriceBody(_Said):
    """A price, with keys and values as under `prices:` in bursar.yaml: USD per million tokens."""

    input: Rate | UnsetType = UNSET
    output: Rate | UnsetType = UNSET
    cached_input: Rate | UnsetType = UNSET
    cache_write: Rate | UnsetType = UNSET
    cache_write_1h: Rate | UnsetType = UNSET
    reasoning: Rate | UnsetType = UNSET
    input_audio: Rate | UnsetType = UNSET
    output_audio: Rate | UnsetType = UNSET
    web_search: Rate | UnsetType = UNSET
    request: Rate | UnsetType = UNSET
    free: bool | UnsetType = UNSET


class PauseBody(_Said):
    """Which calls to stop; without match all of the tenant."""

    match: Match = {}
    reason: Annotated[str, Meta(max_length=REASON_LENGTH_MAX)] = ""
    now: Annotated[bool, Meta(description="End the streams that run, too.")] = False


class ApproveBody(_Said):
    """What a run gets when it goes on; without anything as much again of what stopped it."""

    add: Annotated[
        list[Annotated[str, Meta(max_length=100)]],
        Meta(max_length=10, description="Such as $2, 50k tokens, 10 steps, 5 tool calls, 60 seconds."),
    ] = []
    reason: Annotated[str, Meta(max_length=REASON_LENGTH_MAX)] = ""


class StopBody(_Said):
    """Why a run is stopped."""

    reason: Annotated[str, Meta(max_length=REASON_LENGTH_MAX)] = ""


class FinishBody(_Said):
    """How a run ended."""

    outcome: Annotated[str, Meta(min_length=1, max_length=REASON_LENGTH_MAX, description="Such as ok or failed.")]


class LinkBody(_Said):
    """How long a link is good for."""

    seconds: Annotated[int, Meta(ge=1, le=7 * 86_400)] = 86_400


class CorrectBody(_Said):
    """What a call really came to: one of cost_usd and cost_nano."""

    cost_usd: Annotated[str, Meta(max_length=40, description="A decimal number, such as 0.12.")] | UnsetType = UNSET
    cost_nano: Annotated[int, Meta(ge=0, le=AMOUNT_MAX)] | UnsetType = UNSET
    input_tokens: Number | UnsetType = UNSET
    output_tokens: Number | UnsetType = UNSET


class CheckBody(_Said):
    """A configuration file to be looked at."""

    text: Annotated[str, Meta(max_length=60_000)]
