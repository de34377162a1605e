"""The private gateway of a run: it has an address from the start, and is loaded when the first program knocks.

Owns its thread. A run whose programs meter themselves never pays for it. It ends with this process, however that ends.
"""

from __future__ import annotations

import logging
import secrets
import socket
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import click

from bursar.cli.run_ways import HERE, Ways
from bursar.config.settings import Settings
from bursar.errors import UsageError
from bursar.wiring.handed import OpenScope

__all__ = ["Door"]

NEEDED = ("httptools", "msgspec", "prometheus_client", "starlette", "uvicorn")
BACKLOG = 4096
STOP_S = 10.0


class Door:
    """The door of one run."""

    def __init__(self) -> None:
        missing = next((name for name in NEEDED if find_spec(name) is None), None)
        if missing is not None:
            raise UsageError(f"`bursar run` needs {missing}: pip install 'bursar[gateway]'")
        self._secret = secrets.token_urlsafe(24)
        self.listening = socket.socket()
        self.listening.bind((HERE, 0))
        self.listening.listen(BACKLOG)
        self.listening.setblocking(False)
        self._server: Any = None
        self._thread: threading.Thread | None = None
        self._is_closing = False

    @property
    def url(self) -> str:
        """Its address, which only the programs of the run know."""
        return f"http://{HERE}:{self.listening.getsockname()[1]}/{self._secret}"

    def open(
        self, settings: Settings, ways: Ways, scopes: tuple[OpenScope, ...], tell: Callable[[str, str, str, int], None]
    ) -> None:
        """Begin to serve, in a thread."""
        self._thread = threading.Thread(
            target=self._serve, args=(settings, ways, scopes, tell), name="bursar-run", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Serve no longer; what is open is settled first."""
        self._is_closing = True
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_S)
        self.listening.close()

    def _serve(
        self, settings: Settings, ways: Ways, scopes: tuple[OpenScope, ...], tell: Callable[[str, str, str, int], None]
    ) -> None:
        from bursar.gateway.private import Private, private_server  # noqa: PLC0415 - see the module's docstring

        logging.getLogger().addHandler(logging.NullHandler())  # The terminal is the program's.
        private = Private(self._secret, scopes, ways.names, tell)
        server = private_server(settings, private)
        self._server = server
        if self._is_closing:
            return
        try:
            server.run(sockets=[self.listening])
        except SystemExit:  # It exits by itself, with a code of its own.
            pass
        finally:
            self.listening.close()
        if not server.started:
            click.echo("bursar: the run's gateway cannot start: what is asked of it fails", err=True)
