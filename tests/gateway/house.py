"""A gateway in this process: the shipped application and protocol, in a thread, before a truthful provider.

Everything goes over real sockets on loopback; the ledger is a file that a test may open beside the gateway.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import uvicorn

from bursar.config.settings import (
    BUILT_IN_PROVIDERS,
    KeyPolicy,
    Limits,
    ModelRow,
    PriceRow,
    ServerSettings,
    Settings,
    StoreSettings,
)
from bursar.core.admission import Balance
from bursar.core.budget import Budget, Limit, Unit
from bursar.core.guards import Guards
from bursar.core.hold import State
from bursar.core.ledger import HoldRow
from bursar.core.provider import Deadlines, Provider
from bursar.core.window import Window, WindowKind
from bursar.gateway.server import listen, make_config
from bursar.stores.sqlite import SqliteLedger
from bursar.testing import Script, ScriptedProvider
from bursar.testing.gateway import GatewayProcess

DOLLAR = 1_000_000_000
RATES = (("input", "2.5"), ("output", "10"), ("cached_input", "1.25"))
"""What `Rates()` of a script charges, so that the ledger and the invoice can be equal to the last nano-dollar."""
OPENAI_WIRES = BUILT_IN_PROVIDERS[0].wires
PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
    "completions": "/v1/completions",
    "gemini": "/v1beta/models/m:generateContent",
}
GEMINI_STREAM = "/v1beta/models/m:streamGenerateContent?alt=sse"
HELLO = [{"role": "user", "content": "hello"}]
STOP_S = 30.0


def usd(nano: int = DOLLAR, name: str = "one", **more: Any) -> Budget:
    """A budget in USD over everything, for ever."""
    return Budget(name, (Limit(Unit.USD, nano),), Window(WindowKind.TOTAL), **more)


def settings_for(
    provider_url: str, ledger: Path, budgets: Sequence[Budget], *, limits: Limits | None = None, **more: Any
) -> Settings:
    """Settings of a gateway before one provider that speaks both APIs; `more` goes to both of its entries."""
    grace_s = more.pop("grace_s", 5.0)
    keys, admin_secret = more.pop("keys", KeyPolicy.AUTO), more.pop("admin_secret", "")
    link, host = more.pop("link", ""), more.pop("host", "127.0.0.1")
    store = more.pop("store", StoreSettings(path=ledger))
    prices = more.pop("prices", (PriceRow("*", "*", False, RATES),))
    metrics_secret = more.pop("metrics_secret", "")
    guards: Guards = more.pop("guards", Guards())
    models: tuple[ModelRow, ...] = more.pop("models", ())
    more.setdefault("deadlines", Deadlines(connect_s=5, first_byte_s=20, idle_s=20, total_s=60))
    return Settings(
        server=ServerSettings(host, port=0, grace_s=grace_s, keys=keys),
        store=store,
        providers=(
            Provider("openai", f"{provider_url}/v1", OPENAI_WIRES, **more),
            Provider("anthropic", provider_url, ("anthropic.messages",), **more),
            Provider("gemini", provider_url, ("gemini.generate",), **more),
        ),
        prices=prices,
        models=models,
        budgets=(*budgets, *guards.budgets),
        guards=guards,
        limits=limits or Limits(),
        admin_secret=admin_secret,
        metrics_secret=metrics_secret,
        link=link,
    )


def body_of(wire: str, **fields: Any) -> bytes:
    """A small body of this API; a field that is None is left out."""
    bodies: dict[str, dict[str, Any]] = {
        "anthropic": {"model": "m", "messages": HELLO, "max_tokens": 1000},
        "responses": {"model": "m", "input": "hello"},
        "embeddings": {"model": "m", "input": "hello"},
        "completions": {"model": "m", "prompt": "hello"},
        "gemini": {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
    }
    body = {**bodies.get(wire, {"model": "m", "messages": HELLO}), **fields}
    return json.dumps({name: value for name, value in body.items() if value is not None}).encode()


@dataclass(frozen=True)
class Got:
    """An answer as received; `is_whole` tells whether it came to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The text of an error, in either API's shape."""
        text = self.json["error"]["message"]
        assert isinstance(text, str)
        return text

    @property
    def events(self) -> list[Any]:
        """The data of a stream's events, parsed."""
        lines = self.body.decode().split("\n")
        return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


class GatewayThread:
    """Serve settings in a thread while the context lasts."""

    def __init__(self, settings: Settings) -> None:
        self._socket = listen(settings)
        self._socket.listen(4096)
        host, port = self._socket.getsockname()[:2]
        self.url = f"http://{host}:{port}"
        config = make_config(settings)
        self.app: Any = config.app
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)

    def _run(self) -> None:
        self.server.run(sockets=[self._socket])

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self.server.started or not self._thread.is_alive())
        assert self.server.started, "the gateway did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(STOP_S)
        assert not self._thread.is_alive(), "the gateway did not stop"


@dataclass
class House:
    """What a test sees: provider, gateway, ledger, and plain ways to send."""

    provider: ScriptedProvider
    gateway: GatewayThread | GatewayProcess
    ledger_path: Path
    open_sockets: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.gateway.url

    @property
    def address(self) -> tuple[str, int]:
        split = urlsplit(self.url)
        return str(split.hostname), int(split.port or 0)

    @property
    def process(self) -> GatewayProcess:
        """The gateway, when it is a process of its own."""
        assert isinstance(self.gateway, GatewayProcess)
        return self.gateway

    def memory_bytes(self) -> int:
        """The most that the gateway's process has had in memory so far (VmHWM)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def files(self) -> int:
        """How many files and connections the gateway's process has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def send(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Got:
        """Send one request with the standard library, and read its answer to its end or to where it breaks."""
        return send(self.url, method, path, body, headers)

    def ask(self, wire: str = "openai", headers: Mapping[str, str] | None = None, **fields: Any) -> Got:
        """Send one request to generate; a Gemini stream is asked for in its path."""
        path = PATHS[wire]
        if wire == "gemini" and fields.pop("stream", None):
            path = GEMINI_STREAM
        return self.send("POST", path, body_of(wire, **fields), headers)

    def raw(self, data: bytes = b"") -> socket.socket:
        """Open a plain connection to the gateway and send bytes."""
        sock = socket.create_connection(self.address, timeout=30)
        self.open_sockets.append(sock)
        if data:
            sock.sendall(data)
        return sock

    def tell(self, data: bytes) -> bytes:
        """Send bytes on a new connection, and read until the gateway closes it."""
        sock = self.raw()
        with contextlib.suppress(ConnectionError):
            sock.sendall(data)
        return read_to_close(sock)

    @contextlib.contextmanager
    def ledger(self) -> Iterator[SqliteLedger]:
        """Open the ledger beside the gateway."""
        ledger = SqliteLedger(self.ledger_path)
        try:
            yield ledger
        finally:
            ledger.close_store()

    def balance(self, unit: Unit = Unit.USD, tenant: str = "default") -> Balance:
        """Read the one balance in this unit; nothing was counted yet: zero."""
        with self.ledger() as ledger:
            rows = [row for row in ledger.balances(tenant) if row.unit is unit]
            assert len(rows) <= 1
            return rows[0].balance if rows else Balance()

    def holds(self) -> Sequence[HoldRow]:
        """All calls, oldest first."""
        with self.ledger() as ledger:
            return list(reversed(ledger.holds("default", tuple(State), 10_000)))

    def invoice_nano(self) -> int:
        return int(self.provider.invoice(calls=0)["total_nano"])

    def assert_sound(self, tenant: str = "default") -> Balance:
        """Nothing held at rest, every balance the fold of its entries, all that was billed counted."""
        balance = self.balance(tenant=tenant)
        assert balance.held == 0
        with self.ledger() as ledger:
            assert list(ledger.verify()) == []
        assert self.invoice_nano() <= balance.settled + balance.presumed
        return balance

    def assert_free(self, tenant: str = "default") -> None:
        """Nothing is held by anybody, and every balance is the fold of its entries."""
        with self.ledger() as ledger:
            assert all(row.balance.held == 0 for row in ledger.balances(tenant))
            assert list(ledger.verify()) == []


@contextlib.contextmanager
def house(
    path: Path,
    budgets: Sequence[Budget],
    *,
    scripts: Mapping[str, Script] | None = None,
    is_process: bool = False,
    **more: Any,
) -> Iterator[House]:
    """Open a house, its gateway a thread of this process or a process of its own; `more` goes to `settings_for`."""
    with ScriptedProvider(scripts) as provider:
        settings = settings_for(provider.url, path / "bursar.db", budgets, **more)
        with GatewayProcess(settings) if is_process else GatewayThread(settings) as gateway:
            made = House(provider, gateway, settings.store.path)
            try:
                yield made
            finally:
                for sock in made.open_sockets:
                    sock.close()


def send(url: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Got:
    """Send one request with the standard library alone."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    try:
        connection.request(method, path, body or None, dict(headers or {}))
        with connection.getresponse() as response:
            names = {name.lower(): value for name, value in response.getheaders()}
            try:
                return Got(response.status, names, response.read())
            except http.client.IncompleteRead as broken:
                return Got(response.status, names, broken.partial, is_whole=False)
    finally:
        connection.close()


def read_to_close(sock: socket.socket) -> bytes:
    """Read until the other end closes; a reset is an end too."""
    pieces = []
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(65_536):
            pieces.append(piece)
    return b"".join(pieces)


def status_of(answer: bytes) -> int:
    """Read the status of a raw answer; 0 when there was none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait until something holds that nobody can tell us of, looking again and again. Raises TimeoutError."""
    ends = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError(f"it did not come true within {timeout_s} s")
        pause.wait(0.02)
