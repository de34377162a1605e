"""The gateway's own pages, over HTTP: figures for a scraper, one word for whoever asks whether it is well."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.gateway.house import house, usd
from tests.telemetry.scraped import value

from bursar import __version__


def test_a_scrape_tells_what_was_called_and_what_the_ledger_says(tmp_path: Path) -> None:
    with house(tmp_path, [usd()]) as home:
        assert home.ask(headers={"x-bursar-agent": "bot", "x-bursar-user": "ada@example.com"}).status == 200
        assert home.ask("anthropic").status == 200
        got = home.send("GET", "/metrics")
        assert got.status == 200
        assert got.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert value(got.body, "bursar_calls_total", agent="bot", wire="openai.chat", state="settled") == 1
        assert value(got.body, "bursar_calls_total", wire="anthropic.messages", state="settled") == 1
        assert value(got.body, "bursar_cost_nano_usd_total") == home.assert_sound().settled == home.invoice_nano()
        assert value(got.body, "bursar_budget_used", budget="one") == home.balance().settled
        assert b"ada@example.com" not in got.body


@pytest.mark.parametrize(("path", "body"), [("/healthz", b"ok\n"), ("/readyz", b"ready\n")])
def test_a_stranger_learns_one_word(tmp_path: Path, path: str, body: bytes) -> None:
    with house(tmp_path, [usd()]) as home:
        got = home.send("GET", path)
        assert (got.status, got.body) == (200, body)
        assert __version__ not in str(got.headers)
        assert "server" not in got.headers
