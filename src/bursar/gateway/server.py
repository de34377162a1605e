"""Run the gateway: one process, or several on one port.

Owns the server's settings and its address. It refuses to listen beyond this machine until keys exist.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import uvicorn
from uvicorn.supervisors import Multiprocess

from bursar.config.settings import Settings
from bursar.core.address import is_loopback
from bursar.errors import UsageError
from bursar.gateway.app import App
from bursar.gateway.protocol import LimitedProtocol

__all__ = ["listen", "make_config", "serve"]

BACKLOG = 4096
FILES_OWN = 64
"""Files that are no connection: the ledger, logs, libraries."""


def listen(settings: Settings) -> socket.socket:
    """Bind the address. Raises UsageError when it is taken, or open to a network without an admin secret."""
    host, port = settings.server.host, settings.server.port
    if not is_loopback(host) and not settings.admin_secret:
        raise UsageError(
            f"bursar does not listen on {host} without an admin secret: set BURSAR_ADMIN_SECRET to at least 32 random "
            "characters (`openssl rand -hex 32`), and give each client a key (`bursar key create`)"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise UsageError(f"{host}:{port} cannot be used: {error.strerror}") from error
    listening.setblocking(False)
    return listening


def serve(settings: Settings, listening: socket.socket) -> int:
    """Serve until told to stop; returns the exit code."""
    config = make_config(settings, is_alone=True)
    if settings.server.workers > 1:
        Multiprocess(config, sockets=[listening]).run()
        return 0
    server = uvicorn.Server(config)
    with _stopped_by_signals(), contextlib.suppress(SystemExit):  # It exits by itself, with a code of its own.
        server.run(sockets=[listening])
    return 0 if server.started else 1


def make_config(settings: Settings, *, is_alone: bool = False) -> uvicorn.Config:
    """Make the server's settings, for a process of its own or not. Raises the limit of open files as far as it goes."""
    connections_max = min(settings.limits.connections_max, max(1, (_files_max() - FILES_OWN) // 2))
    settings = replace(settings, limits=replace(settings.limits, connections_max=connections_max))
    return uvicorn.Config(
        App(settings, is_alone=is_alone),
        http=LimitedProtocol,
        ws="none",
        loop="auto",
        lifespan="on",
        backlog=BACKLOG,
        workers=settings.server.workers,
        timeout_graceful_shutdown=int(settings.server.grace_s),
        timeout_keep_alive=75,
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )


def _files_max() -> int:
    """Say how many files may be open: each connection is one, and a billed call's has another to the provider."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft if soft != resource.RLIM_INFINITY else 2**20


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGINT end the serving and nothing else: the server raises them again when it has stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
