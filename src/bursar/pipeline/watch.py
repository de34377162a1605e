"""What a call in flight knows of its run: where it stood, and when its seconds are over.

Owns the end that a guard or a person sets to an answer that runs. It decides nothing about money.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bursar.core.run import RunAsk, RunRow
from bursar.pipeline.refusals_run import run_headers
from bursar.pipeline.run_ends import Wait
from bursar.telemetry.record import CallRecord
from bursar.wire.base import Answer, CallMark

__all__ = ["RunWatch"]


@dataclass(slots=True)
class RunWatch:
    """Of one call. Without a run that a guard looks at it has no end."""

    row: RunRow | None = None
    """The run as it was when the call was held."""
    tool_calls: int = 0
    """What the answer asked for, as far as it has come."""
    wake: Callable[[], object] | None = None
    """Lets whoever waits for the answer look up."""
    asked: tuple[CallMark, ...] = ()
    """Digests of these calls, where a later request shows them no more."""
    wait: Wait | None = None
    """How a whole answer is awaited until that end."""
    ends_ns: int | None = None
    """When its answer is to end; None for never."""

    def hear(self, answer: Answer | None) -> None:
        """Take what an answer asked for; None for no answer."""
        if answer is not None:
            self.tool_calls, self.asked = answer.tool_calls, answer.asked

    def told(self, record: CallRecord) -> CallRecord:
        """Lay what the answer asked for beside what observers are told of the call."""
        return replace(record, asked=self.asked) if self.asked else record

    def enter(self, row: RunRow | None, asked: RunAsk | None) -> None:
        """Take the store's word of the run, and with it the end of its seconds."""
        if row is not None and asked is not None:
            self.row, self.ends_ns = row, row.ends_ns(asked.limits)

    def end(self, at_ns: int, *, is_waking: bool) -> None:
        """Let the answer end now, or with its next bytes where nobody may be woken."""
        self.ends_ns, self.wait = at_ns, None
        if is_waking and self.wake is not None:
            self.wake()

    def is_over(self, at_ns: int) -> bool:
        """Tell whether the answer is to end now."""
        return self.ends_ns is not None and at_ns >= self.ends_ns

    def headers(self) -> dict[str, str]:
        """Tell the client its run; nothing where no guard looks at it."""
        return {} if self.row is None else run_headers(self.row)
