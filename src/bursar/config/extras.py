"""What an operator adds to every request to a provider: headers and query parameters.

Owns which may be added, and `${NAME}` in a header's value. A credential is not one of them (`api_key_env` and `auth`
are there for it), and no value of the environment appears in an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from bursar.config.problems import Problems, show
from bursar.config.read import entries, scalar
from bursar.config.tree import Node, Scalar, Table
from bursar.config.values import text
from bursar.core.headers import CREDENTIALS, is_settable

__all__ = ["Pairs", "header_variables", "read_headers", "read_query", "with_variables"]

Pairs = tuple[tuple[str, str], ...]

EXTRAS_MAX = 20
VALUE_LENGTH_MAX = 1_024
_HEADER = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
_SECRET_PARAMETERS = frozenset({"access_token", "api-key", "api_key", "apikey", "key", "secret", "token"})
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def read_headers(node: Node, problems: Problems) -> Pairs:
    """Read headers by name; the names come out in lower case."""
    return _read(node, problems, _header)


def read_query(node: Node, problems: Problems) -> Pairs:
    """Read query parameters by name."""
    return _read(node, problems, _parameter)


def _read(node: Node, problems: Problems, name_of: Callable[[str], str]) -> Pairs:
    found: dict[str, str] = {}
    value = scalar(text(VALUE_LENGTH_MAX))
    written = entries(node, problems)
    if len(written) > EXTRAS_MAX:
        problems.add(node.place, f"more than {EXTRAS_MAX} of them")
        return ()
    for raw, item in written.items():
        try:
            name = name_of(raw)
        except ValueError as error:
            problems.add(item.place, str(error))
            continue
        if name in found:
            problems.add(item.place, f"{show(name)} is here twice")
        said = value(item, problems)
        if said is not None and not said.isascii():
            problems.add(item.place, "holds letters beyond ASCII, which are not sure to arrive")
        found[name] = said or ""
    return tuple(found.items())


def _header(written: str) -> str:
    name = written.lower()
    if _HEADER.fullmatch(name) is None:
        raise ValueError(f"{show(written)} is not a header's name: it holds letters, digits, - and _ only")
    if name in CREDENTIALS:
        raise ValueError(f"{show(written)} says who pays: name the key under api_key_env, and its place under auth")
    if not is_settable(name):
        raise ValueError(f"{show(written)} cannot be set: it belongs to the connection, or to bursar")
    return name


def _parameter(written: str) -> str:
    if _PARAMETER.fullmatch(written) is None:
        raise ValueError(f"{show(written)} is not a parameter's name: it holds letters, digits and . _ - only")
    if written.lower() in _SECRET_PARAMETERS:
        raise ValueError(f"{show(written)} would put a key into URLs and so into logs: use api_key_env and auth")
    return written


def header_variables(node: Node) -> Iterator[str]:
    """Give every variable that the headers of a provider name."""
    if isinstance(node, Table):
        for item in node.entries.values():
            if isinstance(item, Scalar):
                yield from _VARIABLE.findall(item.text)


def with_variables(
    node: Node, pairs: Pairs, environ: Mapping[str, str], problems: Problems
) -> tuple[Pairs, tuple[str, ...]]:
    """Put the environment's values for `${NAME}`; returns the headers, and the values that must not be shown."""
    places = {raw.lower(): item.place for raw, item in (node.entries if isinstance(node, Table) else {}).items()}
    secrets: list[str] = []
    found: list[tuple[str, str]] = []
    for name, value in pairs:
        for variable in _VARIABLE.findall(value):
            said = environ.get(variable, "").strip()
            if not said or not (said.isascii() and said.isprintable()):
                advice = "set it to a text of one line, or leave this header out"
                problems.add(places[name], f"the environment variable {show(variable)} is not set; {advice}")
            secrets.append(said)
            value = value.replace(f"${{{variable}}}", said)  # noqa: PLW2901 - one variable after the other
        found.append((name, value))
    return tuple(found), tuple(filter(None, secrets))
