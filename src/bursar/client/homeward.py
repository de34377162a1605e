"""A run's private gateway, as a program sees that meters itself: it is passed by.

`bursar run` points programs at a gateway of its own. One that meters itself asks the provider instead, so that a call
counts once and everything that the program itself has opened counts as well. Owns that change of address, and telling
the run of a refusal. It must never change where any other request goes.
"""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

from bursar.client.scopes import Scope
from bursar.wiring.handed import Handed, handed

__all__ = ["homeward", "homeward_url", "tell_run"]


@lru_cache(maxsize=1)
def _run() -> Handed:
    return handed()


def homeward(request: Any) -> Any:
    """Give a request of httpx as it goes to the provider itself."""
    run = _run()
    if not run.homes:
        return request
    asked = str(request.url)
    home = run.home(asked)
    if home == asked:
        return request
    sent = copy.copy(request)
    # A copy has neither of these two: httpx leaves out what cannot be written down.
    sent.stream, sent.extensions = request.stream, dict(request.extensions)
    sent.url = type(request.url)(home)
    sent.headers = type(request.headers)(request.headers)
    sent.headers["host"] = sent.url.netloc.decode("ascii")
    return sent


def homeward_url(url: str) -> str:
    """Give a URL as it is at the provider itself."""
    return _run().home(url)


def tell_run(message: str, own: tuple[Scope, ...]) -> None:
    """Tell the run of a refusal; `own` are the scopes whose budget refused, none where it was something else."""
    run = _run()
    if run.pipes:
        instances = {scope.budget.instance for scope in own if scope.budget is not None} if own else None
        run.tell(message, instances)
