"""What docs/admin-api.md says: its examples run, its tables name every route and every error."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.gateway.admin.office import Office

from bursar.gateway.admin.openapi import document
from bursar.gateway.admin.rights import NEEDS, Need, Tenancy
from bursar.gateway.admin.routes import operations
from bursar.gateway.admin.system import LiveViews

PAGE = (Path(__file__).parents[3] / "docs" / "admin-api.md").read_text(encoding="utf-8")
SHELL = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
WORDS = {Need.ANY: "any key", Need.READ: "`read`", Need.ADMIN: "`admin`", Need.OPERATOR: "operator"}


def test_the_table_names_every_route_with_what_it_needs() -> None:
    rows = re.findall(r"^\| `(GET|PUT|POST|DELETE) (/[^`?]*)[^`]*` \| ([^|]*) \|", PAGE, re.MULTILINE)
    found = {(method, path): needs for method, path, needs in rows}
    expected = {
        route: WORDS[need] + ("; `*` the operator" if tenancy is Tenancy.EVERY_TOO else "")
        for route, (need, tenancy) in NEEDS.items()
    }
    assert found == expected


def test_the_table_names_every_error() -> None:
    told = {int(status) for status in re.findall(r"^\| (\d{3}) \| `", PAGE, re.MULTILINE)}
    made = document(operations(_nothing, LiveViews()))
    assert told == {int(status) for status in made["components"]["responses"]}


async def _nothing(*_: object) -> dict[str, object]:
    return {}


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="curl and jq are not here")
def test_the_examples_run(desk: Office) -> None:
    script = "\n".join(["set -euo pipefail", *SHELL]).replace("http://127.0.0.1:8484", desk.home.url)
    assert desk.home.url in script
    secret = desk.tokens["operator"]
    done = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": os.environ["PATH"], "BURSAR_ADMIN_SECRET": secret},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # One call of this week counts already; none of this user's.
    assert re.search(r"^team: 69\.99\d+ left until", done.stdout, re.MULTILINE)
    assert re.search(r"^users \(day\): 50000 left until", done.stdout, re.MULTILINE)
    assert re.search(r"^\S+ key:\w+ pause ", done.stdout, re.MULTILINE)
    assert desk.get("/budgets/team?tenant=acme")["standings"][0]["limit_usd"] == "70.00"
    assert desk.get("/pauses?tenant=acme")["items"] == []
