"""Nothing is changed before the first budget, and all is as it was after the last."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import anthropic._base_client
import httpx2
import openai._base_client
import pytest
from tests.client.house import ASKED, House

import bursar

STATUS_ERROR = "_make_status_error_from_response"
PLACES: list[tuple[Any, str]] = [
    (httpx2.Client, "send"),
    (httpx2.AsyncClient, "send"),
    (httpx2.Client, "_send_single_request"),
    (httpx2.AsyncClient, "_send_single_request"),
    (httpx2.HTTPTransport, "handle_request"),
    (httpx2.AsyncHTTPTransport, "handle_async_request"),
    (openai._base_client.BaseClient, STATUS_ERROR),
    (anthropic._base_client.BaseClient, STATUS_ERROR),
]


def there() -> list[Any]:
    return [owner.__dict__[name] for owner, name in PLACES]


def test_all_is_as_it_was_after_the_last_budget(home: House) -> None:
    before, finders = there(), list(sys.meta_path)
    with bursar.budget("$1"):
        changed = there()
        assert all(new is not old for new, old in zip(changed, before, strict=True))
        with bursar.budget("$1"):
            assert there() == changed
        assert there() == changed
    assert there() == before
    assert sys.meta_path == finders
    bursar.configure()
    assert there() != before
    with bursar.budget("$1"):
        pass
    assert there() != before, "a configuration is metered until it is closed"
    bursar.close()
    assert there() == before and sys.meta_path == finders


def test_a_change_that_somebody_else_makes_meanwhile_stays_and_works(home: House, monkeypatch: Any) -> None:
    monkeypatch.setattr(httpx2.Client, "send", httpx2.Client.send)  # Put back at the end of the test.
    calls: list[str] = []
    with bursar.budget("$1") as budget:
        ours = httpx2.Client.send

        def wrapped(self: Any, request: Any, **more: Any) -> Any:
            calls.append(request.url.path)
            return ours(self, request, **more)

        httpx2.Client.send = wrapped  # type: ignore[method-assign]  # as instrumentation does
        with httpx2.Client() as client:
            client.post(home.chat_url, json=ASKED)
        assert budget.calls == 1
    with httpx2.Client() as client:
        client.post(home.chat_url, json=ASKED)
    assert (len(calls), budget.calls, home.requests) == (2, 1, 2)


def test_a_client_made_before_the_budget_is_metered(home: House) -> None:
    with openai.OpenAI(base_url=home.url, api_key="none") as client:
        with bursar.budget("$0.25") as budget:
            client.chat.completions.create(**ASKED)
            with pytest.raises(bursar.BudgetExceeded):
                client.chat.completions.create(**ASKED)
        client.chat.completions.create(**ASKED)
    assert (budget.calls, home.requests) == (1, 2)


IMPORTED_LATE = """
import sys, bursar
with bursar.budget("$0.10"):
    assert "httpx2" not in sys.modules and "openai" not in sys.modules
    import openai
    client = openai.OpenAI(base_url=sys.argv[1], api_key="none")
    try:
        client.chat.completions.create(model="m", max_tokens=5000, messages=[{"role": "user", "content": "hello"}])
    except bursar.BudgetExceeded as error:
        assert isinstance(error, openai.APIStatusError)
        print("refused")
import httpx2
assert httpx2.Client.send.__module__ == "httpx2._client", httpx2.Client.send.__module__
assert type(openai._base_client.__loader__).__name__ == "SourceFileLoader"
"""
LIGHT = """
import sys
before = set(sys.modules)
opened = []
sys.addaudithook(lambda event, args: opened.append(args[0]) if event in ("open", "socket.connect") else None)
import bursar
new = {name.partition(".")[0] for name in set(sys.modules) - before}
assert not new & {"asyncio", "httpx", "httpx2", "openai", "sqlite3", "yaml", "logging", "pydantic"}, new
others = [each for each in opened if not str(each).endswith((".py", ".pyc"))]
assert not others, others
print("light")
"""


@pytest.mark.parametrize(("code", "says"), [(IMPORTED_LATE, "refused"), (LIGHT, "light")], ids=["late", "light"])
def test_in_a_program_of_its_own(home: House, code: str, says: str) -> None:
    command = [sys.executable, "-c", code, home.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == says, done.stderr
    assert Path("bursar.db").exists() or says == "light"
