"""The page behind a signed link: one run, and two buttons.

Owns that page. Opening it changes nothing, since programs open links that people get; a button's POST does. The
signature is all the right there is, and it is for this one decision. It must never show more than the run's figures.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial
from typing import TypeVar
from urllib.parse import parse_qs

from bursar.actions.acting import By
from bursar.actions.links import PATH, RunLink, read_link
from bursar.actions.runs import RunWish, approve_run, stop_run
from bursar.config.settings import Settings
from bursar.core.run import RunRow
from bursar.errors import BadRequest, BursarError, HoldConflict, NotFound
from bursar.pipeline.call import Reply
from bursar.wiring.engine import Engine
from bursar.wiring.pepper import open_pepper
from bursar.wiring.reading import Readable

T = TypeVar("T")

__all__ = ["BODY_BYTES_MAX", "RunLinks", "address_of"]

BODY_BYTES_MAX = 1_024
ACTOR = "link"
_HEADERS = (
    ("content-type", "text/html; charset=utf-8"),
    ("cache-control", "private, no-store"),
    ("content-security-policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
)
_PAGE = "<!doctype html><meta charset=utf-8><title>bursar</title><h1>{title}</h1>{text}"
_BUTTONS = (
    "<form method=post><button name=do value=approve>Let it go on</button> "
    "<button name=do value=stop>Stop it</button></form>"
)


def address_of(token: str) -> str:
    """Say where a link leads, below the gateway's address."""
    return PATH + token


class RunLinks:
    """Answers `GET` and `POST` of `/bursar/runs/TOKEN`."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings

    async def __call__(self, method: str, path: str, body: bytes) -> Reply:
        """Show the run, or do what a button says."""
        try:
            return await self._answer(method, path.removeprefix(PATH), body)
        except HoldConflict as error:
            return _page(error.status, "Somebody has decided already", error.message)
        except (NotFound, BadRequest) as error:
            return _page(error.status, "Nothing is here", error.message)
        except BursarError:
            return _page(503, "This cannot be done now", "The gateway's log says more.")

    async def _answer(self, method: str, token: str, body: bytes) -> Reply:
        settings, now_ns = self._settings, self._engine.clock()
        link = read_link(token, open_pepper(settings, create=False) or b"", now_ns)
        row = await self._on_ledger(lambda ledger: ledger.run_row(link.tenant, link.run))
        if row is None:
            raise NotFound("this link opens nothing: it is not whole, or it is over")
        if row.since_ns != link.since_ns:
            raise HoldConflict(f"run {row.run} has been decided on since: it is {row.state}")
        if method != "POST":
            return _page(200, f"Run {row.run}", _told(row), _BUTTONS)
        done = parse_qs(body.decode("ascii", "replace"), max_num_fields=4).get("do", [""])[0]
        if done not in ("approve", "stop"):
            raise BadRequest("say approve or stop")
        after = await self._on_ledger(partial(_decide, settings, link, done, By(ACTOR, now_ns)))
        await self._engine.control.refresh()
        return _page(200, f"Run {after.run}", f"It is {after.state} now.")

    async def _on_ledger(self, work: Callable[[Readable], T]) -> T:
        return await self._engine.store.run(partial(work, self._engine.ledger))


def _decide(settings: Settings, link: RunLink, done: str, by: By, ledger: Readable) -> RunRow:
    wish = RunWish(link.tenant, link.run, "by its link", since_ns=link.since_ns)
    if done == "stop":
        return stop_run(ledger, wish, by)
    return approve_run(ledger, settings.budgets, settings.guards, wish, by)


def _told(row: RunRow) -> str:
    why = f" by its guard {row.guard}" if row.guard else ""
    reason = f": {row.reason}" if row.reason else ""
    return f"It is {row.state}{why}{reason}. {row.steps:,} steps, {row.tool_calls:,} tool calls so far."


def _page(status: int, title: str, text: str, more: str = "") -> Reply:
    shown = _PAGE.format(title=html.escape(title), text=f"<p>{html.escape(text)}</p>{more}")
    return Reply(status, _HEADERS, shown.encode())
