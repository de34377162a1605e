"""The OpenAPI document, made of the table of routes and the types of bodies, queries and answers.

Owns its form. Nothing in it is written twice, so it cannot say anything else than the gateway does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from bursar import __version__
from bursar.gateway.admin import answers
from bursar.gateway.admin.asking import schema_of
from bursar.gateway.admin.rights import Need
from bursar.gateway.admin.routes import PREFIX, Operation

__all__ = ["document"]

_REF = "#/components/schemas/{name}"
_NAMES = {
    "name": ("The name of a budget.", 128),
    "id": ("The id as a list shows it.", 64),
    "provider": ("The name of a provider, or * for all.", 64),
    "model": ("A model's name, or a glob.", 256),
    "run": ("A run, as the label `run` names it.", 128),
}
_ERRORS = {
    400: "What was sent cannot be understood or done.",
    401: "The key is missing or wrong.",
    403: "This key may not do that.",
    404: "There is nothing of this name.",
    405: "There is no such method here.",
    409: "It contradicts what is there.",
    413: "The body is too large.",
    415: "The body is no JSON.",
    503: "The ledger cannot be read or written now.",
}
_WHO = {
    Need.ANY: "Every key may ask this.",
    Need.READ: "Needs a key with the role read or admin.",
    Need.ADMIN: "Needs a key with the role admin.",
    Need.OPERATOR: "The operator's alone.",
}


def document(table: Sequence[Operation]) -> dict[str, Any]:
    """Make the document of a table."""
    kinds = [kind for each in table for kind in (each.answer, each.body) if kind is not None]
    schemas, components = msgspec.json.schema_components([*kinds, answers.Error], ref_template=_REF)
    by_kind = {id(kind): schema for kind, schema in zip([*kinds, answers.Error], schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for each in table:
        paths.setdefault(PREFIX + each.path, {})[each.method.lower()] = _operation(each, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "bursar",
            "version": __version__,
            "description": "The admin API of a bursar gateway: budgets, keys, prices, pauses, calls and reports.",
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}, {"ownKey": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {
                str(status): {
                    "description": text,
                    "content": {"application/json": {"schema": by_kind[id(answers.Error)]}},
                }
                for status, text in _ERRORS.items()
            },
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "ownKey": {"type": "apiKey", "in": "header", "name": "x-bursar-key"},
            },
        },
    }


def _operation(each: Operation, by_kind: dict[int, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": each.name,
        "summary": each.summary,
        "description": _WHO[each.need],
        "x-bursar-needs": str(each.need),
        "parameters": [*_path_parameters(each.path), *_query_parameters(each)],
        "responses": {
            str(each.status): {
                "description": "Done.",
                "content": {"application/json": {"schema": by_kind[id(each.answer)]}},
            },
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in _ERRORS},
        },
    }
    if each.body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": by_kind[id(each.body)]}},
        }
    return found


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", path):
        words, most = _NAMES[name]
        schema = {"type": "string", "minLength": 1, "maxLength": most}
        yield {"name": name, "in": "path", "required": True, "description": words, "schema": schema}


def _query_parameters(each: Operation) -> Iterable[dict[str, Any]]:
    schema = schema_of(each.query)
    for name, said in schema.get("properties", {}).items():
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": said.get("description", ""),
            "schema": {key: value for key, value in said.items() if key != "description"},
        }
