"""The one engine of this process, and whether anything is metered.

Owns the engine's life: opened at first use, anew in a forked child, closed when the program ends. Nothing here runs
when bursar is imported.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from dataclasses import dataclass, field, replace
from typing import Any

from bursar.client import places
from bursar.client.streams import end_all
from bursar.config.load import from_environment
from bursar.config.settings import Settings
from bursar.errors import StoreUnavailable
from bursar.pricing.book import PriceBook
from bursar.wiring.local import LocalEngine
from bursar.wiring.prices import open_prices

__all__ = ["Runtime", "runtime"]


@dataclass(slots=True)
class Runtime:
    """What is set for this process."""

    settings: Settings | None = None
    """What `bursar.configure` said; None for what lies in the working directory and the environment."""
    lost: str = ""
    """Why this process can have no engine."""
    opened: LocalEngine | None = None
    """The engine, while it is open."""
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _is_registered: bool = False
    _is_forked: bool = False
    _is_ending: bool = False
    _listed: tuple[Settings, PriceBook] | None = None
    _left_behind: list[Any] = field(default_factory=list)
    """A parent's engine, in its forked child: its file must be neither used nor closed here."""

    @property
    def is_open(self) -> bool:
        """Tell whether the engine is open."""
        return self.opened is not None

    def engine(self) -> LocalEngine:
        """Give the engine; open it when it is not. Raises StoreUnavailable and ConfigError."""
        return self.opened or self._open()

    def prices(self) -> tuple[Settings, PriceBook]:
        """Give what prices calls, without a ledger where none is open. Raises ConfigError."""
        engine = self.opened
        if engine is not None:
            return engine.settings, engine.control.in_force.prices
        settings = self.settings or _found()
        if self._listed is None or self._listed[0] != settings:
            self._listed = settings, open_prices(settings)
        return self._listed

    def _open(self) -> LocalEngine:
        with self._lock:
            if self.opened is not None:
                return self.opened
            if self.lost:
                raise StoreUnavailable(self.lost)
            engine = LocalEngine(self.settings or _found(), is_behind=not self._ends_unasked())
            engine.start()
            self.opened = engine
            if not self._is_registered:
                self._is_registered = True
                atexit.register(self._end)
            return engine

    def _end(self) -> None:
        """Close at the end of the program. What it opens again after this is told to nobody any more."""
        self._is_ending = True
        engine = self.opened
        if engine is not None:
            end_all(engine.adopt)
        self.close()

    def _ends_unasked(self) -> bool:
        """Tell whether this process ends without a word: a forked child, multiprocessing's, or one that ends already.

        What its calls came to has to be written before anything of it can end.
        """
        module = sys.modules.get("multiprocessing.process")
        is_alone = self._is_forked or self._is_ending
        return is_alone or (module is not None and module.parent_process() is not None)

    def use(self, settings: Settings | None) -> None:
        """Let these settings count from now on, or what is found where there are none."""
        with self._lock:
            self.close()
            self.settings = settings

    def catch_up(self) -> None:
        """Let the ledger have all that calls came to so far; what it cannot take now it gets later."""
        engine = self.opened
        if engine is not None:
            with contextlib.suppress(StoreUnavailable):
                engine.catch_up()

    def close(self) -> None:
        """End the engine; the next use opens it again.

        Calls that are on their way go on: they are presumed, until what they come to is written when they end.
        """
        with self._lock:
            engine, self.opened = self.opened, None
            if engine is not None:
                engine.stop()
                places.forget()

    def before_fork(self) -> None:
        """Shut the ledger, so that a child is not born with it open."""
        self._lock.acquire()
        if self.opened is not None:
            self.opened.let_go()

    def after_fork(self) -> None:
        """Go on in the parent."""
        try:
            if self.opened is not None:
                self.opened.take_up()
        finally:
            self._lock.release()

    def forked(self) -> None:
        """Leave the parent's engine to the parent."""
        self._lock = threading.RLock()
        self._is_forked = True
        engine, self.opened = self.opened, None
        if engine is not None:
            self._left_behind.append(engine)
            if not engine.is_shareable:
                self.lost = "a ledger in memory cannot be shared with a forked process: write store: {kind: sqlite}"


def _found() -> Settings:
    """Read the configuration that is found; the keys in it are for those who name the file."""
    settings = from_environment(is_calling=False)
    providers = tuple(replace(provider, api_key="", headers=(), secrets=()) for provider in settings.providers)
    return replace(settings, providers=providers)


runtime = Runtime()
os.register_at_fork(before=runtime.before_fork, after_in_parent=runtime.after_fork, after_in_child=runtime.forked)
