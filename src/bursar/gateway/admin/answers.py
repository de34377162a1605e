"""What answers hold, as types: the OpenAPI document is made of them.

Owns their description. The answers themselves are written by `actions/shown.py` and `reports/shown.py`, as `--json` of
the command line is; a test holds every answer against these types.
"""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeAlias, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = [
    "Budget",
    "BudgetStatus",
    "Budgets",
    "Card",
    "Cards",
    "Error",
    "Key",
    "Me",
    "Nano",
    "NewKey",
    "Ns",
    "Page",
    "Pause",
    "Price",
    "Removed",
    "Resumed",
    "State",
    "TopUp",
    "Unknown",
    "Usd",
    "Utc",
]

T = TypeVar("T")
Nano: TypeAlias = Annotated[int, Meta(description="Nano-USD: 1 USD is 1,000,000,000.")]
Usd: TypeAlias = Annotated[str, Meta(description="USD, exact decimal text.")]
Ns: TypeAlias = Annotated[int, Meta(description="Nanoseconds since 1970.")]
Utc: TypeAlias = Annotated[str, Meta(description="ISO 8601, UTC.")]
Unit: TypeAlias = Literal["usd", "tokens", "input_tokens", "output_tokens", "requests"]
Level: TypeAlias = Literal["fine", "warned", "exceeded"]
State: TypeAlias = Literal["open", "settled", "released", "presumed"]


class Page(Struct, Generic[T]):
    """One page of a list."""

    items: list[T]
    next: Annotated[str | int | None, Meta(description="What to ask the next page with; null on the last page.")]


class Problem(Struct):
    """What went wrong, and what to do."""

    code: str
    message: str
    param: Annotated[str | None, Meta(description="The field that is wrong, where there is one.")]


class Error(Struct):
    """Any error."""

    error: Problem


class Standing(Struct):
    """One limit at one scope in its current window: *_nano and *_usd for usd, plain counts for other units."""

    scope: str
    unit: Unit
    percent: int
    level: Level
    limit_nano: Nano | UnsetType = UNSET
    used_nano: Nano | UnsetType = UNSET
    settled_nano: Nano | UnsetType = UNSET
    presumed_nano: Nano | UnsetType = UNSET
    held_nano: Nano | UnsetType = UNSET
    left_nano: Nano | UnsetType = UNSET
    limit_usd: Usd | UnsetType = UNSET
    used_usd: Usd | UnsetType = UNSET
    settled_usd: Usd | UnsetType = UNSET
    presumed_usd: Usd | UnsetType = UNSET
    held_usd: Usd | UnsetType = UNSET
    left_usd: Usd | UnsetType = UNSET
    limit: int | UnsetType = UNSET
    used: int | UnsetType = UNSET
    settled: int | UnsetType = UNSET
    presumed: int | UnsetType = UNSET
    held: int | UnsetType = UNSET
    left: int | UnsetType = UNSET


class TopUp(Struct):
    """More for a budget in one window."""

    id: str
    budget: str
    tenant: str
    scope: str
    unit: Unit
    amount_nano: Nano | UnsetType = UNSET
    amount_usd: Usd | UnsetType = UNSET
    amount: int | UnsetType = UNSET


class BudgetStatus(Struct):
    """A budget in its current window."""

    name: str
    source: Literal["file", "set"]
    tenant: Annotated[str, Meta(description="Whose it is; * is each tenant's.")]
    per: list[str]
    match: dict[str, list[str]]
    window: str
    timezone: str
    starts: Utc | None
    ends: Utc | None
    level: Level
    scopes: Annotated[int, Meta(description="How many scopes there are in this window.")]
    standings: list[Standing]
    top_ups: list[TopUp]


class Limit(Struct):
    """An amount: nano-USD for usd, a count otherwise."""

    unit: Unit
    amount: int
    amount_usd: Usd | UnsetType = UNSET


class Budget(Struct):
    """A budget as it is defined, for one of its windows."""

    name: str
    tenant: str
    limits: list[Limit]
    window: str
    timezone: str
    per: list[str]
    match: dict[str, list[str]]
    is_strict: bool
    warn_at: list[int]
    link: str | None


class Budgets(Struct):
    """The budgets that one definition gives: one for each of its windows."""

    budgets: list[Budget]


class Removed(Struct):
    """What was taken out."""

    removed: str
    tenant: str


class Key(Struct):
    """A key, without the key. Instants are 0 and null for never."""

    id: str
    tenant: str
    name: str
    role: Literal["call", "read", "admin"]
    hint: Annotated[str, Meta(description="Its last four characters.")]
    labels: dict[str, str]
    may_set: list[str]
    created_ns: Ns
    expires_ns: Ns
    revoked_ns: Ns
    created: Utc | None
    expires: Utc | None
    revoked: Utc | None


class NewKey(Key):
    """A key that was just made."""

    key: Annotated[str, Meta(description="The key itself. It is shown this once.")]


class Price(Struct):
    """A price of the operator's own, in USD per million tokens as it was written."""

    provider: str
    model: str
    free: bool
    source: Literal["file", "set"]
    input: str | UnsetType = UNSET
    output: str | UnsetType = UNSET
    cached_input: str | UnsetType = UNSET
    cache_write: str | UnsetType = UNSET
    cache_write_1h: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET
    input_audio: str | UnsetType = UNSET
    output_audio: str | UnsetType = UNSET
    web_search: str | UnsetType = UNSET
    request: str | UnsetType = UNSET


class Tier(Struct):
    """Rates above so much input, in USD."""

    input_above_tokens: int
    usd_per_million_tokens: dict[str, str]
    usd_per_web_search: str
    usd_per_request: str


class Card(Struct):
    """What a model costs at a provider, and where that is known from."""

    provider: str
    model: str
    tier: str | None
    source: str
    version: str
    tiers: list[Tier]
    max_output_tokens: int | None
    top_speed_tokens_per_s: int


class Cards(Struct):
    """The different prices of a model at the providers that would be asked."""

    items: list[Card]


class UnknownModel(Struct):
    """A model that was called and that nobody could price."""

    provider: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    last_ns: Ns


class Unknown(Struct):
    """Models without a price, among the latest calls."""

    items: list[UnknownModel]


class Pause(Struct):
    """Calls that are stopped."""

    id: str
    tenant: str
    match: dict[str, list[str]]
    reason: str
    actor: str
    at_ns: Ns
    at: Utc | None
    now: Annotated[bool, Meta(description="Streams that ran when it was set have ended.")]


class Resumed(Struct):
    """How many pauses were taken away."""

    resumed: int


class MyBudget(Struct):
    """One limit that a call with these labels counts against."""

    budget: str
    window: str
    starts: Utc | None
    ends: Utc | None
    link: str | None
    standing: Standing


class Me(Struct):
    """Who is asking, and what is left for it."""

    tenant: str
    key: Annotated[str | None, Meta(description="The name of the key; null without one.")]
    key_id: str | None
    role: Annotated[Literal["call", "read", "admin", "operator"], Meta(description="What it may do.")]
    labels: Annotated[dict[str, str], Meta(description="The labels that a call sent like this request would have.")]
    may_set: list[str]
    expires: Utc | None
    is_paused: bool
    budgets: list[MyBudget]
