"""The one loader: file < environment < flag.

Owns the precedence, which file is read, and the top-level keys. Nothing else in bursar reads the environment or makes
settings from text; `load` itself takes the environment as an argument.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from bursar.config import environment
from bursar.config.budgets import read_budgets, read_flag_budgets
from bursar.config.guards import read_guards
from bursar.config.prices import read_models, read_prices
from bursar.config.problems import Place, Problems, near, show
from bursar.config.providers import key_variables, read_providers
from bursar.config.read import at, place_of, scalar
from bursar.config.sections import SECTIONS, read_limits, read_server, read_store
from bursar.config.settings import Limits, ServerSettings, Settings, StoreKind, StoreSettings
from bursar.config.telemetry import read_telemetry
from bursar.config.tree import Node, Scalar, Table, parse, read_text
from bursar.config.values import link, path
from bursar.core.budget import Budget
from bursar.core.guards import Guards
from bursar.errors import ConfigError

__all__ = ["FILE_NAME", "KEYS", "Flags", "check", "exposed_keys", "find_file", "from_environment", "load"]

FILE_NAME = "bursar.yaml"
KEYS = ("server", "store", "providers", "prices", "models", "budgets", "guards", "limits", "telemetry", "link")
"""The keys of a configuration file."""

Flags: TypeAlias = Mapping[str, str | Sequence[str]]
"""What a command's flags say: `budget` (one or several short forms), `guards`, `link`, or a key: `server.port`."""

SECRET_LENGTH_MIN = 32
ELSEWHERE = "set elsewhere"
"""What stands for a variable that another process has."""
NO_FLAGS: Flags = MappingProxyType({})
OTHER_FLAGS = ("budget", "guards", "link")
COMMAND_LINE = "command line"
_Layer: TypeAlias = Mapping[str, Node]
_FAILPOINT = re.compile(r"[a-z_]+(?::[1-9][0-9]{0,8})?")


def from_environment(file: Path | None = None, flags: Flags = NO_FLAGS, *, is_calling: bool = True) -> Settings:
    """Load the configuration of this process: `file`, else BURSAR_CONFIG, else bursar.yaml in this directory."""
    return load(file or find_file(os.environ, Path()), os.environ, flags, is_calling=is_calling)


def exposed_keys() -> tuple[str, ...]:
    """Name the variables of this process that hold a provider's key."""
    return environment.exposed_keys(os.environ)


def find_file(environ: Mapping[str, str], directory: Path) -> Path | None:
    """Find the file to read: what BURSAR_CONFIG names, else `bursar.yaml` in the directory, else None.

    Raises ConfigError for a `bursar.yml` alone: to pass it over would be to run without its budgets.
    """
    named = _named_file(environ)
    if named is not None:
        return named
    file, other = directory / FILE_NAME, directory / "bursar.yml"
    if file.exists():
        return file
    if other.exists():
        raise ConfigError(f"rename it to {FILE_NAME}, the only name that is looked for", file=str(other))
    return None


def load(
    file: Path | None, environ: Mapping[str, str], flags: Flags = NO_FLAGS, *, is_calling: bool = True
) -> Settings:
    """Make the settings: defaults, then the file, then the environment, then the flags.

    Without `file` it is the one that BURSAR_CONFIG names, or none: the working directory is not searched (`find_file`
    does). What calls no provider (`is_calling` False) needs no provider's key: a variable that is not set here counts
    as set elsewhere. Raises ConfigError that names each wrong line, variable and flag, one line each.
    """
    file = file or _named_file(environ)
    tree = parse(read_text(file), str(file)) if file else Table(Place("", 0, ""), {})
    if not is_calling:
        missing = {name for name in _key_variables(tree) if not environ.get(name, "").strip()}
        environ = {**environ, **dict.fromkeys(missing, ELSEWHERE)}
    return _settings(tree, file, environ, flags)


def check(text: str) -> None:
    """Read a text as the configuration file of some other process: whatever variables it names count as set.

    Raises ConfigError, as `load` does. Nothing of this process's environment can be learnt from it.
    """
    tree = parse(text, FILE_NAME)
    _settings(tree, None, dict.fromkeys(_key_variables(tree), ELSEWHERE), NO_FLAGS)


def _key_variables(tree: Table) -> frozenset[str]:
    return key_variables(tree.entries.get("providers", Table(tree.place, {})))


def _settings(tree: Table, file: Path | None, environ: Mapping[str, str], flags: Flags) -> Settings:
    problems = Problems()
    for key, node in tree.entries.items():
        if key not in KEYS:
            problems.add(node.place, f"unknown key; {near(key, KEYS)}")
    nodes = {key: tree.entries.get(key, Table(tree.place.child(key), {})) for key in KEYS}
    environment.refuse_unknown(environ, key_variables(nodes["providers"]), problems)
    layers = (nodes, environment.overlays(environ), _flag_tables(flags, problems))
    server, store, limits = _sections(layers, problems)
    providers = read_providers(nodes["providers"], environ, problems)
    names = tuple(provider.name for provider in providers)
    guards = read_guards(_guards_node(nodes["guards"], environ, flags), problems)
    settings = Settings(
        server=server,
        store=store,
        providers=providers,
        budgets=_with(guards, _budgets(nodes["budgets"], flags, problems), nodes["budgets"].place, problems),
        guards=guards,
        prices=read_prices(nodes["prices"], names, problems),
        models=read_models(nodes["models"], names, problems),
        limits=limits,
        telemetry=read_telemetry(nodes["telemetry"], environ, problems),
        link=_link(tree, environ, flags, problems),
        file=file,
        failpoint=_failpoint(environ, problems),
        admin_secret=_secret(environ, environment.ADMIN_SECRET, problems),
        metrics_secret=_secret(environ, environment.METRICS_SECRET, problems),
        pepper=_secret(environ, environment.PEPPER, problems),
    )
    problems.raise_any()
    return settings


def _named_file(environ: Mapping[str, str]) -> Path | None:
    named = environ.get(environment.CONFIG, "").strip()
    try:
        return path(named) if named else None
    except ValueError as error:
        raise ConfigError(str(error), file="environment", key=environment.CONFIG) from error


def _sections(layers: Sequence[_Layer], problems: Problems) -> tuple[ServerSettings, StoreSettings, Limits]:
    server, store, limits = ServerSettings(), StoreSettings(), Limits()
    for layer in layers:
        server = read_server(layer["server"], server, problems)
        store = read_store(layer["store"], store, problems)
        limits = read_limits(layer["limits"], limits, problems)
    if store.kind is StoreKind.MEMORY and server.workers > 1:
        problems.add(_where(layers, "server", "workers"), "with store.kind memory each would spend it all: write 1")
    if limits.lapse_s < 2 * limits.heartbeat_s:
        least = f"write at least {2 * limits.heartbeat_s:g}, twice limits.heartbeat_s"
        problems.add(_where(layers, "limits", "lapse_s"), f"a living process would count as lapsed: {least}")
    return server, store, limits


def _where(layers: Sequence[_Layer], section: str, key: str) -> Place:
    """Find where a key was set last, else where it would be in the file."""
    tables = [layer[section] for layer in reversed(layers)]
    return place_of(next((table for table in tables if at(table, key)), tables[-1]), key)


def _flag_tables(flags: Flags, problems: Problems) -> _Layer:
    """Sort flags such as `server.port` into tables like those of the file."""
    found: dict[str, dict[str, Node]] = {section: {} for section in SECTIONS}
    known = {f"{section}.{key}": (section, key) for section, keys in SECTIONS.items() for key in keys}
    for name, said in flags.items():
        place = Place(COMMAND_LINE, 0, name)
        if name in known and isinstance(said, str):
            section, key = known[name]
            found[section][key] = Scalar(place, said.strip())
        elif name not in OTHER_FLAGS:
            problems.add(place, f"unknown flag; {near(name, (*known, *OTHER_FLAGS))}")
    return {section: Table(Place(COMMAND_LINE, 0, ""), keys) for section, keys in found.items()}


def _budgets(node: Node, flags: Flags, problems: Problems) -> tuple[Budget, ...]:
    said = flags.get("budget", ())
    texts = (said,) if isinstance(said, str) else tuple(said)
    return read_flag_budgets(texts, Place(COMMAND_LINE, 0, "--budget"), read_budgets(node, problems), problems)


def _guards_node(node: Node, environ: Mapping[str, str], flags: Flags) -> Node:
    """Give what says which guards are on: the flag, else the variable, else the file."""
    said, written = flags.get("guards", ""), environ.get(environment.GUARDS, "").strip()
    if isinstance(said, str) and said:
        return Scalar(Place(COMMAND_LINE, 0, "--guards"), said)
    return Scalar(Place("environment", 0, environment.GUARDS), written) if written else node


def _with(guards: Guards, budgets: tuple[Budget, ...], place: Place, problems: Problems) -> tuple[Budget, ...]:
    """Add the budgets that guards are; a name that one of them has is theirs."""
    names = {budget.name for budget in guards.budgets}
    for budget in budgets:
        if budget.name in names:
            problems.add(place, f"a guard has the name {show(budget.name)} already: set another")
    return budgets + guards.budgets


def _link(tree: Table, environ: Mapping[str, str], flags: Flags, problems: Problems) -> str:
    found = ""
    said = flags.get("link", "")
    for node in (
        tree.entries.get("link"),
        Scalar(Place("environment", 0, environment.LINK), environ.get(environment.LINK, "").strip()),
        Scalar(Place(COMMAND_LINE, 0, "--link"), said if isinstance(said, str) else ""),
    ):
        is_given = node is not None and (not isinstance(node, Scalar) or bool(node.text))
        if node is not None and is_given:
            found = scalar(link)(node, problems) or found
    return found


def _failpoint(environ: Mapping[str, str], problems: Problems) -> str:
    found = environ.get(environment.FAILPOINT, "").strip()
    if found and _FAILPOINT.fullmatch(found) is None:
        place = Place("environment", 0, environment.FAILPOINT)
        problems.add(place, f"{show(found)} is no failpoint: write for example after_hold or after_hold:3")
    return found


def _secret(environ: Mapping[str, str], name: str, problems: Problems) -> str:
    """Read a secret. It is never shown, not even where it is wrong."""
    found = environ.get(name, "").strip()
    if found and len(found) < SECRET_LENGTH_MIN:
        problems.add(
            Place("environment", 0, name), f"is too short: write at least {SECRET_LENGTH_MIN} random characters"
        )
    return found
