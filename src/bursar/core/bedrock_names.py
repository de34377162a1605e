"""Names of models on Bedrock: which model of the price list an id, an inference profile or an ARN stands for.

Owns that mapping. It must never guess: what may be billed by the hour, or lies behind a name that an account chose
(provisioned and imported models, application inference profiles, routers, prompts), has no listed price, until an
operator states one.
"""

from __future__ import annotations

import re

__all__ = ["bare_id", "listed_names"]

_ARN = re.compile(
    r"arn:aws[a-z-]*:bedrock:[a-z0-9-]*:[0-9]*:(?P<kind>foundation-model|inference-profile)/(?P<id>[^/]+)\Z"
)
_GEOGRAPHIES = ("us.", "eu.", "apac.", "au.", "jp.", "ca.", "in.", "global.")
"""Prefixes whose models cost what they cost in a region, where the list does not price them apart: a global profile
costs less or as much. `us-gov.` is none of them: prices differ there."""


def bare_id(model: str) -> str:
    """Give the id of a model or a system's profile out of its ARN; empty for an ARN of anything else."""
    if not model.startswith("arn:"):
        return model
    match = _ARN.match(model)
    return match["id"] if match is not None else ""


def listed_names(model: str) -> tuple[str, ...]:
    """Give the names to look a model up by, the closest one first; none where no list can know its price."""
    name = bare_id(model)
    if not name or "/" in name:
        return ()
    prefix = next((prefix for prefix in _GEOGRAPHIES if name.startswith(prefix)), "")
    return (name, name.removeprefix(prefix)) if prefix else (name,)
