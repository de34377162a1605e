"""The variables BURSAR_*: which there are, and what they set.

Owns their names: `BURSAR_<SECTION>_<KEY>`, and a few of their own. One that is not known is refused, since a misspelt
setting would be a silent default.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType

from bursar.config.problems import Place, Problems, near
from bursar.config.sections import SECTIONS
from bursar.config.tree import Scalar, Table

__all__ = [
    "ADMIN_SECRET",
    "CONFIG",
    "FAILPOINT",
    "GUARDS",
    "HANDED",
    "KEY",
    "LINK",
    "METRICS_SECRET",
    "PEPPER",
    "PROVIDER_KEYS",
    "SCOPES",
    "VARIABLES",
    "exposed_keys",
    "overlays",
    "refuse_unknown",
]

PREFIX = "BURSAR_"
CONFIG = "BURSAR_CONFIG"
FAILPOINT = "BURSAR_FAILPOINT"
GUARDS = "BURSAR_GUARDS"
"""`default` or `off`, instead of the section of the file."""
HANDED = "BURSAR_HANDED"
"""What `bursar run` tells the programs of a run; never written by a person."""
KEY = "BURSAR_KEY"
"""The key with which a command asks a gateway, where it does not read the ledger itself."""
LINK = "BURSAR_LINK"
PEPPER = "BURSAR_PEPPER"
ADMIN_SECRET = "BURSAR_ADMIN_SECRET"  # noqa: S105 - the name of a variable
SCOPES = "BURSAR_SCOPES"
"""Budgets that a parent process hands down; written by the library, never by a person."""
METRICS_SECRET = "BURSAR_METRICS_SECRET"  # noqa: S105 - the name of a variable

VARIABLES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {f"{PREFIX}{section}_{key}".upper(): (section, key) for section, keys in SECTIONS.items() for key in keys}
)
"""The section and key that each variable sets."""

PROVIDER_KEYS = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "AZURE_OPENAI_API_KEY",
    "COHERE_API_KEY",
    "DEEPSEEK_API_KEY",
    "FIREWORKS_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "GROQ_API_KEY",
    "MISTRAL_API_KEY",
    "OPENAI_API_KEY",
    "OPENROUTER_API_KEY",
    "TOGETHER_API_KEY",
    "XAI_API_KEY",
)
"""Where programs look for a provider's key by themselves."""

_SERVICE = re.compile(r"BURSAR_(?:[A-Z0-9_]+_)?SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)")
_SERVICE_LINK = re.compile(r"BURSAR_(?:[A-Z0-9_]+_)?PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?")
_LINK_SUFFIXES = ("_TCP_PROTO", "_TCP_PORT", "_TCP_ADDR", "_UDP_PROTO", "_UDP_PORT", "_UDP_ADDR")


def overlays(environ: Mapping[str, str]) -> Mapping[str, Table]:
    """Give one table per section of what the environment sets. An empty variable sets nothing."""
    place = Place("environment", 0, "")
    found: dict[str, dict[str, Scalar]] = {section: {} for section in SECTIONS}
    for name, (section, key) in VARIABLES.items():
        text = environ.get(name, "").strip()
        if text and not _is_of_cluster(name, text):
            found[section][key] = Scalar(place.child(name), text)
    return {section: Table(place, keys) for section, keys in found.items()}


def exposed_keys(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Name the variables with a provider's key that whatever is started here sees; a key of bursar is none."""
    return tuple(name for name in PROVIDER_KEYS if environ.get(name) and not environ[name].startswith("bursar-"))


def refuse_unknown(environ: Mapping[str, str], allowed: Collection[str], problems: Problems) -> None:
    """Note each BURSAR_* variable that nothing reads; `allowed` are names that the configuration itself gives."""
    known = (*VARIABLES, CONFIG, FAILPOINT, GUARDS, HANDED, KEY, LINK, PEPPER, SCOPES, ADMIN_SECRET, METRICS_SECRET)
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in known or name in allowed or _is_of_cluster(name, environ[name]):
            continue
        problems.add(Place("environment", 0, name), f"unknown variable; {near(name, known)}")


def _is_of_cluster(name: str, text: str) -> bool:
    """Tell whether Kubernetes set this, as it does in every pod beside a service whose name begins with `bursar`."""
    if _SERVICE.fullmatch(name):
        return True
    if _SERVICE_LINK.fullmatch(name) is None:
        return False
    return name.endswith(_LINK_SUFFIXES) or text.startswith(("tcp://", "udp://", "sctp://"))
