"""Run the provider: in a thread of this process, or in a process of its own.

Owns sockets, threads and processes. It must never know what is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from bursar.testing.provider.app import ProviderApp
from bursar.testing.provider.client import ProviderClient
from bursar.testing.provider.connection import TRANSPORT, Receive, Scope, Send
from bursar.testing.provider.script import Script

__all__ = ["BACKLOG", "ProviderProcess", "ProviderServer", "ScriptedProvider", "listen"]

BACKLOG = 4096
KEEP_ALIVE_IDLE_S = 75
TICK_S = 0.1
NOTICE_S = 1.0
START_S = 30.0
STOP_S = 10.0
IMPORT_ROOT = Path(__file__).resolve().parents[3]
"""The directory that the package is imported from. A process that starts there finds the same package."""


class _Protocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]  # chosen at run time: httptools or h11
    """Uvicorn's protocol, which also hands the transport to the application, so that a fault can cut it."""

    app: Any

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope["extensions"] = {**scope.get("extensions", {}), TRANSPORT: transport}
            await app(scope, receive, send)

        self.app = with_transport


class ProviderServer(uvicorn.Server):
    """Uvicorn without its signal handlers, stopping at once: open streams are cut, as a killed provider's are."""

    def __init__(self, app: ProviderApp) -> None:
        """Serve `app`."""
        self._stopped = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        super().__init__(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="off",
                loop="auto",
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_IDLE_S,
                log_config=None,
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the caller."""
        yield

    async def main_loop(self) -> None:
        """Tick as uvicorn does, but stop the moment `stop` is called instead of up to a tick later."""
        self._loop = asyncio.get_running_loop()
        count = 0
        while not await self.on_tick(count):
            count += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), TICK_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port and every connection, and let the calls notice. What still runs is cancelled with the loop."""
        for listener in self.servers:
            listener.close()
        for connection in list(self.server_state.connections):
            transport: Any = connection.transport
            transport.abort()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=NOTICE_S)

    def stop(self) -> None:
        """Stop serving, from any thread or a signal handler."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # The loop has closed: it has stopped already.
                self._loop.call_soon_threadsafe(self._stopped.set)


def listen(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Return a socket that already accepts connections, so that its URL is good before the server runs."""
    sock = socket.create_server((host, port), backlog=BACKLOG)
    sock.setblocking(False)
    return sock


class ScriptedProvider(ProviderClient):
    """A provider in this process, with a thread, a loop and sockets of its own. Use it as a context manager."""

    def __init__(self, scripts: Mapping[str, Script] | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Take `scripts` by model and an address; port 0 takes a free one. Listens at once, serves when started."""
        self._socket = listen(host, port)
        super().__init__(f"http://{host}:{self._socket.getsockname()[1]}")
        self._server = ProviderServer(ProviderApp(scripts))
        self._thread = threading.Thread(target=self._run, name="scripted-provider", daemon=True)

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

    def start(self) -> Self:
        """Begin to serve."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and free the port. Raises TimeoutError when the thread does not end."""
        self._server.stop()
        if self._thread.ident is not None:
            self._thread.join(STOP_S)
            if self._thread.is_alive():
                raise TimeoutError(f"the provider at {self.url} did not stop within {STOP_S} s")
        self._socket.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()


class ProviderProcess(ProviderClient):
    """A provider in a process of its own, for tests that need its full speed or want to kill it."""

    def __init__(self, scripts: Mapping[str, Script] | None = None, *, port: int = 0) -> None:
        """Start the process and wait for its URL. It ends when this process does."""
        command = [sys.executable, "-m", "bursar.testing.provider", "--port", str(port), "--until-stdin-ends"]
        self.process = subprocess.Popen(  # noqa: S603 - our own module, no input from outside
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=IMPORT_ROOT
        )
        super().__init__(self._first_line())
        for model, script in (scripts or {}).items():
            self.set(model, script)

    def _first_line(self) -> str:
        """Return the URL that the process prints; kill it when it prints none in time."""
        stdout = self.process.stdout
        assert stdout is not None
        timer = threading.Timer(START_S, self.process.kill)
        timer.start()
        try:
            url = stdout.readline().strip()
        finally:
            timer.cancel()
        if not url:
            raise RuntimeError(f"the provider process printed no URL (exit code {self.process.wait(STOP_S)})")
        return url

    def kill(self) -> None:
        """Kill the process at once, as a crash does, and wait for its end."""
        self.process.kill()
        self._reap()

    def stop(self) -> None:
        """Ask the process to end, and kill it when it does not within some seconds. Safe to call twice."""
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._reap()

    def _reap(self) -> None:
        self.process.wait(STOP_S)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()
