"""The section `providers`: what is written, laid over what is built in.

Owns the keys of a provider, where its key comes from, and the order of providers. A provider's key is read here from
the environment that was handed in, and never appears in an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from types import MappingProxyType
from urllib.parse import urlsplit

from bursar.config.extras import header_variables, read_headers, read_query, with_variables
from bursar.config.problems import Place, Problems, guess, near, show
from bursar.config.read import Fields, Read, at, entries, fields, many, place_of, scalar, tried
from bursar.config.settings import BUILT_IN_PROVIDERS
from bursar.config.tree import Items, Node, Scalar, Table
from bursar.config.values import base_url, member, one_of, seconds, text, truth, whole
from bursar.core.provider import Auth, Provider

__all__ = ["DEADLINE_KEYS", "PROVIDER_KEYS", "key_variables", "model_glob", "read_providers"]

PROVIDERS_MAX = 200
GLOB_LENGTH_MAX = 256
KEY_LENGTH_MAX = 8_192
CAP_PARAMETERS = ("max_completion_tokens", "max_tokens")
WIRES = tuple(dict.fromkeys(wire for provider in BUILT_IN_PROVIDERS for wire in provider.wires))
DEFAULT_WIRES = BUILT_IN_PROVIDERS[0].wires
"""What a server at one's own address is taken to speak, unless `wires` says otherwise: all of OpenAI's."""
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}\.?", re.IGNORECASE)
_WAIT = scalar(seconds(0.001, 86_400))
_BUILT_IN: Mapping[str, Provider] = MappingProxyType({provider.name: provider for provider in BUILT_IN_PROVIDERS})


def _variable(written: str) -> str:
    """Read a variable's name. What is no name is not repeated: people paste the key itself."""
    if re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", written) is None:
        raise ValueError(
            "the name of an environment variable is needed, in capitals, such as OPENAI_API_KEY; never the key itself"
        )
    return written


def model_glob(written: str) -> str:
    """Read a model's name or glob (`*` stands for anything)."""
    if not written or " " in written:
        raise ValueError(f"{show(written)} is not a model: names hold no spaces; '*' stands for anything")
    return text(GLOB_LENGTH_MAX)(written)


def _base_url(written: str) -> str:
    """Read where a provider is; a host is a name or an address, not a number that some readers take for one."""
    found = base_url(written)
    name = urlsplit(found).hostname or ""
    if _NUMERIC.fullmatch(name):
        try:
            ip_address(name)
        except ValueError:
            raise ValueError("this host is a number: write the address with four parts, such as 127.0.0.1") from None
    return found


def _read_deadlines(node: Node, problems: Problems) -> Fields:
    return fields(node, DEADLINE_KEYS, problems)


DEADLINE_KEYS: Mapping[str, Read] = {"connect_s": _WAIT, "first_byte_s": _WAIT, "idle_s": _WAIT, "total_s": _WAIT}
PROVIDER_KEYS: Mapping[str, Read] = {
    "base_url": scalar(_base_url),
    "wires": many(one_of(WIRES)),
    "models": many(model_glob),
    "api_key_env": scalar(_variable),
    "auth": scalar(member(Auth)),
    "headers": read_headers,
    "query": read_query,
    "free": scalar(truth),
    "local": scalar(truth),
    "allow_private": scalar(truth),
    "price_as": scalar(text(64)),
    "cap_parameter": scalar(one_of(CAP_PARAMETERS)),
    "stream_options": scalar(truth),
    "top_speed": scalar(whole(1, 1_000_000)),
    "attempts": scalar(whole(1, 10)),
    "fallback": many(model_glob),
    "deadlines": _read_deadlines,
}
_SAME_WORDS = (
    "base_url",
    "wires",
    "models",
    "auth",
    "query",
    "price_as",
    "cap_parameter",
    "top_speed",
    "attempts",
    "fallback",
)
FALLBACKS_MAX = 10


def read_providers(node: Node, environ: Mapping[str, str], problems: Problems) -> tuple[Provider, ...]:
    """Read all providers: those that claim models in the order of the file, then the built-in ones, then the others.

    So claims are compared in the order in which they were written, and a model that nobody claims goes where it goes
    without a configuration, never to a provider that was added for something else.
    """
    written = entries(node, problems)
    if len(written) > PROVIDERS_MAX:
        problems.add(node.place, f"more than {PROVIDERS_MAX} providers")
        return BUILT_IN_PROVIDERS
    found = dict(_BUILT_IN)
    wrong: set[str] = set()
    for name, value in written.items():
        if tried(value.place, problems, _name, name) is None:
            continue
        provider = _read_provider(name, value, environ, problems)
        # A wrong one stays known by its name, so that a price for it is not a second problem.
        found[name] = provider or Provider(name, "http://127.0.0.1", DEFAULT_WIRES)
        if provider is None:
            wrong.add(name)
    for name, value in written.items():
        if name not in wrong and name in found:
            _check_fallbacks(value, found[name], found, wrong, problems)
    claiming = tuple(found[name] for name in written if name in found and found[name].models)
    return (*claiming, *(provider for provider in found.values() if not provider.models))


def key_variables(node: Node) -> frozenset[str]:
    """List the variables that providers name for their keys, so that these may begin with BURSAR_."""
    tables = node.entries.values() if isinstance(node, Table) else ()
    named: set[str] = set()
    for table in tables:
        found, headers = at(table, "api_key_env"), at(table, "headers")
        if isinstance(found, Scalar):
            named.add(found.text)
        if headers is not None:
            named.update(header_variables(headers))
    return frozenset(named)


def _name(written: str) -> str:
    if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", written) is None:
        raise ValueError("a provider's name holds a-z, 0-9 and . _ - only, 64 at most")
    return written


def _read_provider(name: str, node: Node, environ: Mapping[str, str], problems: Problems) -> Provider | None:
    before = len(problems)
    found = fields(node, PROVIDER_KEYS, problems)
    base = _BUILT_IN.get(name)
    if base is None and "base_url" not in found and len(problems) == before:
        meant = guess(name, _BUILT_IN)
        hint = f"; did you mean '{meant}'?" if meant else ""
        problems.add(node.place, f"base_url is missing, such as http://127.0.0.1:8000/v1{hint}")
    _check_together(node, base, found, problems)
    key = _key(node, found, environ, problems)
    headers, secrets = with_variables(at(node, "headers") or node, found.get("headers", ()), environ, problems)
    if len(problems) > before:
        return None
    if base is None:
        base = Provider(name, found["base_url"], DEFAULT_WIRES)
    elif found.get("base_url", base.base_url) != base.base_url:
        # A top speed is a fact about the server that was there; another one may be faster.
        base = replace(base, top_speed=None)
    same = {word: found[word] for word in _SAME_WORDS if word in found}
    is_free = bool(found.get("free", found.get("local", base.is_free)))
    deadlines = replace(base.deadlines, **found.get("deadlines", {}))
    return replace(
        base,
        **same,
        is_free=is_free,
        takes_stream_options=bool(found.get("stream_options", base.takes_stream_options)),
        allows_private=bool(found.get("allow_private", is_free)),
        deadlines=deadlines,
        api_key=key,
        headers=headers,
        secrets=secrets,
    )


def _check_together(node: Node, base: Provider | None, found: Fields, problems: Problems) -> None:
    url = found.get("base_url", "")
    is_said = "free" in found or "local" in found
    if base and base.is_free and url.startswith("https://") and not is_said:
        message = f"only a local {base.name} is known to be free: write free: true or free: false beside it"
        problems.add(place_of(node, "base_url"), message)
    if "free" in found and "local" in found:
        problems.add(place_of(node, "local"), "means the same as free: keep one of them")
    if found.get("price_as") and (found.get("free") or found.get("local")):
        problems.add(place_of(node, "price_as"), "a free provider has no list prices: keep one of free and price_as")
    if found.get("auth") is Auth.NONE and "api_key_env" in found:
        problems.add(place_of(node, "auth"), "none means that no key is sent: keep one of auth: none and api_key_env")
    wires = found.get("wires", base.wires if base else DEFAULT_WIRES)
    if wires == ("anthropic.messages",) and url.endswith("/v1"):
        problems.add(place_of(node, "base_url"), "leave out /v1 at the end: this API's path brings its own")


def _check_fallbacks(
    node: Node, provider: Provider, known: Mapping[str, Provider], wrong: set[str], problems: Problems
) -> None:
    """Refuse a fall-back that could never answer, or that would be shown somebody else's key."""
    written = at(node, "fallback")
    if len(provider.fallback) > FALLBACKS_MAX:
        problems.add(place_of(node, "fallback"), f"more than {FALLBACKS_MAX} are not tried")
    for index, said in enumerate(provider.fallback):
        place = written.nodes[index].place if isinstance(written, Items) else place_of(node, "fallback")
        if said.partition("/")[0] not in wrong:
            _check_fallback(place, said, provider, known, problems)


def _check_fallback(
    place: Place, written: str, provider: Provider, known: Mapping[str, Provider], problems: Problems
) -> None:
    name, _, model = written.partition("/")
    other = known.get(name)
    if other is None:
        problems.add(place, f"there is no provider {show(name)}; {near(name, known)}")
    elif name == provider.name:
        if not model:
            problems.add(place, "is this provider itself: attempts says how often it is tried; or name another model")
    elif not set(other.wires) & set(provider.wires):
        problems.add(place, f"{name} answers none of the APIs of {provider.name}: {', '.join(provider.wires)}")
    elif not (other.api_key or other.is_free or other.auth is Auth.NONE):
        message = "has no key of its own, and the client's is never shown to another provider: give it api_key_env"
        problems.add(place, f"{name} {message}, or auth: none")


def _key(node: Node, found: Fields, environ: Mapping[str, str], problems: Problems) -> str:
    name = found.get("api_key_env")
    if name is None:
        return ""
    key = environ.get(name, "").strip()
    place = place_of(node, "api_key_env")
    if not key:
        problems.add(place, f"the environment variable {name} is not set; set it, or remove this line to forward keys")
    elif len(key) > KEY_LENGTH_MAX or not (key.isascii() and key.isprintable()):
        problems.add(place, f"the environment variable {name} holds something that is no key")
    return key
