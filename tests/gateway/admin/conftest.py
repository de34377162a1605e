"""An office for a whole file of tests that change nothing, and one for each test that does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.admin.office import Office, office


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Office]:
    """An office with keys, for this test alone."""
    with office(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """An office with keys, for all tests of a file."""
    with office(tmp_path_factory.mktemp("office")) as made:
        yield made


@pytest.fixture(scope="session", autouse=True)
def _mounted() -> Iterator[None]:
    """Until app.py routes /bursar/ itself."""
    from collections.abc import MutableMapping
    from typing import Any

    from bursar.gateway import server
    from bursar.gateway.admin.api import AdminApi
    from bursar.gateway.app import App
    from bursar.gateway.arrival import headers_of, refuse_foreign
    from bursar.gateway.relay import Receive, Send

    if hasattr(App, "_admin") or "AdminApi" in App.__init__.__code__.co_names:
        yield
        return

    class Mounted(App):
        def __init__(self, settings: Any) -> None:
            super().__init__(settings)
            self._admin = AdminApi(self._engine, settings)

        async def _exchange(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            if not scope["path"].startswith("/bursar/"):
                return await super()._exchange(scope, receive, send)
            from starlette.responses import JSONResponse

            from bursar.errors import BursarError

            headers = headers_of(scope)
            try:
                refuse_foreign(headers)
                caller = self._door.caller(headers)
            except BursarError as error:
                told = {"error": {"code": "unauthorized", "message": error.message, "param": None}}
                return await JSONResponse(told, error.status)(scope, receive, send)
            return await self._admin(scope, receive, send, caller)

        async def _lifespan(self, receive: Receive, send: Send) -> None:
            await super()._lifespan(receive, send)
            self._admin.close()

    kept, server.App = server.App, Mounted  # type: ignore[misc]
    yield
    server.App = kept  # type: ignore[misc]
