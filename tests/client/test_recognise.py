"""Which requests ask a model API is read from the gateway's own table of routes."""

from __future__ import annotations

import pytest

from bursar.client.recognise import aim, is_free_at_provider, is_unbounded
from bursar.wire.routes import ROUTES, Route

EXAMPLES = {"{version}": "v1beta", "{model}": "gemini-2.5-flash", "{id}": "resp_1"}


def example(path: str) -> str:
    for name, value in EXAMPLES.items():
        path = path.replace(name, value)
    return path


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_of_the_table_is_known_by_its_path(route: Route) -> None:
    path = example(route.path)
    aimed = aim(path)
    if route.method != "POST":
        return
    assert (aimed is not None) is route.is_billable
    assert is_free_at_provider(path) is not route.is_billable
    if aimed is not None:
        assert aimed.route is route


@pytest.mark.parametrize(
    ("path", "prefix", "wire"),
    [
        ("/v1/chat/completions", "/v1", "openai.chat"),
        ("/openai/v1/chat/completions", "/openai/v1", "openai.chat"),
        ("/openai/deployments/house/chat/completions", "/openai/deployments/house", "openai.chat"),
        ("/chat/completions", "", "openai.chat"),
        ("/api/v1/completions", "/api/v1", "openai.completions"),
        ("/v1/responses", "/v1", "openai.responses"),
        ("/anthropic/v1/messages", "/anthropic", "anthropic.messages"),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent", "", "gemini.generate"),
    ],
)
def test_an_api_is_known_wherever_it_is(path: str, prefix: str, wire: str) -> None:
    aimed = aim(path)
    assert aimed is not None
    assert (aimed.prefix, aimed.route.wire) == (prefix, wire)


@pytest.mark.parametrize("path", ["/", "/v1/models", "/messages", "/v1/messages/count_tokens", "/chat/completions/x"])
def test_another_path_is_none(path: str) -> None:
    assert aim(path) is None
    assert not is_unbounded(path)
