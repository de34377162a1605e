"""S11: two readers must never see two different requests. What is ambiguous is refused, and the connection closed."""

from __future__ import annotations

import pytest
from tests.gateway.house import House, body_of, status_of

BODY = body_of("openai", max_tokens=5)
SIZE = b"%d" % len(BODY)
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
TE = b"Transfer-Encoding: chunked"


def request(*head: bytes, body: bytes = BODY, version: bytes = b"HTTP/1.1") -> bytes:
    """A request that would stay open when it is accepted: only a refusal may close it."""
    return b"\r\n".join([b"POST /v1/chat/completions " + version, b"Host: x", *head]) + b"\r\n\r\n" + body


CL = b"Content-Length: " + SIZE
REFUSED = {
    "length and chunked": request(CL, TE, body=CHUNKED),
    "chunked and length": request(TE, CL, body=CHUNKED),
    "two lengths": request(CL, b"Content-Length: 3"),
    "the same length twice": request(CL, CL),
    "a list of lengths": request(b"Content-Length: %s, %s" % (SIZE, SIZE)),
    "a signed length": request(b"Content-Length: +" + SIZE),
    "a negative length": request(b"Content-Length: -1"),
    "a hexadecimal length": request(b"Content-Length: 0x10"),
    "an empty length": request(b"Content-Length: "),
    "a huge length": request(b"Content-Length: 99999999999999999999999"),
    "space before the colon": request(b"Content-Length : " + SIZE),
    "another coding": request(b"Transfer-Encoding: gzip"),
    "a coding before chunked": request(b"Transfer-Encoding: gzip, chunked", body=CHUNKED),
    "chunked twice": request(b"Transfer-Encoding: chunked, chunked", body=CHUNKED),
    "two codings": request(TE, b"Transfer-Encoding: identity", body=CHUNKED),
    "almost chunked": request(b"Transfer-Encoding: xchunked", body=CHUNKED),
    "chunked behind a vertical tab": request(b"Transfer-Encoding: \x0bchunked", body=CHUNKED),
    "chunked in 1.0": request(TE, body=CHUNKED, version=b"HTTP/1.0"),
    "a chunk without its end": request(TE, body=b"%x\r\n%sXX0\r\n\r\n" % (len(BODY), BODY)),
    "chunks with bare newlines": request(TE, body=b"%x\n%s\n0\n\n" % (len(BODY), BODY)),
    "a negative chunk": request(TE, body=b"-%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)),
    "a chunk of 0x": request(TE, body=b"0x%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)),
    "a chunk above 64 bits": request(TE, body=b"fffffffffffffffff\r\n%s\r\n0\r\n\r\n" % BODY),
    "a newline in a chunk extension": request(TE, body=b"%x;a\nb\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)),
    "space behind a chunk size": request(TE, body=b"%x  \r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)),
    "a folded header": request(CL, b"X-A: a\r\n b"),
    "a folded coding": request(b"Transfer-Encoding:\r\n chunked", body=CHUNKED),
    "bare newlines": request(CL).replace(b"\r\n", b"\n"),
    "one bare newline": request(CL, b"X-A: a\nX-B: b"),
    "a bare return": request(CL, b"X-A: a\rX-B: b"),
    "a NUL in a value": request(CL, b"X-Request-Id: a\x00b"),
    "a control letter in a value": request(CL, b"X-Request-Id: a\x01b"),
    "a space in a name": request(CL, b"X A: b"),
    "a header without colon": request(CL, b"XA"),
    "a header without name": request(CL, b": b"),
    "space before the first header": request(CL).replace(b"Host:", b" Host:"),
    "two hosts": request(CL, b"Host: y"),
    "version 2.0": request(CL, version=b"HTTP/2.0"),
    "version 0.9": request(CL, version=b"HTTP/0.9"),
    "version 1.2": request(CL, version=b"HTTP/1.2"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 40,
    "no HTTP at all": b"GIMME\r\n\r\n",
}


def test_what_could_be_read_in_two_ways_is_refused_and_the_connection_closed(home: House) -> None:
    for name, data in REFUSED.items():
        answer = home.tell(data)
        assert status_of(answer) == 400, name
        assert answer.count(b"HTTP/1.1 ") == 1, name
    assert home.provider.invoice()["requests"] == 0
    assert home.holds() == []


@pytest.mark.parametrize(
    "data",
    [
        request(CL, b"Connection: close"),
        request(TE, b"Connection: close", body=CHUNKED),
        request(b"transfer-encoding:\tChunked", b"Connection: close", body=CHUNKED),
        request(TE, b"Connection: close", body=b"%x;ext=1\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)),
        request(CL, version=b"HTTP/1.0"),
        request(CL, b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAAB", b"Connection: Upgrade, HTTP2-Settings"),
        request(TE, b"Upgrade: h2c", b"Connection: Upgrade", body=CHUNKED),
    ],
    ids=["length", "chunked", "Chunked", "extension", "1.0", "h2c with length", "h2c chunked"],
)
def test_an_honest_body_is_read_whole(home: House, data: bytes) -> None:
    """Java's client offers h2c with every first request, body and all."""
    assert status_of(home.tell(data)) == 200
    assert home.provider.requests()[0]["body"].endswith('"max_tokens":5}')
    home.assert_sound()


def test_an_upgrade_whose_body_comes_in_pieces_is_read_whole(home: House) -> None:
    data = request(CL, b"Upgrade: h2c", b"Connection: Upgrade")
    for cut in (len(data) - len(BODY), len(data) - 10):
        sock = home.raw(data[:cut])
        home.send("GET", "/v1/models")  # The gateway has had its turn meanwhile.
        sock.sendall(data[cut:])
        assert b" 200 OK" in sock.recv(4096)


def test_a_trailer_is_no_header(home: House) -> None:
    """A proxy in front that checks headers never sees a trailer; so it must not name an agent or a key."""
    trailers = b"X-Bursar-Agent: evil\r\nAuthorization: Bearer evil\r\nx-api-key: evil\r\n"
    body = b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(BODY), BODY, trailers)
    assert status_of(home.tell(request(TE, b"Connection: close", b"Trailer: x-bursar-agent", body=body))) == 200
    assert "evil" not in str(home.provider.requests()[0])
    (row,) = home.holds()
    assert row.labels.get("agent") != "evil"


def test_a_smuggled_second_request_is_not_answered(home: House) -> None:
    inner = request(CL, b"Connection: close")
    answer = home.tell(request(CL) + inner)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert home.provider.invoice()["requests"] == len(home.holds()) == 1


def test_garbage_behind_a_request_does_not_get_into_its_answer(home: House) -> None:
    answer = home.tell(request(CL) + b"\x00\x01garbage\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert status_of(answer) == 200
    home.assert_sound()
