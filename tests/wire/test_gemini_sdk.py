"""google-genai takes what bursar passes on and what it writes: whole, streamed and cut answers, errors, refusals."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bursar.core.usage import Usage
from bursar.wire.base import Refusal, StreamReader
from bursar.wire.gemini_generate import GeminiGenerate, split_action

genai = pytest.importorskip("google.genai", reason="google-genai is not installed: pip install google-genai")

MODEL = "gemini-2.5-flash"
STREAM, WHOLE = GeminiGenerate(MODEL, is_stream=True), GeminiGenerate(MODEL, is_stream=False)
TOLD = {"promptTokenCount": 8, "candidatesTokenCount": 4, "thoughtsTokenCount": 20, "totalTokenCount": 32}


class Server:
    """What one server answers, and what it was asked."""

    def __init__(self, status: int, body: bytes, kind: str) -> None:
        self.status, self.body, self.kind = status, body, kind
        self.asked: list[tuple[str, bytes]] = []


@contextmanager
def client(status: int, body: bytes, kind: str = "application/json", **options: Any) -> Iterator[tuple[Any, Server]]:
    """Make the SDK's client of a server that always answers so."""
    server = Server(status, body, kind)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.asked.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(server.status)
            self.send_header("content-type", server.kind)
            self.send_header("content-length", str(len(server.body)))
            self.end_headers()
            self.wfile.write(server.body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{httpd.server_address[1]}"
    made = genai.Client(api_key="k", http_options=genai.types.HttpOptions(base_url=url, **options))
    try:
        yield made, server
    finally:
        made.close()
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def chunk(text: str, *, end: bytes = b"\r\n\r\n", **more: Any) -> bytes:
    value = {"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, **more}], "responseId": "r1"}
    return b"data: " + json.dumps(value).encode() + end


def reader() -> StreamReader:
    return STREAM.reader(STREAM.parse(b'{"contents":[{"parts":[{"text":"hi"}]}]}'))


def test_what_the_sdk_sends_is_parsed() -> None:
    types = genai.types
    with client(200, json.dumps({"candidates": []}).encode()) as (made, server):
        made.models.generate_content(
            model=MODEL,
            contents=[
                "what is this?",
                types.Part.from_bytes(data=b"\x89PNG" + b"\xfb\xff" * 20, mime_type="image/png"),
            ],
            config=types.GenerateContentConfig(
                system_instruction="be short",
                max_output_tokens=300,
                candidate_count=2,
                thinking_config=types.ThinkingConfig(thinking_budget=100, include_thoughts=True),
                tools=[{"function_declarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {}}}]}],
                response_mime_type="application/json",
                response_schema={"type": "OBJECT"},
                safety_settings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
            ),
        )
        path, body = server.asked[0]
    assert split_action(path.rpartition("/")[2]) == (MODEL, "generateContent")
    request = WHOLE.parse(body)
    assert (request.cap, request.choices, request.anatomy.system, request.cap_least) == (300, 2, 8, 300)
    assert request.anatomy.tools > 0 and request.images_tokens_most > 0
    assert json.loads(WHOLE.encode(request, model=MODEL, cap=None)) == json.loads(body)


def test_the_sdk_reads_the_same_usage_of_a_whole_answer() -> None:
    shown = [{"content": {"parts": [{"text": "hello"}], "role": "model"}, "finishReason": "STOP"}]
    body = json.dumps({"candidates": shown, "usageMetadata": TOLD, "modelVersion": MODEL}).encode()
    with client(200, body) as (made, _):
        got = made.models.generate_content(model=MODEL, contents="hi")
    answer = WHOLE.read_whole(WHOLE.parse(b'{"contents":[]}'), body)
    assert answer is not None and answer.usage is not None
    assert got.text == "hello"
    assert got.usage_metadata.prompt_token_count == answer.usage.input_total
    assert got.usage_metadata.thoughts_token_count == answer.usage.reasoning_tokens


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n"])
def test_the_sdk_reads_streams_and_cut_streams(end: bytes) -> None:
    read = reader()
    raw = read.feed(chunk("Hel", end=end) + chunk("lo", end=end) + b"data: {incomplete")
    raw += read.cut(Usage(input_tokens=8, output_tokens=30))
    with client(200, raw, "text/event-stream") as (made, server):
        got = list(made.models.generate_content_stream(model=MODEL, contents="hi"))
        assert server.asked[0][0].endswith(STREAM.action(MODEL))
        assert len(server.asked) == 1
    assert "".join(part.text or "" for part in got) == "Hello"
    assert got[-1].candidates[0].finish_reason == genai.types.FinishReason.MAX_TOKENS
    usage = got[-1].usage_metadata
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count) == (8, 30, 38)


def test_the_sdk_takes_no_comment_and_so_requests_say_so() -> None:
    assert not STREAM.parse(b'{"contents":[]}').takes_comments
    raw = chunk("Hello", finishReason="STOP") + b": a comment\n\n"
    with client(200, raw, "text/event-stream") as (made, _), pytest.raises(genai.errors.UnknownApiResponseError):
        list(made.models.generate_content_stream(model=MODEL, contents="hi"))


def test_the_sdk_reads_a_cut_between_the_two_last_bytes_of_an_event() -> None:
    read = reader()
    raw = read.feed(chunk("Hello")[:-1]) + read.cut(Usage(input_tokens=8, output_tokens=30))
    with client(200, raw, "text/event-stream") as (made, _):
        got = list(made.models.generate_content_stream(model=MODEL, contents="hi"))
    assert got[-1].candidates[0].finish_reason == genai.types.FinishReason.MAX_TOKENS


def test_the_sdk_raises_an_error_in_mid_stream() -> None:
    raw = chunk("Hel") + reader().error(Refusal(502, "upstream_failed", "the provider broke off"))
    with client(200, raw, "text/event-stream") as (made, _):
        stream = made.models.generate_content_stream(model=MODEL, contents="hi")
        assert next(stream).text == "Hel"
        with pytest.raises(genai.errors.ServerError, match="broke off"):
            list(stream)


@pytest.mark.parametrize("method", ["generate_content", "generate_content_stream"])
@pytest.mark.parametrize("retries", [False, True])
def test_the_sdk_asks_once_where_a_budget_is_spent(method: str, retries: bool) -> None:
    body = WHOLE.refusal(Refusal(402, "budget_exceeded", "Budget 'daily' is spent", param="contents"))
    options = {"retry_options": genai.types.HttpRetryOptions(attempts=4, initial_delay=0.01)} if retries else {}
    with client(402, body, **options) as (made, server):
        with pytest.raises(genai.errors.ClientError, match="Budget 'daily' is spent") as caught:
            list(getattr(made.models, method)(model=MODEL, contents="hi"))
        assert (caught.value.code, caught.value.status) == (402, "FAILED_PRECONDITION")
        assert len(server.asked) == 1


def test_the_sdk_comes_back_to_contention_where_it_is_told_to_retry() -> None:
    body = WHOLE.refusal(Refusal(429, "contended", "in flight", retry_after_s=5))
    options = genai.types.HttpRetryOptions(attempts=3, initial_delay=0.01, max_delay=0.01, jitter=0.01)
    with client(429, body, retry_options=options) as (made, server):
        with pytest.raises(genai.errors.ClientError):
            made.models.generate_content(model=MODEL, contents="hi")
        assert len(server.asked) == 3
