"""Measure what a bare proxy costs per request, for each HTTP server and client the gateway could be built on.

Owns the comparison behind docs/dependencies.md; imports nothing of bursar. One command, on Debian as root:

    python3 bench/proxies.py [--rounds 5] [--seconds 3]

It installs nginx and wrk from Debian and the candidates into a virtual environment of its own in a temporary folder.
Each proxy parses the JSON body, forwards it to nginx, and reads `usage` from the answer, whole (2 kB) or streamed (20
events, one write each). Counted is the CPU time of the proxy's process tree over the requests that wrk saw answered.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

UPSTREAM = "http://127.0.0.1:8471"
PROXY_PORT = 8472
CONNECTIONS = 16
VARIANTS = {
    "uvicorn + aiohttp": ("uvicorn", "aiohttp"),
    "uvicorn + pyreqwest": ("uvicorn", "pyreqwest"),
    "uvicorn + wreq": ("uvicorn", "wreq"),
    "granian + aiohttp": ("granian", "aiohttp"),
    "aiohttp.web + aiohttp": ("aiohttp", "aiohttp"),
}
PACKAGES = [
    "aiohttp==3.14.5",
    "granian==2.8.7",
    "httptools==0.9.0",
    "pyreqwest==0.15.1",
    "uvicorn==0.54.0",
    "uvloop==0.23.0",
    "wreq==0.13.0",
]
ECHO_MODULE = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")

# --- the proxy: one process per variant -------------------------------------------------------------------------------

JSON = {"content-type": "application/json"}


class AiohttpClient:
    def __init__(self) -> None:
        import aiohttp

        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)

    async def read(self, url: str, body: bytes) -> bytes:
        async with self.session.post(url, data=body, headers=JSON) as answer:
            return await answer.read()

    async def stream(self, url: str, body: bytes) -> AsyncIterator[bytes]:
        async with self.session.post(url, data=body, headers=JSON) as answer:
            async for chunk in answer.content.iter_any():
                yield chunk


class PyreqwestClient:
    def __init__(self) -> None:
        from pyreqwest.client import ClientBuilder

        self.client = ClientBuilder().default_headers(JSON).build()

    async def read(self, url: str, body: bytes) -> bytes:
        answer = await self.client.post(url).body_bytes(body).build().send()
        return bytes(await answer.bytes())

    async def stream(self, url: str, body: bytes) -> AsyncIterator[bytes]:
        async with self.client.post(url).body_bytes(body).build_streamed() as answer:
            while (chunk := await answer.body_reader.read_chunk()) is not None:
                yield bytes(chunk)


class WreqClient:
    def __init__(self) -> None:
        import wreq

        self.client = wreq.Client(headers=JSON)

    async def read(self, url: str, body: bytes) -> bytes:
        async with await self.client.post(url, body=body) as answer:
            return bytes(await answer.bytes())

    async def stream(self, url: str, body: bytes) -> AsyncIterator[bytes]:
        async with await self.client.post(url, body=body) as answer, answer.stream() as chunks:
            async for chunk in chunks:
                yield bytes(chunk)


CLIENTS: dict[str, Any] = {"aiohttp": AiohttpClient, "pyreqwest": PyreqwestClient, "wreq": WreqClient}


def usage_of_line(line: bytes) -> Any:
    """The usage that one line of a stream carries, if any; every event is parsed, as a meter must."""
    if line.startswith(b"data: {"):
        return json.loads(line[6:]).get("usage")
    return None


async def relay_whole(client: Any, body: bytes) -> bytes:
    """Forward the body; give back the answer, once its usage has been read."""
    answer: bytes = await client.read(UPSTREAM + "/whole", body)
    assert json.loads(answer)["usage"]["total_tokens"] > 0
    return answer


async def relay_stream(client: Any, body: bytes) -> AsyncIterator[bytes]:
    """Forward the body; yield what comes back as it comes, reading the usage on the way."""
    usage, rest = None, b""
    async for chunk in client.stream(UPSTREAM + "/stream", body):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            usage = usage_of_line(line) or usage
        yield chunk
    assert usage["total_tokens"] > 0


def make_asgi(make_client: Any) -> Any:
    client: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            client.append(make_client())
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, has_more = b"", True
        while has_more:
            event = await receive()
            body += event["body"]
            has_more = event.get("more_body", False)
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
        if json.loads(body).get("stream"):
            await send(start)
            async for chunk in relay_stream(client[0], body):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        else:
            answer = await relay_whole(client[0], body)
            start["headers"].append((b"content-length", b"%d" % len(answer)))
            await send(start)
            await send({"type": "http.response.body", "body": answer})

    return app


def serve_aiohttp(make_client: Any) -> None:
    import uvloop
    from aiohttp import web

    async def start(app: web.Application) -> None:
        app["client"] = make_client()

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if not json.loads(body).get("stream"):
            return web.Response(body=await relay_whole(request.app["client"], body), headers=JSON)
        answer = web.StreamResponse(headers=JSON)
        await answer.prepare(request)
        async for chunk in relay_stream(request.app["client"], body):
            await answer.write(chunk)
        await answer.write_eof()
        return answer

    app = web.Application()
    app.on_startup.append(start)
    app.router.add_post("/{path:.*}", handle)
    web.run_app(app, host="127.0.0.1", port=PROXY_PORT, access_log=None, print=None, loop=uvloop.new_event_loop())


def serve(server: str, client: str) -> None:
    if server == "aiohttp":
        serve_aiohttp(CLIENTS[client])
    elif server == "uvicorn":
        import uvicorn

        uvicorn.run(
            make_asgi(CLIENTS[client]), port=PROXY_PORT, http="httptools", loop="uvloop", ws="none", access_log=False,
            log_level="warning",
        )  # fmt: skip
    else:
        os.environ["PROXY_CLIENT"] = client
        os.chdir(Path(__file__).parent)
        options = ["--interface", "asgi", "--loop", "uvloop", "--no-ws", "--no-access-log", "--log-level", "warning"]
        granian = Path(sys.executable).with_name("granian")
        os.execv(granian, [str(granian), *options, "--port", str(PROXY_PORT), f"{Path(__file__).stem}:app"])


def __getattr__(name: str) -> Any:
    if name == "app":
        return make_asgi(CLIENTS[os.environ["PROXY_CLIENT"]])
    raise AttributeError(name)


# --- the upstream and the load ----------------------------------------------------------------------------------------

USAGE = {"prompt_tokens": 812, "completion_tokens": 20, "total_tokens": 832}


def whole_answer() -> str:
    message = {"role": "assistant", "content": "x" * 1750}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"id": "c-1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": USAGE})


def stream_events() -> list[str]:
    delta = {"index": 0, "delta": {"content": " word"}, "finish_reason": None}
    event = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [delta]}
    last = event | {"choices": [], "usage": USAGE}
    return [_compact(event)] * 18 + [_compact(last), "[DONE]"]


def _compact(event: object) -> str:
    """Write an event as providers do."""
    return json.dumps(event, separators=(",", ":"))


def write_upstream(folder: Path) -> Path:
    events = "\n".join(f"echo 'data: {event}'; echo ''; echo_flush; echo_sleep 0.001;" for event in stream_events())
    conf = folder / "nginx.conf"
    conf.write_text(f"""
load_module {ECHO_MODULE};
pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1; daemon off;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 10000000; client_body_temp_path {folder}/body; tcp_nodelay on;
  server {{ listen 127.0.0.1:8471;
    location = /whole {{ default_type application/json; return 200 '{whole_answer()}'; }}
    location = /stream {{ default_type text/event-stream; echo_read_request_body; {events} }}
}} }}""")
    return conf


def write_load(folder: Path, is_streamed: bool) -> Path:
    messages = [{"role": "system", "content": "s" * 600}, {"role": "user", "content": "u" * 400}]
    body = json.dumps({"model": "m", "stream": is_streamed, "messages": messages})
    script = folder / f"load-{is_streamed}.lua"
    script.write_text(f"wrk.method='POST' wrk.headers['content-type']='application/json' wrk.body=[[{body}]]\n")
    return script


# --- measuring --------------------------------------------------------------------------------------------------------


def tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from tree(int(child))


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, of a process and all below it."""
    ticks = 0
    for one in tree(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(command: list[str], url: str) -> Iterator[int]:
    # What a proxy says when wrk hangs up at the end of a run is of no interest.
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(urllib.request.Request(url, data=request_body(False))).read()
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise SystemExit(f"did not start: {command}")
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def request_body(is_streamed: bool) -> bytes:
    return json.dumps({"model": "m", "stream": is_streamed, "messages": []}).encode()


def check_answers() -> None:
    """A proxy that is fast because it is wrong does not count."""
    url = f"http://127.0.0.1:{PROXY_PORT}/v1"
    whole = urllib.request.urlopen(urllib.request.Request(url, data=request_body(False))).read()
    streamed = urllib.request.urlopen(urllib.request.Request(url, data=request_body(True))).read()
    assert whole == whole_answer().encode(), whole[:200]
    assert streamed.decode() == "".join(f"data: {event}\n\n" for event in stream_events()), streamed[:200]


def load(pid: int, script: Path, seconds: float) -> tuple[float, float]:
    """CPU microseconds per request, and requests per second."""
    before = cpu_s(pid)
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds:g}s",
        "-s",
        str(script),
        f"http://127.0.0.1:{PROXY_PORT}/v1",
    ]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    time.sleep(0.1)
    spent = cpu_s(pid) - before
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    found = re.search(r"(\d+) requests in ([\d.]+)s", out)
    assert found, out
    count = int(found[1])
    return spent * 1e6 / count, count / float(found[2])


def measure(python: Path, folder: Path, rounds: int, seconds: int) -> None:
    scripts = {"whole": write_load(folder, False), "stream": write_load(folder, True)}
    results: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with running(["nginx", "-c", str(write_upstream(folder))], UPSTREAM + "/whole"):
        for round_number in range(rounds):
            names = list(VARIANTS)
            for name in names[round_number % len(names) :] + names[: round_number % len(names)]:
                command = [str(python), __file__, "--serve", name]
                with running(command, f"http://127.0.0.1:{PROXY_PORT}/v1") as pid:
                    check_answers()
                    for kind, script in scripts.items():
                        load(pid, script, 1)
                        results.setdefault((name, kind), []).append(load(pid, script, seconds))
    print("| proxy | whole: CPU us/request | whole: requests/s | stream: CPU us/request | stream: requests/s |")
    print("|---|---|---|---|---|")
    for name in VARIANTS:
        cells = []
        for kind in scripts:
            cpu, rate = zip(*results[name, kind], strict=True)
            cells += [f"{statistics.median(cpu):.0f} ({min(cpu):.0f}-{max(cpu):.0f})", f"{statistics.median(rate):.0f}"]
        print(f"| {name} | {' | '.join(cells)} |")


def install(folder: Path) -> Path:
    if not (shutil.which("nginx") and shutil.which("wrk") and ECHO_MODULE.exists()):
        packages = ["nginx-light", "libnginx-mod-http-echo", "wrk"]
        subprocess.run(["apt-get", "update", "-q"], check=True)
        subprocess.run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages], check=True)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--python", type=Path, help="an interpreter that has the candidates already")
    parser.add_argument("--serve", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*VARIANTS[options.serve])
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure(options.python or install(folder), folder, options.rounds, options.seconds)


if __name__ == "__main__":
    main()
