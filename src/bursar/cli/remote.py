"""What a running gateway tells over its admin API, for commands that are not on its machine.

Owns the one request. The key goes to the host that was named and nowhere else: no redirect is followed, no proxy used,
and no error repeats it.
"""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from bursar.errors import BursarError, UsageError
from bursar.reports.live import Snapshot, from_json

__all__ = ["GatewayFailed", "live"]

PATH = "/bursar/v1/live"
TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 16 * 2**20
WORDS = {
    401: "it wants a key: set BURSAR_KEY, or give --key",
    403: "this key may not read that: it needs the role read or admin",
    404: "nothing is there: is this a bursar gateway, new enough, and is there such a tenant?",
}


class GatewayFailed(BursarError):
    """The gateway did not answer as it should."""


def live(url: str, key: str, tenant: str = "") -> Snapshot:
    """Ask a gateway for a snapshot of a tenant's money; without a name of the key's own tenant.

    Raises UsageError for a wrong URL or key, GatewayFailed for the rest.
    """
    split = _checked(url)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError("--key: a key has letters, digits and signs only, and no space")
    where = f"{split.scheme}://{split.hostname}:{split.port}" if split.port else f"{split.scheme}://{split.hostname}"
    target = split.path.rstrip("/") + PATH + (f"?tenant={quote(tenant, safe='')}" if tenant else "")
    status, body = _get(split, target, key, where)
    if status != 200:
        raise GatewayFailed(f"{where} answers {status}: {WORDS.get(status, 'try again later')}")
    try:
        return from_json(_parsed(body))
    except ValueError as error:
        raise GatewayFailed(f"{where} answers with something else than a live view: {error}") from error


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is no JSON") from error


def _checked(url: str) -> SplitResult:
    wrong = UsageError("--url: write the gateway's address, such as http://127.0.0.1:8484")
    try:
        split = urlsplit(url)
        has_host = bool(split.hostname) and split.port != 0
    except ValueError as error:
        raise wrong from error
    if not has_host or split.scheme not in ("http", "https") or not url.isprintable():
        raise wrong
    if "@" in split.netloc or split.query or split.fragment:
        raise wrong
    return split


def _get(split: SplitResult, target: str, key: str, where: str) -> tuple[int, bytes]:
    kind = http.client.HTTPSConnection if split.scheme == "https" else http.client.HTTPConnection
    connection = kind(str(split.hostname), split.port, timeout=TIMEOUT_S)
    headers = {"accept": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
    try:
        connection.request("GET", target, headers=headers)
        with connection.getresponse() as response:
            body = response.read(ANSWER_BYTES_MAX + 1)
            if len(body) > ANSWER_BYTES_MAX:
                raise GatewayFailed(f"{where} answers with more than {ANSWER_BYTES_MAX:,} bytes")
            return response.status, body
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise GatewayFailed(f"{where} cannot be reached: {reason}") from error
    finally:
        connection.close()
