"""What answers about runs hold, as types: the OpenAPI document is made of them. Owns their description."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from bursar.gateway.admin.answers import Nano, Usd, Utc
from bursar.gateway.admin.figures import Call, Held, Spent

__all__ = ["Comparison", "RunStep", "Story", "TaskSums", "Tasks"]

Milliseconds = Annotated[int, Meta(ge=0)]


class RunStep(Struct):
    """One step of a run."""

    number: int
    model: Annotated[str, Meta(description="Who answered.")]
    after_ms: Annotated[int, Meta(description="From the beginning of the run to that of the step.")]
    took_ms: Milliseconds
    tool_calls: int
    seen: Annotated[str | None, Meta(description="What a guard saw in its request: rules of loops, and how often.")]
    call: Call


class StoryHead(Spent):
    """One run, without its steps."""

    run: str
    agent: str
    task: str
    user: str
    state: Annotated[
        Literal["running", "parked", "stopped", "finished"] | None, Meta(description="Null where nobody watches it.")
    ]
    guard: Annotated[str | None, Meta(description="Which guard parked or stopped it.")]
    reason: str | None
    outcome: Annotated[str | None, Meta(description="How it ended, as somebody said.")]
    steps: int
    in_flight: int
    tool_calls: int
    began: Utc
    last_activity: Utc
    took_ms: Milliseconds
    is_cut: Annotated[bool, Meta(description="It has more steps than are told.")]


class Story(StoryHead):
    """One run, step by step."""

    calls: list[RunStep]


class Side(Struct):
    """One step of one of two runs."""

    id: str
    model: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    tool_calls: int
    cost_nano: Nano
    cost_usd: Usd
    took_ms: Milliseconds


class Pair(Struct):
    """The steps of two runs with the same number."""

    number: int
    first: Side | None
    second: Side | None
    more_nano: Annotated[int, Meta(description="How much more the second cost, in nano-USD; it may be negative.")]
    more_usd: str
    is_other_model: bool


class Comparison(Struct):
    """Two runs side by side. Differences are the second less the first."""

    first: StoryHead
    second: StoryHead
    more_nano: Annotated[int, Meta(description="How much more the second cost, in nano-USD; it may be negative.")]
    more_usd: str
    pairs: list[Pair]


class TaskSums(Held):
    """What some runs came to, and how they ended."""

    runs: int
    finished: int
    stopped: int
    outcomes: dict[str, int]
    calls: int
    per_run_nano: Nano | None
    per_run_usd: Usd | None
    per_finished_nano: Annotated[
        Nano | None, Meta(description="Everything that was spent, over the finished runs; null where none was.")
    ]
    per_finished_usd: Usd | None


class Tasks(Struct):
    """What tasks cost, the dearest first. Each row has the label of `by` beside the fields of `total`."""

    by: str
    rows: list[dict[str, Any]]
    total: TaskSums
    is_cut: Annotated[bool, Meta(description="There were more runs than are looked at.")]
    next: Annotated[int | None, Meta(description="The offset of the next page; null on the last page.")]
