"""An engine whose figures leave it, before a scripted provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.gateway.house import settings_for
from tests.pipeline.rig import Rig

from bursar.config.settings import TelemetrySettings
from bursar.core.budget import Budget
from bursar.testing import ScriptedProvider
from bursar.wiring.engine import Engine


@asynccontextmanager
async def telling(
    path: Path, budgets: Sequence[Budget] = (), telemetry: TelemetrySettings | None = None, **more: Any
) -> AsyncIterator[Rig]:
    """Start an engine with these telemetry settings; `more` goes to `settings_for`."""
    with ScriptedProvider(more.pop("scripts", None)) as provider:
        settings = settings_for(provider.url, path / "bursar.db", budgets, **more)
        engine = Engine(replace(settings, telemetry=telemetry or TelemetrySettings()))
        await engine.start()
        try:
            yield Rig(engine, provider)
        finally:
            await engine.stop()
