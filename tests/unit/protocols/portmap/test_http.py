"""The little HTTP client: what it writes, and what it reads however the bytes are cut."""

from __future__ import annotations

import gzip

import pytest

from nattools.errors import ProtocolError
from nattools.protocols import http


def read(*parts: bytes, closed: bool = False, **options: int) -> http.HttpResponse | None:
    reader = http.ResponseReader(**options)
    for part in parts:
        reader.feed(part)
    if closed:
        reader.close()
    return reader.response


def test_a_get_request() -> None:
    assert http.encode_request("GET", "/rootDesc.xml", "10.0.1.1:5000") == (
        b"GET /rootDesc.xml HTTP/1.1\r\nHost: 10.0.1.1:5000\r\nConnection: close\r\n\r\n"
    )


def test_a_post_request() -> None:
    data = http.encode_request("POST", "/ctl", "[fe80::1]:5000", (("SOAPAction", '"a#b"'),), b"<x/>")
    assert data.endswith(b'SOAPAction: "a#b"\r\nContent-Length: 4\r\n\r\n<x/>')


@pytest.mark.parametrize(
    ("target", "host", "value"),
    [("no-slash", "h", ""), ("/a b", "h", ""), ("/", "h\r\nX: y", ""), ("/", "h", "a\nb")],
)
def test_nothing_breaks_out_of_its_line(target: str, host: str, value: str) -> None:
    with pytest.raises(ValueError):
        http.encode_request("GET", target, host, (("X", value),))


CONTENT_LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;name=value\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
)


@pytest.mark.parametrize(
    "whole", [CONTENT_LENGTH, CHUNKED, CONTENT_LENGTH.replace(b"\r\n", b"\n"), CHUNKED + b"more"]
)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_bodies_however_they_are_cut(whole: bytes, step: int) -> None:
    response = read(*(whole[i : i + step] for i in range(0, len(whole), step)))
    assert response is not None
    assert (response.status, response.reason, response.body) == (200, "OK", b"hello")


_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKS = _OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        _CHUNKS.replace(b"\r\n", b"\n") + b"5\nhello\n0\n\n",
        _CHUNKS + b"5\nhello\n0\n\n",
        _CHUNKS + b"\r\n5\r\nhello\r\n0\r\n\r\n",
        _CHUNKS + b" 5\r\nhello\r\n0\r\n\r\n",
        _CHUNKS + b"5  \r\nhello\r\n0\r\n\r\n",
        _CHUNKS + b"00000005\r\nhello\r\n000\r\n\r\n",
        _CHUNKS + b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
        _OK + b"TRANSFER-ENCODING: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        _OK + b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
        _OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        _OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        _OK + b"Content-Length : 5\r\n\r\nhello",
        _OK + b"no colon\r\n: no name\r\nContent-Length: 5\r\n\r\nhello",
        _OK + b"Server: \xe9\x01\r\nContent-Length: 5\r\n\r\nhello",
        b"\r\n" + _OK + b"Content-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.10 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
def test_what_routers_make_of_it(data: bytes) -> None:
    """Half of these is what stricter readers refuse: see `docs/design/0003`."""
    response = read(data)
    assert response is not None
    assert (response.status, response.body) == (200, b"hello")


DOCUMENT = b'<?xml version="1.0"?><!-- <b> --><s:Envelope a="b"><s:Body/></s:Envelope>'


@pytest.mark.parametrize(
    "head",
    [
        _OK + b"\r\n",
        _OK + b"Content-Length: %d\r\n\r\n" % (len(DOCUMENT) + 2),
        _CHUNKS + b"%x\r\n" % len(DOCUMENT),
    ],
)
def test_a_document_that_ends_before_its_response(head: bytes) -> None:
    """The connection stays open: what is whole is not waited for."""
    end = b"\r\n" if head.startswith(_CHUNKS) else b""
    for step in (1, 1000):
        whole = head + DOCUMENT + end
        response = read(*(whole[i : i + step] for i in range(0, len(whole), step)))
        assert response is not None
        assert response.body == DOCUMENT
    assert read(head + DOCUMENT[:-1]) is None


def test_a_document_that_goes_on_behind_its_length() -> None:
    """Some routers count characters, not bytes."""
    text = "<a>\u8def\u7531\u5668</a>"
    head, document = _OK + b"Content-Length: %d\r\n\r\n" % len(text), text.encode()
    for step in (1, 1000):
        whole = head + document
        response = read(*(whole[i : i + step] for i in range(0, len(whole), step)))
        assert response is not None
        assert response.body == document
    cut = read(_OK + b"Content-Length: 5\r\n\r\n<a><b", closed=True)
    assert cut is not None
    assert cut.body == b"<a><b"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n",
        b"Content-Length: %d\r\n\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n%x\r\n",
    ],
)
def test_compressed_bodies(head: bytes) -> None:
    body = gzip.compress(DOCUMENT)
    end = b"\r\n0\r\n\r\n" if b"chunked" in head else b""
    response = read(_OK + head % len(body) + body + end)
    assert response is not None
    assert response.body == DOCUMENT
    with pytest.raises(ProtocolError):
        read(_OK + head % len(body) + body[:9] + b"\xff" * len(body[9:]) + end)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"x" * 50_000_000)
    with pytest.raises(ProtocolError, match="more than"):
        read(_OK + b"Content-Length: %d\r\n\r\n" % len(bomb) + bomb)


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: \r\n\r\n",
        b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"Transfer-Encoding: deflate\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n\r\n",
    ],
)
def test_framing_that_makes_no_sense_is_not_believed(head: bytes) -> None:
    response = read(_OK + head + DOCUMENT)
    assert response is not None
    assert response.body.strip() == DOCUMENT


def test_a_body_until_the_connection_closes() -> None:
    part = b"HTTP/1.0 500 Internal Server Error\r\nServer: x\r\n\r\nhel"
    assert read(part, b"lo") is None
    response = read(part, b"lo", closed=True)
    assert response is not None
    assert (response.status, response.reason, response.body) == (500, "Internal Server Error", b"hello")
    assert response.headers.get("server") == "x"


def test_no_body_and_no_reason() -> None:
    response = read(b"HTTP/1.1 204\r\n\r\n")
    assert response is not None
    assert (response.status, response.reason, response.body) == (204, "", b"")


@pytest.mark.parametrize("status", ["503 Service Unavailable", "429 Too Many Requests", "307 Moved"])
@pytest.mark.parametrize("framing", ["", "Content-Length: 99\r\n", "Transfer-Encoding: chunked\r\n"])
def test_whose_head_says_all_is_not_waited_for(status: str, framing: str) -> None:
    """A router that leaves the connection open would else be called silent, and not be asked again."""
    response = read(f"HTTP/1.1 {status}\r\n{framing}Location: /x\r\n\r\n".encode())
    assert response is not None
    assert str(response.status) == status[:3]
    assert response.headers.get("location") == "/x"


def test_interim_responses_are_passed_over() -> None:
    response = read(b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + CONTENT_LENGTH)
    assert response is not None
    assert response.status == 200
    with pytest.raises(ProtocolError):
        read(b"HTTP/1.1 100 Continue\r\n\r\n" * 9)


def test_headers_are_joined_folded_and_cleaned() -> None:
    response = read(b"HTTP/1.1 204 OK\r\nA: 1\r\nA: 2\r\nB : x\r\n y\r\nC: \x01\xff\r\n\r\n")
    assert response is not None
    headers = response.headers
    assert (headers.get("a"), headers.get_all("a"), headers.get("b")) == ("1, 2", ["1", "2"], "x y")
    assert headers.get("c") == "\ufffd"
    assert headers.get("d", "-") == "-"


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-dropbear\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 099 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 2000,
        b"X" * 20000,
        b"HTTP/1.1 200 OK\r\n" + b"A: 1\r\n" * 200 + b"\r\n",
    ],
)
def test_nonsense(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(data)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\n", CONTENT_LENGTH[:-1], CHUNKED[:-4]])
def test_responses_cut_short(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(data, closed=True)


def test_an_endless_body_is_cut_off() -> None:
    reader = http.ResponseReader(max_body=1000)
    reader.feed(b"HTTP/1.1 200 OK\r\n\r\n")
    reader.feed(b"x" * 1000)
    with pytest.raises(ProtocolError):
        reader.feed(b"x")


def test_endless_chunks_are_cut_off() -> None:
    endless = http.ResponseReader(max_body=1000)
    endless.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(10):
        endless.feed(b"64\r\n" + b"x" * 100 + b"\r\n")
    with pytest.raises(ProtocolError):
        endless.feed(b"64\r\n")
