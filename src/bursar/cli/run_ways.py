"""How the programs of a run find its gateway, and what else they are told: the environment that they get.

Owns the variables that programs read, and which provider is behind each: the one that the user had set, else the
configured one. It never takes a variable away from a program.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bursar.config.environment import CONFIG, HANDED, SCOPES
from bursar.config.settings import Settings
from bursar.core.provider import Provider
from bursar.upstream.whose import configured_at, stand_in, usual_provider
from bursar.wiring.handed import Handed, OpenScope, written_scopes

__all__ = ["START", "Ways", "program_command", "program_environment", "ways_of"]

START = Path(__file__).parents[1] / "client" / "start"
"""The folder that makes a Python program meter itself (`client/start/sitecustomize.py`)."""
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
DIRECT = ("no_proxy", "NO_PROXY")
HERE = "127.0.0.1"
CODEX = "bursar-run"
"""What Codex calls the run's gateway."""


@dataclass(frozen=True, slots=True)
class Api:
    """One model API: the variables in which programs look for its base URL, and what stands at its end."""

    name: str
    wire: str
    variables: tuple[str, ...]
    suffix: str = ""


APIS = (
    Api("openai", "openai.chat", ("OPENAI_BASE_URL", "OPENAI_API_BASE"), "/v1"),
    Api("anthropic", "anthropic.messages", ("ANTHROPIC_BASE_URL",)),
    Api("gemini", "gemini.generate", ("GOOGLE_GEMINI_BASE_URL",)),
)


@dataclass(frozen=True, slots=True)
class Ways:
    """Where each API of a run is."""

    variables: Mapping[str, str]
    homes: Mapping[str, str]
    """By base URL at the gateway: the provider's own."""
    names: Mapping[str, str]
    """By API: the provider's name."""
    providers: tuple[Provider, ...]
    """What the gateway knows; where a user had set an address of his own, the provider is there."""


def ways_of(settings: Settings, environ: Mapping[str, str], outer: Handed, url: str) -> Ways:
    """Say where everything is, for a gateway at `url`."""
    providers = {provider.name: provider for provider in settings.providers}
    variables, homes, names = {}, dict(outer.homes), {}
    for api in APIS:
        said = next((environ[name].strip() for name in api.variables if environ.get(name, "").strip()), "")
        provider = _provider(settings.providers, api, outer.home(said.rstrip("/")))
        providers[provider.name] = provider
        base = f"{url}/{api.name}{api.suffix}"
        variables.update(dict.fromkeys(api.variables, base))
        homes[base] = provider.base_url.rstrip("/")
        names[api.name] = provider.name
    return Ways(variables, homes, names, tuple(providers.values()))


def _provider(providers: tuple[Provider, ...], api: Api, said: str) -> Provider:
    if not said:
        return usual_provider(providers, api.wire)
    found = configured_at(providers, said.lower(), api.wire)
    # Whoever starts a program says by this variable where it shall go, his own network included.
    return found or replace(stand_in(providers, said, api.wire), allows_private=True)


def program_environment(
    environ: Mapping[str, str], settings: Settings, ways: Ways, scopes: tuple[OpenScope, ...], run: Handed
) -> dict[str, str]:
    """Make the environment of a run's program; its children inherit it."""
    path = [str(START), *(each for each in environ.get("PYTHONPATH", "").split(os.pathsep) if each != str(START))]
    told = {
        **environ,
        **ways.variables,
        SCOPES: written_scopes(scopes),
        HANDED: run.text,
        "BURSAR_STORE_PATH": str(settings.store.path.absolute()),
        "PYTHONPATH": os.pathsep.join(each for each in path if each),
    }
    if settings.file is not None:
        told[CONFIG] = str(settings.file.absolute())
    if any(environ.get(name) for name in PROXIES):
        for name in DIRECT:
            told[name] = ",".join(each for each in (environ.get(name, ""), HERE) if each)
    return told


def program_command(command: Sequence[str], environ: Mapping[str, str], ways: Ways) -> list[str]:
    """Give the command; Codex, which reads no variable for its address, is told by options of its own."""
    if Path(command[0]).name != "codex":
        return list(command)
    key = {"env_key": "OPENAI_API_KEY"} if environ.get("OPENAI_API_KEY") else {"requires_openai_auth": True}
    provider = {"name": "bursar run", "base_url": ways.variables["OPENAI_BASE_URL"], "wire_api": "responses", **key}
    table = ", ".join(f"{name} = {json.dumps(said)}" for name, said in provider.items())
    return [command[0], "-c", f"model_providers.{CODEX}={{{table}}}", "-c", f"model_provider={CODEX}", *command[1:]]
