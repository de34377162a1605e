"""docs/http-api.md names every route with its query, every header that goes up, and every code of a refusal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bursar.gateway.app import _CODES
from bursar.gateway.routes import FAMILIES, ROUTES, Route
from bursar.upstream.headers import _UP, _UP_PREFIXES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8")
TABLE = PAGE.split("## Routes")[1].split("\n## ")[0]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path} {route.wire}")
def test_every_route_is_in_the_table_with_its_query_and_what_it_costs(route: Route) -> None:
    rows = [row for row in TABLE.splitlines() if f"`{route.method} {route.path}`" in row]
    assert rows
    assert any(("held and metered" in row) is route.is_billable for row in rows)
    for name in route.query - {"include[]"}:
        assert any(f"`?{name}=`" in row for row in rows), name


def test_no_other_path_is_promised() -> None:
    known = {f"{route.method} {route.path}" for route in ROUTES} | {"GET /healthz", "GET /readyz", "GET /metrics"}
    rows = [row for row in TABLE.splitlines() if row.startswith("| ")]
    named = [found for row in rows for found in re.findall(r"`((?:GET|POST|DELETE|PUT) [^`]+)`", row)]
    assert len(named) >= len({(route.method, route.path) for route in ROUTES})
    assert set(named) <= known


def test_every_prefix_and_every_header_that_goes_up_is_named() -> None:
    for name in (*(f"/{family}" for family in FAMILIES), *_UP, *_UP_PREFIXES):
        assert f"`{name}`" in PAGE, name


def test_every_code_of_a_refusal_is_in_the_table() -> None:
    table = PAGE.split("## Refusals")[1].split("\n## ")[0]
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/bursar/pipeline").glob("*.py"))
    raised = set(re.findall(r'Refusal\(\s*[\w.]+,\s*"(\w+)"', source)) | set(_CODES.values())
    assert len(raised) >= 10
    for code in raised:
        assert f"`{code}`" in table, code
