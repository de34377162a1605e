"""`bursar.configure`: the budgets, keys and prices of a configuration, for this whole process.

Owns the change from one configuration to another. It never mixes two of them.
"""

from __future__ import annotations

import threading
from pathlib import Path

from bursar.client.patches import patches
from bursar.client.runtime import runtime
from bursar.client.scopes import scopes_open
from bursar.config.load import from_environment
from bursar.config.settings import Settings
from bursar.errors import UsageError

__all__ = ["close", "configure"]

_lock = threading.RLock()
_is_configured = [False]


def configure(configuration: str | Path | Settings | None = None, /, **flags: str) -> None:
    """Let a configuration count in this process from now on: its budgets, its providers' keys, its prices, its ledger.

    Takes the path of a file (else BURSAR_CONFIG or `bursar.yaml` here) or whole Settings; keywords set single keys,
    such as `store_path="/var/lib/bursar.db"` or `budget="$5 / day"`. Every model call of the process is metered from
    here on, until `bursar.close()`. Raises ConfigError, StoreUnavailable, and UsageError while a budget is open.
    """
    settings = configuration if isinstance(configuration, Settings) else _load(configuration, flags)
    with _lock:
        if scopes_open():
            raise UsageError("a budget is open: call bursar.configure before the first one")
        runtime.use(settings)
        runtime.engine()
        if not _is_configured[0]:
            _is_configured[0] = True
            patches.need()


def close() -> None:
    """End what `configure` began, and let go of the ledger's file. A budget that opens later opens it again."""
    with _lock:
        if _is_configured[0]:
            _is_configured[0] = False
            patches.release()
        runtime.use(None)


def _load(configuration: str | Path | None, flags: dict[str, str]) -> Settings:
    named = {name.replace("_", ".", 1) if "_" in name else name: text for name, text in flags.items()}
    return from_environment(Path(configuration) if configuration is not None else None, named)
