"""The invoice: what every call cost, by the provider's own count.

Owns the only arithmetic of money in the provider: integers, one rounding up per call. It must never hold a float and
never forget a billed call in its totals, however short its list of lines is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bursar.testing.provider.script import Rates

__all__ = ["CALLS_MAX", "Ended", "Invoice", "Line", "OpenCall", "Units", "cost_nano"]

CALLS_MAX = 100_000
"""Lines kept; older ones are dropped, the totals stay exact."""

PICO_PER_NANO = 1000

Ended = Literal["complete", "length", "disconnect", "cut", "reset", "error", "cancelled"]


@dataclass(frozen=True, slots=True)
class Units:
    """Tokens of one call in disjoint parts: no token is counted twice. `output` includes reasoning and all choices."""

    input: int
    cache_read: int
    cache_write: int
    output: int


NOTHING = Units(0, 0, 0, 0)


def cost_nano(units: Units, rates: Rates) -> int:
    """Return ceil(sum(units * rate) / 1000) in nano-USD."""
    cache_write_rate = rates.input if rates.cache_write is None else rates.cache_write
    cost_pico = (
        units.input * rates.input
        + units.cache_read * rates.cache_read
        + units.cache_write * cache_write_rate
        + units.output * rates.output
    )
    return -(-cost_pico // PICO_PER_NANO)


@dataclass(frozen=True, slots=True)
class Line:
    """One ended call. `cap` is the cap as received; `status` the HTTP status sent, None when none was."""

    id: str
    wire: str
    model: str
    at: str
    stream: bool
    cap: int | None
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    cost_nano: int
    ended: Ended
    status: int | None
    billed: bool
    request_headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call in flight. `generated` answers the output tokens of all choices so far."""

    id: str
    wire: str
    model: str
    at: str
    stream: bool
    cap: int | None
    request_headers: dict[str, str]
    rates: Rates
    generated: Callable[[], int]


class Invoice:
    """Collect calls and their cost over one period. Used by one event loop only."""

    def __init__(self, on_change: Callable[[], None] = lambda: None, calls_max: int = CALLS_MAX) -> None:
        """Call `on_change` after every change; keep `calls_max` lines."""
        self._on_change = on_change
        self._open: dict[str, OpenCall] = {}
        self._calls: deque[Line] = deque(maxlen=calls_max)
        self._reset()

    def _reset(self) -> None:
        self._calls.clear()
        self.total_nano = 0
        self.requests = 0
        self.ended = 0
        self.billed = 0

    @property
    def open(self) -> int:
        """The number of calls in flight."""
        return len(self._open)

    def arrive(self) -> None:
        """Count one request that arrived, whatever becomes of it."""
        self.requests += 1
        self._on_change()

    def begin(self, call: OpenCall) -> None:
        """List `call` as in flight."""
        if call.id in self._open:
            raise ValueError(f"call {call.id} is open already")
        self._open[call.id] = call
        self._on_change()

    def end(self, call_id: str, units: Units, ended: Ended, status: int | None) -> None:
        """End an open call and bill `units`, in the period in which it ends. Raises KeyError when it is not open."""
        self._add(self._open.pop(call_id), units, ended, status, is_billed=True)

    def end_unbilled(self, call_id: str, ended: Ended, status: int | None) -> None:
        """End an open call that costs nothing. Raises KeyError when it is not open."""
        self._add(self._open.pop(call_id), NOTHING, ended, status, is_billed=False)

    def _add(self, call: OpenCall, units: Units, ended: Ended, status: int | None, *, is_billed: bool) -> None:
        cost = cost_nano(units, call.rates)
        self.total_nano += cost
        self.ended += 1
        self.billed += is_billed
        self._calls.append(
            Line(
                id=call.id,
                wire=call.wire,
                model=call.model,
                at=call.at,
                stream=call.stream,
                cap=call.cap,
                input_tokens=units.input,
                cache_read_tokens=units.cache_read,
                cache_write_tokens=units.cache_write,
                output_tokens=units.output,
                cost_nano=cost,
                ended=ended,
                status=status,
                billed=is_billed,
                request_headers=call.request_headers,
            )
        )
        self._on_change()

    def report(self, calls_max: int = CALLS_MAX) -> dict[str, Any]:
        """Return the invoice as JSON values, with the newest `calls_max` lines, oldest first."""
        lines = list(self._calls)[max(0, len(self._calls) - calls_max) :]
        return {
            "total_nano": self.total_nano,
            "requests": self.requests,
            "ended": self.ended,
            "billed": self.billed,
            "calls": [asdict(line) for line in lines],
            "open": [
                {
                    "id": call.id,
                    "wire": call.wire,
                    "model": call.model,
                    "at": call.at,
                    "stream": call.stream,
                    "cap": call.cap,
                    "generated_tokens": call.generated(),
                    "request_headers": call.request_headers,
                }
                for call in self._open.values()
            ],
        }

    def close_period(self) -> dict[str, Any]:
        """Return the invoice and begin a new period. Calls in flight are billed in the new one."""
        report = self.report()
        self._reset()
        self._on_change()
        return report
