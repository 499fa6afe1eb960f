"""HTTP/1.1 for a client that asks a router one question per connection (RFC 9110, RFC 9112). Pure.

Nothing else: no HEAD, no pipelining, no trailers of use. Compression is never asked for, and undone where it
comes all the same. A router's answer is hostile, so everything has a bound.
"""

from __future__ import annotations

import re
import zlib
from typing import Literal

import msgspec

from nattools.errors import ProtocolError
from nattools.protocols.headers import Headers, parse_head, split_head

MAX_BODY = 262_144
_MAX_INTERIM = 4
_MAX_CHUNK_LINE = 1024
_NO_BODY = (204, 304)
REDIRECTS = (301, 302, 303, 307, 308)
_BODY_UNREAD = (*REDIRECTS, 429, 503)
"""Whoever is sent elsewhere, or is to come again later, needs no more than the head."""
_MAX_NAME = 256
_MAX_PROLOG = 4096
_GZIP = b"\x1f\x8b"
_ROOT = re.compile(rb"(?:[\s\0]|\xef\xbb\xbf|<\?[^>]*>|<!--.*?-->)*<([A-Za-z_][\w.:-]{0,200})", re.DOTALL)


class HttpResponse(msgspec.Struct, frozen=True):
    """A whole response."""

    status: int
    reason: str
    headers: Headers
    body: bytes


class HungUpError(ProtocolError):
    """The connection closed before the first byte of a response."""


def encode_request(
    method: Literal["GET", "POST"],
    target: str,
    host: str,
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
) -> bytes:
    """A request that asks the server to close the connection after its answer.

    `target` begins with "/"; `host` as the Host header has it, brackets and port included. ValueError: a part
    that would break out of its place.
    """
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    if not target.startswith("/") or " " in target or any("\r" in each or "\n" in each for each in lines):
        raise ValueError("a request line or header that is none")
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + body


class ResponseReader:
    """Collects one response out of what is read from a connection.

    Feed it what was read, in order; `close()` when the other side has closed. `response` is not None as soon
    as it is complete, by its framing or because its XML document ends; what follows is ignored. Both raise
    ProtocolError when the response makes no sense, is cut short or exceeds a bound; the reader is of no use
    then.
    """

    def __init__(self, *, max_body: int = MAX_BODY) -> None:
        self.response: HttpResponse | None = None
        self._max_body = max_body
        self._buffer = bytearray()
        self._status = 0
        self._reason = ""
        self._headers: Headers | None = None
        self._length: int | None = None
        self._chunks: _Chunks | None = None
        self._interim = 0

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        if self.response is not None:
            return
        self._buffer += data
        while self._headers is None:
            if not self._read_head():
                return
        self._read_body(closed=False)
        if self.response is None and self._ends_with_its_document():
            self._finish(bytes(self._buffer if self._chunks is None else self._chunks.body))

    def close(self) -> None:
        """The connection is at its end."""
        if self.response is not None:
            return
        if self._headers is None and not self._buffer and not self._interim:
            raise HungUpError("the connection closed before a response")
        if self._headers is None:
            raise ProtocolError("the connection closed before a response")
        self._read_body(closed=True)
        if self.response is None:
            raise ProtocolError("a response cut short")

    def _read_head(self) -> bool:
        """Read a head if it is there; interim responses (RFC 9110 15.2) are passed over."""
        end = split_head(self._buffer)
        if end is None:
            return False
        first, headers = parse_head(self._buffer[:end])
        del self._buffer[:end]
        self._status, self._reason = status_line(first)
        if 100 <= self._status < 200:
            self._interim += 1
            if self._interim > _MAX_INTERIM:
                raise ProtocolError("too many interim responses")
            return True
        self._headers = headers
        self._frame(headers)
        return True

    def _frame(self, headers: Headers) -> None:
        """How long is the body (RFC 9112 6.3)? Where the headers make no sense, it ends with the connection,
        or with its document."""
        codings = headers.get("transfer-encoding").lower()
        if self._status in _NO_BODY or self._status in _BODY_UNREAD:
            self._length = 0
        elif "chunked" in codings:
            self._chunks = _Chunks(self._max_body)
        else:
            self._length = _content_length(headers)
            if self._length is not None and self._length > self._max_body:
                raise ProtocolError(f"a body of {self._length} bytes")

    def _read_body(self, *, closed: bool) -> None:
        buffer = self._buffer
        if self._chunks is not None and not self._chunks.body and buffer.lstrip().startswith(b"<"):
            self._chunks = None  # some routers name the coding and do not use it
        if self._chunks is not None:
            if self._chunks.take(buffer):
                self._finish(bytes(self._chunks.body))
        elif self._length is not None and len(buffer) < self._length:
            return
        elif self._length is not None and ((self._length == len(buffer) and closed) or not self._goes_on()):
            self._finish(bytes(buffer[: self._length]))
        elif len(buffer) > self._max_body:
            raise ProtocolError(f"a body of more than {self._max_body} bytes")
        elif closed:
            self._finish(bytes(buffer))

    def _goes_on(self) -> bool:
        """Does an XML document go on behind the length named? Some routers count characters, not bytes."""
        body = self._buffer[: self._length]
        root = _ROOT.match(body[:_MAX_PROLOG]) if self._status == 200 else None
        return root is not None and b"</" + root[1] not in body and not body.rstrip().endswith(b"/>")

    def _ends_with_its_document(self) -> bool:
        """Is an XML document in the body complete? Some routers name a length that is too large, leave the
        last chunk out, or neither name a length nor close the connection."""
        body = self._buffer if self._chunks is None else self._chunks.body
        tail = bytes(body[-_MAX_NAME:]).rstrip(b" \t\r\n\0")
        if not tail.endswith(b">"):
            return False
        root = _ROOT.match(body[:_MAX_PROLOG])
        return root is not None and tail.endswith(b"</" + root[1] + b">")

    def _finish(self, body: bytes) -> None:
        if body.startswith(_GZIP):
            body = _decompressed(body, self._max_body)
        self.response = HttpResponse(self._status, self._reason, self._headers or Headers([]), body)
        self._buffer.clear()


def _decompressed(body: bytes, max_body: int) -> bytes:
    """What was compressed by gzip (RFC 1952), as far as it goes. ProtocolError: too much, or damaged."""
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        plain = stream.decompress(body, max_body + 1)
    except zlib.error as error:
        raise ProtocolError(f"a compressed body that cannot be read ({error})") from None
    if len(plain) > max_body:
        raise ProtocolError(f"a body of more than {max_body} bytes")
    return plain


class _Chunks:
    """RFC 9112 7.1. Extensions and trailers are read over."""

    def __init__(self, max_body: int) -> None:
        self.body = bytearray()
        self._max_body = max_body
        self._left: int | None = None
        self._trailers = 0
        self._last = False

    def take(self, buffer: bytearray) -> bool:
        """Move what is complete from the buffer into the body; True: that was the last chunk."""
        while True:
            if self._left is not None:
                if len(buffer) < self._left + 1:
                    return False
                if not self._take_data(buffer, self._left):
                    return False
                continue
            line = _take_line(buffer)
            if line is None:
                return False
            if self._last:
                if not line:
                    return True
                self._trailers += 1
                if self._trailers > 20:
                    raise ProtocolError("too many trailers")
            elif line:
                self._begin(line)

    def _take_data(self, buffer: bytearray, size: int) -> bool:
        """The data and the line end behind it."""
        end = 2 if buffer[size : size + 1] == b"\r" else 1
        if len(buffer) < size + end:
            return False
        if not buffer[size : size + end].endswith(b"\n"):
            raise ProtocolError("a chunk longer than it says")
        self.body += buffer[:size]
        del buffer[: size + end]
        self._left = None
        return True

    def _begin(self, line: bytes) -> None:
        digits = line.partition(b";")[0].strip().lower()
        if not digits or len(digits) > 8 or not all(each in b"0123456789abcdef" for each in digits):
            raise ProtocolError("a chunk without a valid size")
        size = int(digits, 16)
        if len(self.body) + size > self._max_body:
            raise ProtocolError(f"a body of more than {self._max_body} bytes")
        self._left, self._last = (size, False) if size else (None, True)


def _take_line(buffer: bytearray) -> bytes | None:
    end = buffer.find(b"\n", 0, _MAX_CHUNK_LINE)
    if end < 0:
        if len(buffer) >= _MAX_CHUNK_LINE:
            raise ProtocolError("an endless line between chunks")
        return None
    line = bytes(buffer[:end]).rstrip(b"\r")
    del buffer[: end + 1]
    return line


def status_line(line: str) -> tuple[int, str]:
    """RFC 9112 4; the reason may be missing."""
    version, _, rest = line.partition(" ")
    status, _, reason = rest.strip().partition(" ")
    plausible = len(status) == 3 and status.isascii() and status.isdigit() and status >= "100"
    if not version.upper().startswith("HTTP/1.") or not plausible:
        raise ProtocolError("not a response of HTTP/1")
    return int(status), reason.strip()[:200]


def _content_length(headers: Headers) -> int | None:
    """RFC 9112 6.3. None: until the connection closes, as where the header makes no sense."""
    values = {each.strip() for line in headers.get_all("content-length") for each in line.split(",")}
    value = values.pop() if len(values) == 1 else ""
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 12 else None
