"""Every error that bursar raises, in one tree.

    BursarError                       status  exit  what to do
    ├── ConfigError                      500     2  mend the named line of the configuration
    ├── UsageError                       400     2  mend the command's words
    ├── BadRequest                       400     1  mend the request: it cannot be parsed, priced or bounded
    │   └── TooLarge                     413     1  send less
    ├── Unauthorized                     401     1  send a key that is in force
    ├── Forbidden                        403     1  ask somebody with more rights
    ├── NotFound                         404     1  name something that exists
    ├── BudgetExceeded                   402     3  wait for the next window, or ask for more
    │   └── UnknownPrice                 402     3  add a price under `prices:`
    ├── Contended                        429     1  try again shortly: the money is only in flight
    ├── HoldConflict                     409     1  the same id was used for another call, or settled otherwise
    ├── StoreUnavailable                 503     1  look at the disk; nothing was spent
    └── UpstreamFailed                   502     1  the provider did not answer; what may be billed stays counted

Each carries its data as attributes, an HTTP status and an exit code. It must never carry a prompt or a key.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "BadRequest",
    "BudgetExceeded",
    "BursarError",
    "ConfigError",
    "Contended",
    "Forbidden",
    "HoldConflict",
    "NotFound",
    "StoreUnavailable",
    "TooLarge",
    "Unauthorized",
    "UnknownPrice",
    "UpstreamFailed",
    "UsageError",
]


class BursarError(Exception):
    """Be the root: whatever bursar raises on purpose."""

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConfigError(BursarError):
    """Say where the configuration is wrong: file, line, key, and what was probably meant."""

    exit_code = 2

    def __init__(self, message: str, *, file: str = "", line: int = 0, key: str = "") -> None:
        place = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(f"{place}{key + ': ' if key else ''}{message}")
        self.file, self.line, self.key = file, line, key


class UsageError(BursarError):
    """Say which word of a command cannot be understood; `param` names the field, where there is one."""

    status = 400
    exit_code = 2

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class BadRequest(BursarError):
    """Refuse a request that cannot be parsed, priced or bounded; `param` names the field."""

    status = 400

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class TooLarge(BadRequest):
    """Refuse a body, header or line that is longer than its named limit."""

    status = 413


class Unauthorized(BursarError):
    """Refuse whoever has no key, or one that is wrong, expired or revoked: all are told the same."""

    status = 401


class Forbidden(BursarError):
    """Refuse an act that is more than the one who asks may do."""

    status = 403


class NotFound(BursarError):
    """Say that the named thing does not exist."""

    status = 404


class BudgetExceeded(BursarError):
    """Refuse a call that does not fit its budget even with nothing else in flight; `budget` names it."""

    status = 402
    exit_code = 3

    def __init__(self, message: str, *, budget: str = "") -> None:
        super().__init__(message)
        self.budget = budget
        self.scopes: tuple[Any, ...] = ()
        """The scopes around the call, where the library refused it."""


class UnknownPrice(BudgetExceeded):
    """Refuse a call of a USD budget whose price nobody knows."""


class Contended(BursarError):
    """Refuse a call that would fit but for the calls now in flight, after it has waited."""

    status = 429


class HoldConflict(BursarError):
    """Refuse a store verb that contradicts what the ledger already holds under this id."""

    status = 409


class StoreUnavailable(BursarError):
    """Say that the ledger cannot be read or written now."""

    status = 503


class UpstreamFailed(BursarError):
    """Say that the provider could not be reached or broke off.

    `is_sent` tells whether the request may have reached it: then it may be billed and is never refunded.
    """

    status = 502

    def __init__(self, message: str, *, is_sent: bool) -> None:
        super().__init__(message)
        self.is_sent = is_sent
