"""The OpenAPI document is valid, and says what the gateway does."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode
from tests.gateway.admin.fuzz import attack, can_be_broken, operations_of
from tests.gateway.admin.office import PREFIX, Office
from tests.gateway.admin.test_rights import BODIES, extra, path_of
from tests.gateway.keyed import bearer

from bursar.gateway.admin.openapi import document
from bursar.gateway.admin.rights import NEEDS
from bursar.gateway.admin.routes import operations
from bursar.gateway.admin.system import LiveViews

EXAMPLES = 20


async def _nothing(*_: object) -> dict[str, Any]:
    return {}


def made() -> dict[str, Any]:
    return document(operations(_nothing, LiveViews()))


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(made()).validate()


def test_the_gateway_gives_it_to_every_key_and_to_nobody_else(shared: Office) -> None:
    assert shared.get("/openapi.json", "acme call") == made()
    assert shared.ask("GET", "/openapi.json", who="nobody").status == 401


def sealed(schema: Any) -> Any:
    """Let no object have a field that is not described."""
    if isinstance(schema, list):
        return [sealed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: sealed(each) for key, each in schema.items()}
    if found.get("type") == "object" and "properties" in found:
        found["additionalProperties"] = False
    return found


def answers_of(shared: Office) -> Iterator[tuple[str, Any, Any]]:
    told = made()
    for method, path in sorted(NEEDS, key=lambda route: route[0] == "DELETE"):
        if path == "/openapi.json":
            continue
        where = path_of(shared, path, "acme") + (f"?{extra(path)}" if extra(path) else "")
        if "tenant" in str(told["paths"][PREFIX + path][method.lower()]["parameters"]):
            where += f"{'&' if '?' in where else '?'}tenant=acme"
        got = shared.ask(method, where, BODIES.get((method, path)))
        yield f"{method} {path}", told["paths"][PREFIX + path][method.lower()], got


def test_no_answer_has_a_field_that_the_document_does_not_describe(desk: Office) -> None:
    desk.home.ask(headers=bearer(desk.tokens["acme call"]))
    desk.ids["acme spare"] = desk.ask("POST", "/keys?tenant=acme", {"name": "spare"}).json["id"]
    desk.ids["acme pause"] = desk.ask("POST", "/pauses?tenant=acme", {"match": {"agent": "nobody"}}).json["id"]
    desk.ask("PUT", "/budgets/of-acme?tenant=acme", {"limit": "$9 / day"})
    desk.ask("POST", "/budgets/of-acme/top-ups?tenant=acme", {"amount": "$1"})
    done = set()
    for name, told, got in answers_of(desk):
        kind = told["responses"].get(str(got.status))
        assert kind is not None, (name, got.status, got.body)
        assert got.status < 400 or name == "DELETE /pauses/{id}", (name, got.body)
        if got.status >= 400:
            continue
        schema = sealed(copy.deepcopy(kind["content"]["application/json"]["schema"]))
        components = sealed(made()["components"])
        for part in components["schemas"].values():
            part.pop("$defs", None)
        jsonschema.Draft202012Validator({**schema, "components": components}).validate(got.json)
        done.add(name)
    assert len(done) >= len(NEEDS) - 2


def modes() -> list[Any]:
    return [
        pytest.param(operation, mode, id=f"{operation.label} {mode.value}")
        for operation in operations_of(made())
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        if mode is GenerationMode.POSITIVE or can_be_broken(operation)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("operation", "mode"), modes())
def test_whatever_is_asked_is_answered_as_the_document_says(
    shared: Office, operation: Any, mode: GenerationMode
) -> None:
    attack(shared, operation, mode, EXAMPLES)
