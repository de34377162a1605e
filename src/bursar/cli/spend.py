"""`bursar spend`: who spent what, as a table, JSON or CSV.

Owns the report's options and its three forms. The sums are made in `reports/spend.py`.
"""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import click

from bursar.cli.options import Source, hint_elsewhere, ledger_of, now, source_options, tenant_option, zone_of
from bursar.cli.table import Column, csv_text, echo_json, echo_table
from bursar.cli.when import Period, period_options
from bursar.cli.words import instant, short_money
from bursar.core.charge import Amounts
from bursar.core.labels import LABEL_NAMES, is_label
from bursar.core.ledger import SpendQuery, SpendRow
from bursar.errors import UsageError
from bursar.reports.shown import groups_json, plain_usd
from bursar.reports.spend import CALENDAR, SpendReport, is_dimension, spend_report

__all__ = ["read_match", "spend"]

COUNTS = ("input", "cached", "cache write", "output", "reasoning")
DIMENSIONS_MAX = 6


@click.command()
@source_options
@click.option("--by", default="agent", show_default=True, metavar="LABELS", help="Labels; hour, day, week or month.")
@period_options
@click.option("--match", "matches", multiple=True, metavar="LABEL=VALUE", help="Only these calls; repeatable.")
@click.option("--top", type=click.IntRange(1, 100_000), metavar="N", help="The first N groups, and the rest as one.")
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV.")
@tenant_option("Whose calls.")
def spend(source: Source, by: str, period: Period, matches: tuple[str, ...], tenant: str, **shown: Any) -> None:
    """Who spent what, the dearest first.

    Examples: `bursar spend --by agent,model`, `bursar spend --by day --since 7d`, `bursar spend --by user --match
    agent=support --csv`. A call without a label counts as (none).
    """
    settings = source.load()
    zone = zone_of(period.tz, settings)
    dimensions = _dimensions(by)
    match = read_match(matches)
    with ledger_of(settings) as ledger:
        since_ns, until_ns = period.read(zone, now(ledger))
        query = SpendQuery(tenant, dimensions, since_ns, until_ns, match)
        try:
            report = spend_report(ledger, query, timezone=zone.key, most=shown["top"])
        except ValueError as error:
            raise UsageError(str(error)) from error
        if not report.total.calls:
            hint_elsewhere(ledger, tenant)
    if shown["form"] == "json":
        echo_json(_json(report, zone))
    elif shown["form"] == "csv":
        click.echo(_csv(report), nl=False)
    else:
        _echo(report, zone, match)


def _dimensions(text: str) -> tuple[str, ...]:
    names = tuple(
        name.strip() if name.strip().startswith("tag.") else name.strip().lower().replace("-", "_")
        for name in text.split(",")
        if name.strip()
    )
    unknown = next((name for name in names if not is_dimension(name)), None)
    if unknown is not None:
        known = ", ".join((*LABEL_NAMES, "tag.NAME", *CALENDAR))
        raise UsageError(f"--by {unknown[:60]}: there is no such label; write some of {known}")
    if not 1 <= len(set(names)) == len(names) <= DIMENSIONS_MAX:
        raise UsageError(f"--by takes 1 to {DIMENSIONS_MAX} different labels, separated by commas")
    return names


def read_match(texts: tuple[str, ...]) -> dict[str, str]:
    """Read --match, which may stand several times. Raises UsageError."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not is_label(name):
            raise UsageError(f"--match {text[:60]}: write LABEL=VALUE with one of {', '.join(LABEL_NAMES)} or tag.NAME")
        if name in found:
            raise UsageError(f"--match {name}: twice, and a call has one {name}")
        found[name] = value
    return found


def _echo(report: SpendReport, zone: ZoneInfo, match: dict[str, str]) -> None:
    where = "".join(f", {name} {value}" for name, value in match.items())
    click.echo(f"{_from(report, zone)} to {instant(report.until_ns - 1, zone)} {zone.key}{where}")
    click.echo()
    if not report.total.calls:
        click.echo("no calls were recorded in this time (--since and --until choose another)")
        return
    rest = () if report.rest is None else (_cells((f"({report.rest_count} more)",), len(report.by), report.rest),)
    rows = [*(_cells(row.values, len(report.by), row) for row in report.rows), *rest]
    total = _cells(("total",), len(report.by), report.total)
    names = [*report.by, "calls", *COUNTS, "cost", "presumed"]
    kept = [
        index
        for index in range(len(names))
        if names[index] not in (*COUNTS, "presumed") or total[index] not in ("0", "$0.0000")
    ]
    columns = [Column(names[index], is_text=index < len(report.by)) for index in kept]
    echo_table(columns, [[row[index] for index in kept] for row in rows], [total[index] for index in kept])
    if report.total.presumed.requests:
        click.echo("\npresumed: no answer came to tell the truth; it counts until `bursar holds correct` says better")


def _from(report: SpendReport, zone: ZoneInfo) -> str:
    return instant(report.since_ns, zone) if report.since_ns else "the beginning"


def _cells(values: tuple[str, ...], width: int, row: SpendRow) -> list[str]:
    named = [*values, *[""] * (width - len(values))]
    counts = [f"{count:,}" for count in (row.calls, *_counts(row.settled))]
    return [*named, *counts, short_money(row.settled.cost_nano), short_money(row.presumed.cost_nano)]


def _counts(amounts: Amounts) -> tuple[int, ...]:
    return (
        amounts.input_tokens,
        amounts.cached_tokens,
        amounts.cache_write_tokens,
        amounts.output_tokens,
        amounts.reasoning_tokens,
    )


def _csv(report: SpendReport) -> str:
    names = [*report.by, "calls", *(f"{name.replace(' ', '_')}_tokens" for name in COUNTS), "cost_usd", "presumed_usd"]
    rest = (
        () if report.rest is None else (((f"({report.rest_count} more)", *[""] * (len(report.by) - 1)), report.rest),)
    )
    return csv_text(
        names,
        (
            [
                *values,
                row.calls,
                *_counts(row.settled),
                plain_usd(row.settled.cost_nano),
                plain_usd(row.presumed.cost_nano),
            ]
            for values, row in (*((row.values, row) for row in report.rows), *rest)
        ),
    )


def _json(report: SpendReport, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "since": instant(report.since_ns, zone, "%Y-%m-%dT%H:%M:%S%z") if report.since_ns else None,
        "until": instant(report.until_ns, zone, "%Y-%m-%dT%H:%M:%S%z"),
        "timezone": zone.key,
        **groups_json(report),
    }
