"""Every setting, its default and its reason.

Owns the shape of a whole configuration. Library, gateway and command line use the same defaults, because they use
these. `config/load.py` reads them from a file, the environment and flags; nothing else makes them from text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from bursar.core.address import is_loopback
from bursar.core.budget import Budget
from bursar.core.guards import Guards
from bursar.core.provider import Provider

__all__ = [
    "BUILT_IN_PROVIDERS",
    "Durability",
    "KeyPolicy",
    "Limits",
    "MetricsSettings",
    "ModelRow",
    "OtlpSettings",
    "PriceRow",
    "ServerSettings",
    "Settings",
    "StoreKind",
    "StoreSettings",
    "TelemetrySettings",
]

_OPENAI = ("openai.chat", "openai.responses", "openai.embeddings", "openai.completions")
BUILT_IN_PROVIDERS = (
    Provider("openai", "https://api.openai.com/v1", _OPENAI, top_speed=300),
    Provider("anthropic", "https://api.anthropic.com", ("anthropic.messages",), top_speed=300),
    Provider("gemini", "https://generativelanguage.googleapis.com", ("gemini.generate",), price_as="google"),
    Provider("ollama", "http://127.0.0.1:11434/v1", _OPENAI, is_free=True, cap_parameter="max_tokens"),
    Provider("bedrock", "https://bedrock-runtime.us-east-1.amazonaws.com", ("bedrock.converse", "bedrock.invoke")),
)
"""What is known without configuration. A known top speed lets a stream begin with a usual answer's hold and be
extended while it runs; a base URL of one's own has none until `top_speed` says so. Bedrock is the library's alone, and
in whatever region: its requests are signed by whoever has the key."""


class StoreKind(StrEnum):
    SQLITE = "sqlite"
    MEMORY = "memory"


class Durability(StrEnum):
    PROCESS = "process"
    """A commit survives kill -9."""
    POWER = "power"
    """A commit survives a power cut; each batch is synced to the disk."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the ledger lives."""

    kind: StoreKind = StoreKind.SQLITE
    path: Path = Path("bursar.db")
    durability: Durability = Durability.PROCESS
    timeout_s: float = 5.0
    """How long a call waits for the file before the store counts as down."""


class KeyPolicy(StrEnum):
    """Who needs a key."""

    AUTO = "auto"
    """Everybody, once there is a key or the gateway listens beyond this machine."""
    REQUIRED = "required"
    """Everybody, always."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the gateway listens, and whether it asks for keys."""

    host: str = "127.0.0.1"
    port: int = 8484
    keys: KeyPolicy = KeyPolicy.AUTO
    workers: int = 1
    grace_s: float = 30.0
    """How long a stop waits for streams to finish before they are settled as they are."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A limit on everything that could grow or last."""

    hold_wait_s: float = 10.0
    """How long a call waits for money that is only in flight."""
    waiting_max: int = 10_000
    """Calls waiting at once in one process; one more is refused as contended."""
    calls_per_tenant_max: int = 5_000
    """Calls of one tenant in flight at once in one process: half of all connections, so that others find one."""
    body_bytes_max: int = 32 * 2**20
    headers_bytes_max: int = 64 * 2**10
    headers_max: int = 200
    headers_s: float = 20.0
    """How long a client may take to send a request's headers."""
    body_s: float = 60.0
    """How long a client may take to send a request's body."""
    answer_bytes_max: int = 64 * 2**20
    """A whole answer; a longer one is cut off and presumed."""
    read_ahead_bytes_max: int = 2**20
    """How far a stream is read ahead of a slow client."""
    stall_s: float = 300.0
    """How long a client may not read at all before it counts as gone."""
    connections_max: int = 10_000
    heartbeat_s: float = 5.0
    lapse_s: float = 30.0
    """How long a process may be silent before its open holds are presumed."""


@dataclass(frozen=True, slots=True)
class PriceRow:
    """An operator's price of a model (glob), for one provider or all (`*`).

    Rates are decimal texts, USD per million tokens (`web_search` per thousand, `request` per request); names are
    `input`, `output`, `cached_input`, `cache_write`, `cache_write_1h`, `reasoning`, `input_audio`, `output_audio`.
    """

    model: str
    provider: str = "*"
    is_free: bool = False
    rates: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ModelRow:
    """An operator's facts about a model (glob): its maximum output in tokens, its top speed in tokens a second."""

    model: str
    provider: str = "*"
    max_output_tokens: int | None = None
    top_speed: int | None = None


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """What `GET /metrics` tells, and how much it may grow."""

    enabled: bool = True
    labels: tuple[str, ...] = ("provider", "model", "agent")
    """Users are no label unless listed: every one is a time series for ever, and a name."""
    values_max: int = 100
    """Different values of one label; further ones are counted as `(other)`."""
    series_max: int = 1_000
    """Different combinations of all values; a scrape writes some thirty lines for each."""


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """Where each call's event goes, and which of its labels go with it."""

    enabled: bool = True
    endpoint: str = ""
    """The whole URL of the log records (`…/v1/logs`); empty for no events."""
    labels: tuple[str, ...] = ("agent", "task", "task_type", "run", "step", "session", "team")
    queue_max: int = 10_000
    """Events that wait for a slow receiver; one more is dropped and counted."""


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """The figures that leave the gateway."""

    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    otlp: OtlpSettings = field(default_factory=OtlpSettings)


@dataclass(frozen=True, slots=True)
class Settings:
    """One whole configuration."""

    server: ServerSettings = field(default_factory=ServerSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    providers: tuple[Provider, ...] = BUILT_IN_PROVIDERS
    budgets: tuple[Budget, ...] = ()
    """Those of guards included."""
    guards: Guards = field(default_factory=Guards)
    prices: tuple[PriceRow, ...] = ()
    models: tuple[ModelRow, ...] = ()
    limits: Limits = field(default_factory=Limits)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    link: str = ""
    """Where people ask for more, for budgets without a link of their own."""
    file: Path | None = None
    failpoint: str = ""
    """For crash tests only: where this process kills itself."""
    admin_secret: str = field(default="", repr=False)
    """What the operator sends to administer every tenant. Never shown."""
    metrics_secret: str = field(default="", repr=False)
    """What a scraper sends to read the metrics of every tenant, and nothing else. Never shown."""
    pepper: str = field(default="", repr=False)
    """What keys are digested with, when it does not lie in a file beside the ledger. Never shown."""

    @property
    def asks_always_for_keys(self) -> bool:
        """Tell whether every client needs a key of this gateway, also before there is one."""
        return self.server.keys is KeyPolicy.REQUIRED or not is_loopback(self.server.host)
