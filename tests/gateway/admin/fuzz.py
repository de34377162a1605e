"""The OpenAPI document as a source of requests: valid and broken ones, each answer held against it.

`scripts/soak` runs it at length: `python -m tests.gateway.admin.fuzz 1000`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, Config, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from tests.gateway.admin.office import Office, office
from tests.gateway.keyed import bearer

__all__ = ["attack", "operations_of"]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
REFUSED = ["400", "401", "403", "404", "405", "409", "413", "415"]
"""How something broken may be refused."""


def operations_of(document: dict[str, Any]) -> Iterator[Any]:
    """Give every operation of a document, as schemathesis sees it."""
    config = Config.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": REFUSED}}})
    for found in schemathesis.openapi.from_dict(document, config=config).get_all_operations():
        assert isinstance(found, Ok)
        yield found.ok()


def attack(made: Office, operation: Any, mode: GenerationMode, examples: int, who: str = "operator") -> None:
    """Send so many requests to one operation. Raises what schemathesis raises when an answer breaks the document."""
    headers = bearer(made.tokens[who])

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(case: Case[Any]) -> None:
        case.call_and_validate(base_url=made.home.url, headers=headers, checks=CHECKS)

    run()


def main(examples: int) -> int:
    """Attack every operation with so many examples of each kind."""
    with tempfile.TemporaryDirectory() as folder, office(Path(folder)) as made:
        for operation in operations_of(made.get("/openapi.json")):
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                if can_be_broken(operation) or mode is GenerationMode.POSITIVE:
                    attack(made, operation, mode, examples)
            print(f"{operation.label}: {examples:,} requests of each kind")
    return 0


def can_be_broken(operation: Any) -> bool:
    """Tell whether an operation has anything that a request could say wrongly."""
    return bool(list(operation.query)) or bool(list(operation.body))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
