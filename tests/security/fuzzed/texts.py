"""Configuration texts and prices that are nearly right: settings or a ConfigError, and never a rate that is none."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from fractions import Fraction
from random import Random

import yaml
from tests.security.fuzzed.mutate import mutated

from bursar.config.example import starter
from bursar.config.load import check
from bursar.config.prices import read_price
from bursar.config.problems import Place, Problems
from bursar.config.settings import Settings
from bursar.config.tree import Node, Scalar, Table
from bursar.core.rates import Rates
from bursar.errors import ConfigError
from bursar.wiring.prices import open_prices

__all__ = ["check_config", "check_price"]

AT = datetime(2026, 11, 1, tzinfo=UTC)
FULL = {
    "server": {"host": "127.0.0.1", "port": 8484, "workers": 2, "grace_s": 5, "keys": "required"},
    "store": {"kind": "sqlite", "path": "x.db", "durability": "power", "timeout_s": 3},
    "providers": {
        "openai": {"deadlines": {"idle_s": 5}, "top_speed": 300},
        "vllm": {
            "base_url": "http://127.0.0.1:8000/v1",
            "models": ["qwen*", "x"],
            "free": True,
            "fallback": ["openai"],
            "headers": {"x-a": "b"},
            "query": {"api-version": "1"},
            "wires": ["openai.chat"],
            "attempts": 2,
        },
    },
    "prices": {"my-*": {"input": "0.15", "output": 0.6, "request": "$0.01"}, "openai/x": {"free": True}},
    "models": {"my-*": {"max_output_tokens": 5, "top_speed": 120}},
    "budgets": [
        "$5 / day",
        {
            "name": "u",
            "limit": ["50k tokens / day", "$1 / month"],
            "per": "user",
            "strict": True,
            "match": {"agent": ["a*", "b"]},
            "timezone": "Europe/Berlin",
            "week_start": "sunday",
            "warn_at": [50, 80],
            "link": "https://x.example/y",
            "values_max": 5,
            "on_store_down": "allow",
        },
    ],
    "limits": {"hold_wait_s": 1, "body_bytes_max": "1 MiB", "heartbeat_s": 1, "lapse_s": 5, "calls_per_tenant_max": 9},
    "telemetry": {"metrics": {"labels": ["agent"], "values_max": 3}, "otlp": {"endpoint": "http://127.0.0.1:1"}},
    "link": "https://x.example",
}
_PIECES = (
    "\n",
    "  ",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "'",
    '"',
    "#",
    "&a ",
    "*a",
    "!x ",
    "|",
    ">",
    "?",
    "<<: ",
    "\t",
    "\x00",
    "\ufeff",
    "\u2028",
    "é",
    "on",
    "0x1F",
    "1_000",
    "1e3",
    ".inf",
    "2026-11-01",
    "~",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "\ud800",
)
_RATES = (
    "input",
    "output",
    "cached_input",
    "cache_write",
    "cache_write_1h",
    "reasoning",
    "input_audio",
    "output_audio",
    "web_search",
    "request",
    "free",
    "x",
)
_NUMBERS = (
    "0",
    "1",
    "0.15",
    "$2.5",
    "-1",
    "1e3",
    "NaN",
    "inf",
    "0.0000001",
    "0.000001",
    "999999999",
    "1000000000.000001",
    "",
    " 5 ",
    "5 ",
    "1,000",
    "1_000",
    "٣",
    "0x1",
    "true",
    "½",
    "1.",
    ".5",
    "00.1",
    "5" * 400,
    "0." + "0" * 400 + "1",
)


def _text(random: Random) -> str:
    if random.random() < 0.3:
        text = starter()
    else:
        value = mutated(random, FULL, random.randrange(5))
        try:
            text = yaml.safe_dump(value, allow_unicode=True, sort_keys=False)
        except (yaml.YAMLError, RecursionError):
            text = "{"
    for _ in range(random.randrange(4)):
        at = random.randrange(len(text) + 1)
        text = text[:at] + random.choice(_PIECES) + text[at + random.randrange(4) :]
    return text


def check_config(random: Random) -> str:
    """Read one text, as the file of another process. Raises whatever is no ConfigError."""
    try:
        check(_text(random))
    except ConfigError:
        return "config: refused"
    return "config: taken"


def _number(random: Random) -> str:
    if random.random() < 0.6:
        return random.choice(_NUMBERS)
    whole = str(random.randrange(10 ** random.randrange(1, 14)))
    return f"{whole}.{random.randrange(10 ** random.randrange(1, 9))}" if random.random() < 0.7 else whole


def check_price(random: Random) -> str:
    """Read one price. What is taken is exact: the rate in pico-USD is what was written, to the last digit."""
    place, problems = Place("prices.yaml", 1, ""), Problems()
    wanted = random.sample(_RATES, random.randrange(1, 5)) if random.random() < 0.5 else []
    entries: dict[str, Node] = {
        name: Scalar(place.child(name), _number(random)) for name in ("input", "output", *wanted)
    }
    row = read_price("p", "m", Table(place, entries), problems)
    if len(problems):
        return "price: refused"
    card = open_prices(Settings(prices=(row,))).card("p", "m", tier="", at=AT)
    assert card is not None
    (tier,) = card.tiers
    assert all(rate >= 0 for rate in vars_of(tier.rates))
    for name, field in (("input", "input_tokens"), ("output", "output_tokens"), ("cache_write", "cache_write_tokens")):
        stated = dict(row.rates).get(name)
        assert stated is None or getattr(tier.rates, field) == Fraction(stated) * 1_000_000
    stated = dict(row.rates).get("request")
    assert tier.rates.request == Fraction(stated or 0) * 10**12
    return "price: free" if row.is_free else "price: taken"


def vars_of(rates: Rates) -> tuple[int, ...]:
    """List the rates of a card."""
    return tuple(getattr(rates, field.name) for field in fields(rates))
