"""Amounts, instants, calls and reports as JSON: what `--json` prints and the admin API answers.

Owns the names and forms of those fields: money in nano-USD (whole numbers) with the exact decimal number beside it as
text, instants as UTC text. No sum is made here, and nothing is worded for a person.
"""

from __future__ import annotations

from typing import Any

from bursar.core.ledger import HoldRow, SpendRow
from bursar.core.money import Nano, Pico, format_usd
from bursar.core.rates import Card
from bursar.core.window import FOREVER_NS, to_datetime
from bursar.pricing.facts import ModelFacts
from bursar.reports.anatomy import Anatomy, Part, amounts_of
from bursar.reports.runs import Run
from bursar.reports.spend import SpendReport
from bursar.reports.unpriced import Unpriced

__all__ = [
    "PER_MILLION",
    "call_json",
    "card_json",
    "groups_json",
    "iso",
    "parts_json",
    "plain_usd",
    "rate_usd",
    "run_json",
    "spend_json",
    "unpriced_json",
]

PER_MILLION = {
    "input_tokens": "input",
    "cache_read_tokens": "cached input",
    "cache_write_tokens": "cache write",
    "cache_write_1h_tokens": "cache write, 1 h",
    "output_tokens": "output",
    "reasoning_tokens": "reasoning",
    "input_audio_tokens": "audio input",
    "cache_read_audio_tokens": "cached audio input",
    "output_audio_tokens": "audio output",
}
"""The rates of a card that are per million tokens, and their names."""


def plain_usd(nano: Nano) -> str:
    """Write an amount for a program: an exact decimal number."""
    return format_usd(nano).replace("$", "").replace(",", "")


def iso(at_ns: int) -> str | None:
    """Write an instant as UTC text to the microsecond; None for none, at the beginning or the end of time."""
    return f"{to_datetime(at_ns):%Y-%m-%dT%H:%M:%S.%fZ}" if 0 < at_ns < FOREVER_NS else None


def call_json(row: HoldRow) -> dict[str, Any]:
    """Give a call as JSON: instants in nanoseconds since 1970 and as UTC text, money in nano-USD and as text."""
    amounts = amounts_of(row)
    return {
        "id": row.id,
        "state": row.state.name.lower(),
        "opened_ns": row.opened_ns,
        "opened": f"{to_datetime(row.opened_ns):%Y-%m-%dT%H:%M:%S.%fZ}",
        "closed_ns": row.closed_ns or None,
        "labels": dict(row.labels),
        **amounts.as_dict(),
        "cost_usd": plain_usd(amounts.cost_nano),
        "held": {**row.held.as_dict(), "cost_usd": plain_usd(row.held.cost_nano)},
        "flags": sorted(row.flags),
        "price": row.price or None,
        "answered_by": row.note.answered_by or None,
        "process": row.process,
        "status": row.note.status or None,
        "ended": row.note.ended or None,
        "duration_ms": row.note.duration_ms or None,
        "cap": row.note.cap or None,
    }


def parts_json(parts: Anatomy) -> dict[str, Any]:
    """Give the parts of a call as JSON."""
    return {
        "parts": {
            "basis": str(parts.basis),
            "input": [_part_json(part) for part in parts.where],
            "input_by_rate": [_part_json(part) for part in parts.rated],
            "output": [_part_json(part) for part in parts.output],
            "fee_nano": parts.fee_nano,
        }
    }


def _part_json(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "tokens": part.tokens,
        "cost_nano": part.cost_nano,
        "cost_usd": plain_usd(part.cost_nano),
    }


def spend_json(row: SpendRow) -> dict[str, Any]:
    """Give the sums of one group of a spend report."""
    return {
        "calls": row.calls,
        **row.settled.as_dict(),
        "cost_usd": plain_usd(row.settled.cost_nano),
        "presumed_nano": row.presumed.cost_nano,
        "presumed_usd": plain_usd(row.presumed.cost_nano),
    }


def groups_json(report: SpendReport) -> dict[str, Any]:
    """Give a spend report's groups, rest and total."""
    return {
        "by": list(report.by),
        "rows": [{**dict(zip(report.by, row.values, strict=True)), **spend_json(row)} for row in report.rows],
        "rest": None if report.rest is None else {"groups": report.rest_count, **spend_json(report.rest)},
        "total": spend_json(report.total),
    }


def run_json(row: Run) -> dict[str, Any]:
    """Give what a run came to so far."""
    return {
        "run": row.run,
        "agent": row.agent,
        "task": row.task,
        "steps": row.steps,
        "in_flight": row.in_flight,
        "state": row.state,
        "guard": row.guard,
        **row.amounts.as_dict(),
        "cost_usd": plain_usd(row.amounts.cost_nano),
        "presumed_nano": row.presumed_nano,
        "presumed_usd": plain_usd(row.presumed_nano),
        "began": f"{to_datetime(row.began_ns):%Y-%m-%dT%H:%M:%SZ}",
        "last_activity": f"{to_datetime(row.active_ns):%Y-%m-%dT%H:%M:%SZ}",
    }


def unpriced_json(row: Unpriced) -> dict[str, Any]:
    """Give a model that calls used though nobody knows its price."""
    return {
        "provider": row.provider,
        "model": row.model,
        "calls": row.calls,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "last_ns": row.last_ns,
    }


def rate_usd(rate: Pico, units: int) -> str:
    """Write a rate (pico-USD each) as the price of so many units, exactly."""
    whole, rest = divmod(rate * units, 10**12)
    digits = f"{rest:012d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{digits}"


def card_json(card: Card, facts: ModelFacts, tier: str) -> dict[str, Any]:
    """Give a price card, and what is known of its model."""
    return {
        "provider": card.provider,
        "model": card.model,
        "tier": tier or None,
        "source": card.source,
        "version": card.version,
        "tiers": [
            {
                "input_above_tokens": each.input_above,
                "usd_per_million_tokens": {
                    words: rate_usd(getattr(each.rates, name), 1_000_000) for name, words in PER_MILLION.items()
                },
                "usd_per_web_search": rate_usd(each.rates.web_searches, 1),
                "usd_per_request": rate_usd(each.rates.request, 1),
            }
            for each in card.tiers
        ],
        "max_output_tokens": facts.max_output_tokens,
        "top_speed_tokens_per_s": facts.top_speed_tokens_per_s,
    }
