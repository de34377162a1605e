"""The installation over HTTP: what is in force, a check of a new file, the doctor, the proof, the audit log, the view.

Owns what of the settings is shown: named field by field, so that a new secret never shows by itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from dataclasses import asdict, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from msgspec import UNSET

from bursar.actions.budgets import budget_status
from bursar.actions.checkup import checkup, filesystem_of, mounts
from bursar.actions.live import fillings
from bursar.actions.shown import audit_json, budget_json, change_json, finding_json, price_json
from bursar.actions.verify import audit
from bursar.config.load import check
from bursar.config.settings import Settings, StoreKind
from bursar.core.provider import Provider
from bursar.errors import ConfigError
from bursar.gateway.admin.bodies import AuditQuery, CheckBody, TenantQuery
from bursar.gateway.admin.desk import Answer, Asked, Desk
from bursar.reports.live import Filling, as_json
from bursar.reports.unpriced import unpriced_models
from bursar.reports.watch import Watch

__all__ = ["LiveViews", "check_config", "config", "doctor", "list_changes", "verify"]

WATCHES_MAX = 32
"""How many tenants' last hours are remembered; the one that was not asked for the longest time is forgotten."""


async def list_changes(desk: Desk, asked: Asked[AuditQuery, None]) -> Answer:
    """List who changed what, the latest first."""
    before = None if asked.query.before_seq is UNSET else asked.query.before_seq
    most = asked.query.limit
    rows = await desk.read(lambda ledger: ledger.audit(asked.tenants, most + 1, before))
    shown = rows[:most]
    return {"items": [change_json(row) for row in shown], "next": shown[-1].seq if len(rows) > most else None}


async def config(desk: Desk, asked: Asked[None, None]) -> Answer:
    """Give what is in force."""
    settings, state = desk.settings, desk.state
    return {
        "file": str(settings.file) if settings.file else None,
        "link": settings.link or None,
        "server": {**asdict(settings.server), "keys": str(settings.server.keys)},
        "store": _store(settings),
        "limits": asdict(settings.limits),
        "telemetry": _telemetry(settings),
        "providers": [_provider(each) for each in settings.providers],
        "budgets": [budget_json(each) for each in state.all_budgets(settings.budgets)],
        "prices": [
            {**price_json(row), "source": "file" if row in settings.prices else "set"}
            for row in state.all_prices(settings.prices)
        ],
        "models": [asdict(row) for row in settings.models],
        "problems": list(state.problems),
    }


def _store(settings: Settings) -> dict[str, Any]:
    store = settings.store
    is_file = store.kind is StoreKind.SQLITE
    return {
        "kind": str(store.kind),
        "path": str(store.path) if is_file else None,
        "durability": str(store.durability) if is_file else None,
        "timeout_s": store.timeout_s,
    }


def _telemetry(settings: Settings) -> dict[str, Any]:
    metrics, otlp = settings.telemetry.metrics, settings.telemetry.otlp
    return {
        "metrics": {"enabled": metrics.enabled, "labels": list(metrics.labels), "values_max": metrics.values_max},
        "otlp": {"enabled": otlp.enabled, "host": urlsplit(otlp.endpoint).hostname, "labels": list(otlp.labels)},
    }


def _provider(provider: Provider) -> dict[str, Any]:
    """Show a provider: that it has a key, never the key; names of headers and parameters, never their values."""
    url = urlsplit(provider.base_url)
    port = f":{url.port}" if url.port else ""
    return {
        "name": provider.name,
        "base_url": f"{url.scheme}://{url.hostname}{port}{url.path}",
        "wires": list(provider.wires),
        "models": list(provider.models),
        "has_key": bool(provider.api_key),
        "is_free": provider.is_free,
        "price_as": provider.price_as or None,
        "top_speed": provider.top_speed,
        "attempts": provider.attempts,
        "deadlines": asdict(provider.deadlines),
        "headers": [name for name, _ in provider.headers],
        "query": [name for name, _ in provider.query],
        "fallback": list(provider.fallback),
    }


async def check_config(desk: Desk, asked: Asked[None, CheckBody]) -> Answer:
    """Say what is wrong with a configuration file, without using it."""
    try:
        await asyncio.to_thread(check, asked.body.text)
    except ConfigError as error:
        return {"is_valid": False, "problems": error.message.splitlines()}
    return {"is_valid": True, "problems": []}


async def doctor(desk: Desk, asked: Asked[TenantQuery, None]) -> Answer:
    """Say what is missing or risky."""
    settings = replace(desk.settings, budgets=desk.budgets(asked.tenant))
    found = await desk.read(lambda ledger: audit(ledger, asked.tenant))
    without = await desk.read(lambda ledger: unpriced_models(ledger, asked.tenant))
    models = tuple(sorted({each.model for each in without}))
    filesystem = await asyncio.to_thread(_filesystem, settings)
    return {"items": [finding_json(each) for each in checkup(settings, found, models, filesystem)]}


def _filesystem(settings: Settings) -> str:
    return filesystem_of(settings.store.path.resolve(), mounts()) if settings.store.kind is StoreKind.SQLITE else ""


async def verify(desk: Desk, asked: Asked[TenantQuery, None]) -> Answer:
    """Recompute every balance, and compare."""
    return audit_json(await desk.read(lambda ledger: audit(ledger, asked.tenant)))


class LiveViews:
    """The last hour of each tenant that somebody watches, so that a look each second costs what is new."""

    def __init__(self) -> None:
        self._views: OrderedDict[str, tuple[Watch, threading.Lock]] = OrderedDict()

    async def live(self, desk: Desk, asked: Asked[TenantQuery, None]) -> Answer:
        """Give one moment."""
        watch, lock = await self._view(desk, asked.tenant)
        return await desk.read(lambda _: _look(watch, lock, desk.now_ns()))

    async def _view(self, desk: Desk, tenant: str) -> tuple[Watch, threading.Lock]:
        if tenant not in self._views:
            ledger = await asyncio.to_thread(desk.readers.shared)
            watch = Watch(ledger, tenant, partial(_standings, desk, tenant))
            self._views.setdefault(tenant, (watch, threading.Lock()))
        self._views.move_to_end(tenant)
        found = self._views[tenant]
        while len(self._views) > WATCHES_MAX:
            self._views.popitem(last=False)
        return found


def _look(watch: Watch, lock: threading.Lock, at_ns: int) -> Answer:
    with lock:
        return as_json(watch.read(at_ns))


def _standings(desk: Desk, tenant: str, at_ns: int) -> list[Filling]:
    ledger = desk.readers.shared()
    return fillings(budget_status(ledger, desk.budgets(tenant), tenant, at_ns, desk.top_ups))
