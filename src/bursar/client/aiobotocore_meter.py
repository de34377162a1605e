"""An attempt of aiobotocore: metered where its session sends, by aiohttp or httpx.

Owns what only the endpoint knows: how a request is signed anew when a cap was written into it, and that a refusal is
raised as `BudgetExceeded`, which is tried no second time. It must only be imported where aiobotocore is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bursar.client.asked import Where, address_of
from bursar.client.botocore_meter import MADE, text_headers, unbounded, with_body
from bursar.client.homeward import homeward_url
from bursar.client.refused import KEY, Refused, error_of
from bursar.client.signing import Signer, signing

__all__ = ["send"]


async def send(
    original: Callable[..., Awaitable[Any]], again: Callable[..., Awaitable[Any]], endpoint: Any, prepared: Any
) -> Any:
    """Send one attempt. `again` makes a request anew, and signs it. Raises BudgetExceeded where no money is left."""
    params, operation = getattr(prepared, MADE, (None, None))
    if params is None:
        return await original(endpoint, prepared)

    async def signed(body: bytes) -> Mapping[str, str]:
        return text_headers(await again(endpoint, with_body(params, body), operation))

    address = address_of(Where.of(homeward_url(prepared.url)))
    with signing(Signer(signed, address, unbounded(operation))):
        response = await original(endpoint, prepared)
    refused = getattr(getattr(response, "raw", None), "extensions", {}).get(KEY)
    if isinstance(refused, Refused) and refused.is_stop:
        raise error_of(refused)
    return response
