"""The provider that is not one, and what is asked of it: nginx that answers from memory, and three kinds of request.

Owns nginx's configurations (upstream, and the proxy that everything is compared with), the bodies, and wrk's scripts.
"""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from proxies import stream_events, whole_answer
from rig import ECHO_MODULE

__all__ = ["KINDS", "body_of", "pieces", "write_nginx", "write_proxy", "write_script", "write_upstream"]

KINDS = ("whole", "stream", "agent")
"""A 2 kB chat request with a 2 kB answer; the same streamed in 20 pieces; a 600 kB request of an agent."""
PAUSE_S = 0.001
LATER_S = 0.005
"""How long a provider takes that does not answer at once. A model takes a hundred times as long."""
"""Between two pieces of a stream, so that each is a write, a packet and a read of its own."""
WHOLE_BYTES = 2_000
AGENT_BYTES = 600_000
TOOLS = 40
WORDS = ("the", "budget", "of", "an", "agent", "is", "held", "before", "its", "call", "and", "settled", "by", "truth")
AGENTS, USERS, RUNS = 5, 20, 100
"""So many values the labels take in turn, each pair of agent and user with runs of its own."""


# --- nginx ------------------------------------------------------------------------------------------------------------


def write_upstream(folder: Path, port: int) -> Path:
    """Write the upstream: /whole reads the request and answers 2 kB, /later does so after LATER_S, /stream answers 20
    events, 1 ms apart."""
    events = "\n".join(f"echo 'data: {event}'; echo ''; echo_flush; echo_sleep {PAUSE_S};" for event in stream_events())
    whole = f"default_type application/json; echo_read_request_body; echo -n '{whole_answer()}';"
    later = whole.replace("echo -n", f"echo_sleep {LATER_S}; echo -n")
    stream = f"default_type text/event-stream; echo_read_request_body; {events}"
    return write_nginx(
        folder / "upstream",
        port,
        f"location /whole {{ {whole} }} location /later {{ {later} }} location /stream {{ {stream} }}",
    )


def write_proxy(folder: Path, port: int, upstream_port: int) -> Path:
    """Write the yardstick: proxy_pass as one would for a model API, connections kept, streams passed on at once."""
    forward = 'proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection "";'
    outer = f"upstream model {{ server 127.0.0.1:{upstream_port}; keepalive 128; keepalive_requests 10000000; }}"
    inner = f"location / {{ {forward} }} location /stream {{ {forward} proxy_buffering off; }}"
    return write_nginx(folder / "proxy", port, inner, outer)


def write_nginx(folder: Path, port: int, inner: str, outer: str = "") -> Path:
    folder.mkdir()
    conf = folder / "nginx.conf"
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi"))
    conf.write_text(f"""
load_module {ECHO_MODULE};
pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; daemon off;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 10000000; tcp_nodelay on; {temporary} scgi_temp_path {folder}/scgi;
  client_body_buffer_size 1m; client_max_body_size 32m;
  {outer}
  server {{ listen 127.0.0.1:{port}; {inner} }}
}}""")
    return conf


# --- bodies -----------------------------------------------------------------------------------------------------------


def body_of(kind: str) -> bytes:
    """Write a request; the same bytes each time."""
    if kind == "agent":
        return _agent()
    told = "You are a careful assistant. Answer briefly and say what you do not know."
    options: dict[str, object] = {"stream": True, "stream_options": {"include_usage": True}} if kind == "stream" else {}
    frame = json.dumps(_chat(kind, told, "") | options)
    return _written(_chat(kind, told, _prose(random.Random(1), WHOLE_BYTES - len(frame))) | options)


def _written(body: object) -> bytes:
    """Write a body as the SDKs do: compact, in UTF-8."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def _chat(kind: str, told: str, asked: str) -> dict[str, object]:
    messages = [{"role": "system", "content": told}, {"role": "user", "content": asked}]
    return {"model": f"bench-{kind}", "messages": messages}


def _agent() -> bytes:
    """Write what a coding agent sends late in its work: 40 tools, then rounds of tool calls and what they gave."""
    some = random.Random(2)
    messages: list[object] = [{"role": "system", "content": _prose(some, 8_000)}]
    messages.append({"role": "user", "content": _prose(some, 2_000)})
    body: dict[str, object] = {"model": "bench-agent", "tools": [_tool(some, n) for n in range(TOOLS)]}
    left = AGENT_BYTES - len(json.dumps(body)) - len(json.dumps(messages))
    number = 0
    while left > 6_000:
        call = {
            "name": f"tool_{number % TOOLS}",
            "arguments": json.dumps({"path": f"src/part_{number}.py", "line": number}),
        }
        calls = [{"id": f"call_{number}", "type": "function", "function": call}]
        said = {"role": "assistant", "content": _prose(some, 300), "tool_calls": calls}
        gave = {"role": "tool", "tool_call_id": f"call_{number}", "content": _code(some, 3_500)}
        messages += [said, gave]
        left -= len(json.dumps(said)) + len(json.dumps(gave)) + 4
        number += 1
    messages.append({"role": "user", "content": _prose(some, left - 40)})
    return _written(body | {"messages": messages})


def _tool(some: random.Random, number: int) -> dict[str, object]:
    fields = {f"field_{n}": {"type": "string", "description": _prose(some, 120)} for n in range(6)}
    schema = {"type": "object", "properties": fields, "required": ["field_0"], "additionalProperties": False}
    told = {"name": f"tool_{number}", "description": _prose(some, 400), "parameters": schema}
    return {"type": "function", "function": told}


def _prose(some: random.Random, size: int) -> str:
    return " ".join(some.choice(WORDS) for _ in range(size // 3 + 1))[: max(0, size)]


def _code(some: random.Random, size: int) -> str:
    """Write text with line ends and quotes, which JSON has to escape."""
    line = '    if name == "{}":\n        return found["{}"]\n'
    return "".join(line.format(some.randrange(999), some.randrange(999)) for _ in range(size // 50 + 1))[:size]


# --- wrk --------------------------------------------------------------------------------------------------------------

_SCRIPT = """
local file = io.open("{body}", "rb")
local body = file:read("*a")
file:close()
local made, last = {{}}, 0
function init(args)
  for n = 1, {many} do
    made[n] = wrk.format("POST", nil, {{
      ["content-type"] = "application/json", ["authorization"] = "Bearer sk-bench",
      ["x-bursar-agent"] = "agent-" .. n % {agents}, ["x-bursar-user"] = "user-" .. n % {users} .. "@example.com",
      ["x-bursar-run"] = "run-" .. n }}, body)
  end
end
function request()
  last = last % {many} + 1
  return made[last]
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('BENCH {{"requests":%d,"us":%d,"p50":%d,"p99":%d,"errors":%d}}\\n', summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def write_script(folder: Path, kind: str) -> Path:
    """Write wrk's script for a kind; the requests are made beforehand and sent in turn."""
    body = folder / f"{kind}.json"
    body.write_bytes(body_of(kind))
    script = folder / f"{kind}.lua"
    many = RUNS if kind != "agent" else 10
    script.write_text(_SCRIPT.format(body=body, many=many, agents=AGENTS, users=USERS))
    return script


# --- one request, looked at -------------------------------------------------------------------------------------------


def pieces(url: str, body: bytes) -> tuple[Mapping[str, str], bytes, int]:
    """Send one request; gives the answer's headers, its body, and in how many reads the body came."""
    there = urlsplit(url)
    head = (
        f"POST {there.path} HTTP/1.1\r\nhost: {there.netloc}\r\nconnection: close\r\nauthorization: Bearer sk-bench\r\n"
    )
    head += "x-bursar-agent: agent-1\r\nx-bursar-user: user-1@example.com\r\nx-bursar-run: run-1\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    reads = []
    with socket.create_connection((there.hostname or "", there.port or 80), timeout=20) as sock:
        sock.sendall(head.encode() + body)
        while piece := sock.recv(2**20):
            reads.append(piece)
    said, _, rest = b"".join(reads).partition(b"\r\n\r\n")
    headers = dict(line.lower().split(": ", 1) for line in said.decode("latin-1").split("\r\n")[1:])
    assert said.startswith(b"HTTP/1.1 200"), said[:200] + rest[:500]
    is_chunked = headers.get("transfer-encoding") == "chunked"
    return headers, _unchunked(rest) if is_chunked else rest, sum(b"data:" in read for read in reads)


def _unchunked(rest: bytes) -> bytes:
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body
