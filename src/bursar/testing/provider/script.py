"""What a scripted model answers: the `Script`, its rates, its tool call and its faults.

Owns the vocabulary of a script and its JSON form. It must never do I/O, read a clock or know a wire.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

__all__ = ["FAULTS", "Fault", "Rates", "Script", "ToolCall"]

Fault = Literal[
    "none",
    "slow",
    "cut",
    "reset_before",
    "no_usage",
    "status",
    "garbage",
    "over_cap",
    "never_ends",
    "long_line",
    "usage_twice",
    "error_event",
]
FAULTS: tuple[Fault, ...] = get_args(Fault)

TOKENS_MAX = 10_000_000
BYTES_MAX = 256 * 1024 * 1024
SECONDS_MAX = 86_400.0


@dataclass(frozen=True, slots=True)
class Rates:
    """What the provider charges, in pico-USD per token: 2_500_000 is $2.50 per million tokens.

    `cache_write` None means: as much as `input`.
    """

    input: int = 2_500_000
    cache_read: int = 1_250_000
    output: int = 10_000_000
    cache_write: int | None = None

    def __post_init__(self) -> None:
        for name in ("input", "cache_read", "output"):
            _whole_number(f"rates.{name}", getattr(self, name), 0, 10**15)
        if self.cache_write is not None:
            _whole_number("rates.cache_write", self.cache_write, 0, 10**15)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool as the whole answer. `arguments` is the JSON text of an object, as the model would write it."""

    name: str
    arguments: str = "{}"

    def __post_init__(self) -> None:
        if not _is_text(self.name) or not self.name:
            raise ValueError("tool_call.name must be a text that is not empty")
        if not _is_text(self.arguments):
            raise ValueError("tool_call.arguments must be JSON text, not an object")


@dataclass(frozen=True, slots=True)
class Script:
    """How one model answers, and how it fails. Immutable; an invalid one raises ValueError naming the field.

    The answer. Tokens are per choice; an answer is `reasoning_tokens` first, then `output_tokens`. Embeddings have an
    input and nothing else. A response that continues another has that one's input and output in its prompt as well.

    - `output_tokens`: visible tokens of text, or of the tool call's arguments.
    - `reasoning_tokens`: hidden tokens generated before the visible ones, billed as output, first to use up the cap.
    - `input_tokens`: the size of the whole prompt, cached parts included. None counts the request's own text:
      max(1, ceil(UTF-8 bytes / 4)) + 8.
    - `cached_input_tokens`, `cache_write_tokens`: parts of the prompt read from and written to the cache; never more
      than the prompt has (reads are taken first). Embeddings know neither and Gemini no writes: both are ordinary
      input there.
    - `text`: the literal answer, spread evenly over `output_tokens`; None gives filler of four characters a token.
    - `tool_call`: the answer is this call instead of text.
    - `tool_call_times`: only the first so many answers are the call, the rest is text, as of an agent that has found
      what it wanted; None: all of them, as of one that never does.
    - `max_output_tokens`: the model's maximum; a higher cap is refused with 400. None: no maximum.

    The pace. Generation follows its own clock and never waits for the reader.

    - `first_byte_s`: delay before anything is generated or sent.
    - `tokens_per_s`: speed after that, per choice; None generates everything at once.
    - `head_after_tokens`: a stream's head is sent only when so many tokens per choice are there, as by servers that
      think first and proxies that buffer.
    - `tokens_per_event`: visible tokens in one stream event.
    - `run_ahead_tokens`: tokens per choice still generated and billed after the connection is lost, at most up to
      the end of the answer.

    The bill and the door.

    - `rates`: what it costs.
    - `needs_key`: answer 401 to a request without credentials.

    The fault (see `FAULTS`), for the first `fault_times` requests (None: for all).

    - `slow`: first byte only after `fault_after_s`.
    - `cut`: TCP closed once `fault_after_tokens` per choice are generated (reasoning included), without an end;
      billed up to there, plus `run_ahead_tokens`.
    - `reset_before`: TCP closed before any byte of the response; the whole answer is billed if `fault_billed`.
    - `no_usage`: usage omitted, whole and streamed; billed.
    - `status`: `fault_status` with the wire's error body and `retry_after_s` if set; not billed.
    - `garbage`: 200 with a body that is not JSON, or a stream with broken JSON in the middle; billed.
    - `over_cap`: ignores the cap and generates everything; billed.
    - `never_ends`: after the content only keep-alives, for ever; billed when the content is complete.
    - `long_line`: one line of `fault_bytes` bytes in the stream, or a whole body of at least that size; billed.
    - `usage_twice`: a stream reports usage half way and again at the end, cumulative; billed once. Gemini's streams
      report it in every chunk, always.
    - `error_event`: a stream ends half way in an error event; billed up to there. A whole answer has no fault.

    A response in the background is refused by `status` and `reset_before` before it begins; `cut` lets it fail;
    `never_ends` leaves it running for ever, billed when its content is complete.
    """

    output_tokens: int = 40
    reasoning_tokens: int = 0
    input_tokens: int | None = None
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    text: str | None = None
    tool_call: ToolCall | None = None
    tool_call_times: int | None = None
    max_output_tokens: int | None = None
    first_byte_s: float = 0.0
    tokens_per_s: float | None = None
    head_after_tokens: int = 0
    tokens_per_event: int = 4
    run_ahead_tokens: int = 0
    rates: Rates = field(default_factory=Rates)
    needs_key: bool = False
    fault: Fault = "none"
    fault_times: int | None = None
    fault_after_s: float = 0.0
    fault_after_tokens: int = 0
    fault_billed: bool = False
    fault_status: int = 500
    fault_bytes: int = 1024 * 1024
    retry_after_s: int | None = None

    def __post_init__(self) -> None:
        for name in ("output_tokens", "reasoning_tokens", "cached_input_tokens", "cache_write_tokens"):
            _whole_number(name, getattr(self, name), 0, TOKENS_MAX)
        for name in ("run_ahead_tokens", "fault_after_tokens", "head_after_tokens"):
            _whole_number(name, getattr(self, name), 0, TOKENS_MAX)
        _whole_number("tokens_per_event", self.tokens_per_event, 1, TOKENS_MAX)
        _whole_number("fault_status", self.fault_status, 400, 599)
        _whole_number("fault_bytes", self.fault_bytes, 1024, BYTES_MAX)
        self._check_optional()
        _seconds("first_byte_s", self.first_byte_s)
        _seconds("fault_after_s", self.fault_after_s)
        if self.fault not in FAULTS:
            raise ValueError(f"fault must be one of {', '.join(FAULTS)}, got {self.fault!r}")
        for name in ("needs_key", "fault_billed"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be true or false")

    def _check_optional(self) -> None:
        if self.input_tokens is not None:
            least = self.cached_input_tokens + self.cache_write_tokens
            _whole_number("input_tokens", self.input_tokens, least, TOKENS_MAX)
        if self.max_output_tokens is not None:
            _whole_number("max_output_tokens", self.max_output_tokens, 1, TOKENS_MAX)
        for name in ("fault_times", "tool_call_times"):
            if getattr(self, name) is not None:
                _whole_number(name, getattr(self, name), 0, TOKENS_MAX)
        if self.retry_after_s is not None:
            _whole_number("retry_after_s", self.retry_after_s, 0, int(SECONDS_MAX))
        if self.tokens_per_s is not None and not (_is_number(self.tokens_per_s) and 0 < self.tokens_per_s <= 1e9):
            raise ValueError(f"tokens_per_s must be above 0 and at most 1e9, got {self.tokens_per_s!r}")
        if self.text is not None and not _is_text(self.text):
            raise ValueError("text must be text or null")
        if self.text is not None and self.tool_call is not None and self.tool_call_times is None:
            raise ValueError("an answer is text or a tool_call, not both, unless tool_call_times says how often")

    def without_fault(self) -> Script:
        """Return the same script with no fault."""
        return dataclasses.replace(self, fault="none")

    def without_tool_call(self) -> Script:
        """Return the same script, answering with text."""
        return dataclasses.replace(self, tool_call=None, tool_call_times=None)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, which `from_json` reads back to an equal script."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Script:
        """Read the JSON form; missing keys take their defaults, unknown ones raise ValueError."""
        values = dict(data)
        _known_keys("script", values, cls)
        rates, tool_call = values.get("rates"), values.get("tool_call")
        if isinstance(rates, Mapping):
            _known_keys("rates", rates, Rates)
            values["rates"] = Rates(**rates)
        elif "rates" in values:
            raise ValueError("rates must be an object")
        if isinstance(tool_call, Mapping):
            _known_keys("tool_call", tool_call, ToolCall)
            values["tool_call"] = ToolCall(**tool_call)
        elif tool_call is not None:
            raise ValueError("tool_call must be an object or null")
        return cls(**values)


def _known_keys(what: str, values: Mapping[str, Any], owner: type[Any]) -> None:
    unknown = sorted(set(values) - {each.name for each in dataclasses.fields(owner)})
    if unknown:
        raise ValueError(f"unknown keys in {what}: {', '.join(unknown)}")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole_number(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, got {value!r}")


def _seconds(name: str, value: Any) -> None:
    if not _is_number(value) or not 0 <= value <= SECONDS_MAX:
        raise ValueError(f"{name} must be seconds from 0 to {SECONDS_MAX:.0f}, got {value!r}")
