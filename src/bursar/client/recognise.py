"""Which requests of a program ask a model API, and what they ask for.

Owns the recognition by method and path, over the table that the gateway has. What is not recognised passes untouched;
what is billable and cannot be bounded is told apart, so that it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from bursar.wire.routes import COMPACT, ROUTES, Route, pattern

__all__ = ["COMPACT", "Aimed", "aim", "is_free_at_provider", "is_unbounded"]


@dataclass(frozen=True, slots=True)
class Aimed:
    """A route of a model API, and where that API is."""

    route: Route
    prefix: str
    """What stands before the route's own path: the path of the provider's base URL."""
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def unbounded(cls, what: str, route: Route | None = None) -> Aimed:
        """Give what nothing bounds, so that it is refused."""
        return cls(route or _ANY, "", {"unknown": what})

    @property
    def is_bedrock(self) -> bool:
        return self.route.wire.startswith("bedrock.")


_ANY = next(route for route in ROUTES if route.is_billable)
BEDROCK = (
    Route("POST", "/model/{model}/converse", "bedrock.converse", is_billable=True),
    Route("POST", "/model/{model}/converse-stream", "bedrock.converse", is_billable=True, is_stream=True),
    Route("POST", "/model/{model}/invoke", "bedrock.invoke", is_billable=True),
    Route("POST", "/model/{model}/invoke-with-response-stream", "bedrock.invoke", is_billable=True, is_stream=True),
)
"""AWS's paths. They are the library's alone: a gateway would have to sign anew what its clients have signed."""


def _below(route: Route) -> str:
    """Give the path below a provider's base URL; OpenAI's holds its version, whatever others call theirs."""
    return route.path.removeprefix("/v1") if route.wire.startswith("openai.") else route.path


_BILLABLE = tuple(
    (re.compile(f"(?P<prefix>.*?){pattern(_below(each)).pattern}"), each) for each in ROUTES if each.is_billable
) + tuple((re.compile("(?P<prefix>.*?)" + each.path.replace("{model}", "(?P<model>.+)")), each) for each in BEDROCK)
_FREE = re.compile(
    "|".join(
        [
            f".*?{re.sub(r'P<[a-z]+>', ':', pattern(_below(each)).pattern)}"
            for each in ROUTES
            if not each.is_billable and each.method == "POST"
        ]
        + [r".*/(?:moderations|files|uploads|conversations)(?:/[^/]+)*|.*/model/.+/count-tokens"]
    )
)
"""What a model API does for nothing: it counts tokens, checks a text, keeps a file."""
_UNBOUNDED = re.compile(
    r".*(?:/images/(?:generations|edits|variations)|/audio/(?:speech|transcriptions|translations)|/videos"
    r"|/fine_tuning/jobs|/batches|/v1/complete|/v1/messages/batches|/threads/runs|/threads/[^/]+/runs"
    r"|/guardrail/[^/]+/version/[^/]+/apply|/async-invoke|/model/.+/invoke-with-bidirectional-stream"
    r"|:(?:rawPredict|streamRawPredict|batchGenerateContent|embedContent|batchEmbedContents|predictLongRunning))"
)
"""Billable paths of model APIs whose cost nothing in the request bounds, wherever they are served."""
_HINT = re.compile(r"completions|responses|embeddings|messages|compact|enerateContent|/model/")


@lru_cache(maxsize=512)
def aim(path: str) -> Aimed | None:
    """Find the billable route that a POST to this path (without its query) asks; None when it is none."""
    if _HINT.search(path) is None:
        return None
    for compiled, route in _BILLABLE:
        found = compiled.fullmatch(path)
        if found is not None:
            names = found.groupdict()
            return Aimed(route, names.pop("prefix"), names)
    return None


def is_unbounded(path: str) -> bool:
    """Tell whether a POST to this path is billed by a model API in a way that nothing bounds."""
    return _UNBOUNDED.fullmatch(path) is not None


def is_free_at_provider(path: str) -> bool:
    """Tell whether a POST to this path of a known provider costs nothing."""
    return _FREE.fullmatch(path) is not None
