"""S50, S51: marked prompts, keys, headers, provider keys and secrets, searched for in everything that bursar writes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.house import PATHS, House, settings_for, until, usd
from tests.gateway.keyed import bearer, by, give_key
from tests.telemetry.sink import Sink, sink

from bursar.actions.keys import revoke_key
from bursar.config.settings import KeyPolicy, OtlpSettings, Settings, TelemetrySettings
from bursar.core.control import EVERY_TENANT
from bursar.gateway.admin.rights import NEEDS
from bursar.gateway.admin.routes import PREFIX
from bursar.testing import Script, ScriptedProvider
from bursar.testing.gateway import GatewayProcess
from bursar.wiring.pepper import pepper_file

PROMPT = "canary-prompt-5b1f"
ANSWER = "canary-answer-77aa"
HEADER = "canary-header-91c2"
CLIENT_KEY = "sk-canary-client-3e0d"
PROVIDER_KEY = "sk-canary-provider-c4c4"
ADMIN = "canary-admin-secret-of-forty-characters-00"
WRONG_KEY = "bursar-canary-wrong-key"

SCRIPTS = {
    "m": Script(text=ANSWER, output_tokens=6),
    "cut": Script(text=ANSWER, output_tokens=6, fault="cut", fault_after_tokens=2),
    "garbage": Script(text=ANSWER, output_tokens=6, fault="garbage"),
    "down": Script(fault="status", fault_status=500),
    "reset": Script(fault="reset_before"),
    "slow": Script(text=ANSWER, output_tokens=50, first_byte_s=60),
}


@contextmanager
def marked(path: Path) -> Iterator[tuple[House, Path, Sink]]:
    """A gateway in a process of its own, whose every output is kept in a file."""
    log = path / "gateway.log"
    with ScriptedProvider(SCRIPTS) as provider, sink() as receiver, log.open("w") as written:
        settings: Settings = settings_for(
            provider.url,
            path / "bursar.db",
            [
                usd(10**13, tenant=EVERY_TENANT),
                usd(1, name="tiny", tenant=EVERY_TENANT, match=(("agent", ("broke",)),)),
            ],
            keys=KeyPolicy.REQUIRED,
            admin_secret=ADMIN,
            api_key=PROVIDER_KEY,
        )
        otlp = OtlpSettings(endpoint=f"{receiver.url}/v1/logs", labels=("agent", "user", "key", "tag.x", "run"))
        settings = replace(settings, telemetry=TelemetrySettings(otlp=otlp))
        with GatewayProcess(settings, log=written) as gateway:
            made = House(provider, gateway, settings.store.path)
            yield made, log, receiver
            for sock in made.open_sockets:
                sock.close()


BODIES: dict[str, Any] = {
    "openai": {"messages": [{"role": "system", "content": PROMPT}, {"role": "user", "content": PROMPT}]},
    "anthropic": {"system": PROMPT, "messages": [{"role": "user", "content": PROMPT}]},
    "responses": {"instructions": PROMPT, "input": PROMPT},
    "completions": {"prompt": PROMPT},
    "embeddings": {"input": PROMPT},
    "gemini": {"contents": [{"parts": [{"text": PROMPT}]}]},
}


def use(home: House, token: str) -> None:
    """Every wire, whole and streamed; errors, refusals, faults, and calls that are cut off."""
    headers = {**bearer(token), "x-request-id": HEADER, "x-other": HEADER, "cookie": HEADER, "x-bursar-agent": "a"}
    for wire in PATHS:
        for model in SCRIPTS.keys() - {"slow"}:
            if wire == "gemini" and model != "m":
                continue
            more = {} if wire == "gemini" else {"model": model}
            for is_stream in (False, True):
                if wire == "embeddings" and is_stream:
                    continue
                home.ask(wire, headers=headers, **BODIES[wire], **more, stream=is_stream or None)
        home.ask(wire, headers={**headers, "x-bursar-agent": "broke"}, **BODIES[wire])
        home.ask(wire, headers={**headers, "authorization": f"Bearer {WRONG_KEY}"}, **BODIES[wire])
        home.ask(wire, headers={**headers, "x-api-key": CLIENT_KEY}, **BODIES[wire])
        home.ask(wire, headers={**headers, "x-bursar-key": token, "authorization": CLIENT_KEY}, **BODIES[wire])
        home.send("POST", PATHS[wire], f'{{"model": "{PROMPT}", "a": "{PROMPT}'.encode(), headers)
        home.send("POST", PATHS[wire], f'{{"{PROMPT}": 1, "{PROMPT}": NaN}}'.encode(), headers)
        home.send("POST", f"{PATHS[wire]}?key={CLIENT_KEY}", b"{}", headers)
    home.send("GET", f"/v1/models?api_key={CLIENT_KEY}", headers=headers)


def kill(home: House, token: str) -> None:
    """End the gateway with calls in flight."""
    body = json.dumps({"model": "slow", **BODIES["openai"]}).encode()
    head = f"POST {PATHS['openai']} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(body)}"
    home.raw(head.encode() + b"\r\n\r\n" + body)
    home.provider.wait(open_calls=1)
    home.process.kill()


def everything(home: House, log: Path, receiver: Sink, said: list[bytes]) -> dict[str, bytes]:
    """All that was written: files beside the ledger (not the pepper), the log, events, and pages."""
    folder = home.ledger_path.parent
    found = {str(file.name): file.read_bytes() for file in folder.iterdir() if file.is_file()}
    found[log.name] = log.read_bytes()
    found["events"] = repr((receiver.records, receiver.resources, receiver.headers)).encode()
    found["pages"] = b"".join(said)
    return found


def is_page(method: str, path: str) -> bool:
    """What the admin API answers with one document."""
    return method == "GET" and "{" not in path


@pytest.mark.slow
def test_no_prompt_and_no_key_is_in_anything_that_is_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with marked(tmp_path) as (home, log, receiver):
        row, token = give_key(home)
        gone, revoked = give_key(home, name="revoked")
        until(lambda: home.send("GET", "/v1/models", headers=bearer(token)).status == 200)
        with home.ledger() as ledger:
            revoke_key(ledger, None, gone.id, by())
        until(lambda: home.send("GET", "/v1/models", headers=bearer(revoked)).status == 401)
        use(home, token)
        pages = ["/metrics", "/healthz", "/readyz", *(PREFIX + path for method, path in NEEDS if is_page(method, path))]
        answers = [home.send("GET", page, headers=bearer(ADMIN)) for page in pages]
        assert sum(answer.status == 200 for answer in answers) > 10
        said = [answer.body for answer in answers]
        strangers = [home.ask(headers=bearer(wrong)) for wrong in (revoked, WRONG_KEY, ADMIN, "")]
        assert [answer.status for answer in strangers] == [401, 401, 403, 401]
        said += [answer.body for answer in strangers]
        until(lambda: bool(receiver.records))
        assert b"bursar_calls" in said[0]
        assert home.provider.invoice(calls=0)["requests"] > 20, "nothing was asked, so nothing was proved"
        kill(home, token)
        home.process.start()
        assert home.ask(headers=bearer(token)).status == 200
        home.process.stop()
        found = everything(home, log, receiver, said)
    pepper = found.pop(pepper_file(Settings(store=home.process.settings.store)).name)
    assert found[home.ledger_path.name].startswith(b"SQLite format 3")
    assert row.digest.encode() in found[home.ledger_path.name], "the search finds what is there"
    secrets = (
        PROMPT,
        ANSWER,
        HEADER,
        CLIENT_KEY,
        PROVIDER_KEY,
        ADMIN,
        WRONG_KEY,
        token,
        revoked,
        token[7:],
        revoked[7:],
    )
    for place, written in found.items():
        for secret in secrets:
            assert secret.encode() not in written, (place, secret)
            assert secret.encode("utf-16-le") not in written, (place, secret)
        assert pepper not in written and pepper.hex().encode() not in written, place
    assert not [record for record in caplog.records if token in record.getMessage() or PROMPT in record.getMessage()]
