"""HTTP as a fake router serves it: one request for each connection, and responses in odd wrappings."""

from __future__ import annotations

import asyncio
import gzip

from nattools.lab.routers.igddevice import HttpReply
from nattools.lab.routers.routerbehaviour import Framing
from nattools.net.base import TcpStream
from nattools.protocols.headers import parse_head, split_head

_MOST_PARTS = 400
_PART = 200
_CHUNK = 300


async def read_request(stream: TcpStream) -> tuple[bytes, bytes] | None:
    """The head and the body; None: the client went away. ProtocolError: it is no request."""
    data = b""
    while (end := split_head(data)) is None:
        part = await stream.read()
        if not part:
            return None
        data += part
    _, headers = parse_head(data[:end])
    length = int(headers.get("content-length") or "0")
    while len(data) < end + length:
        part = await stream.read()
        if not part:
            return None
        data += part
    return data[:end], data[end : end + length]


async def send_reply(stream: TcpStream, reply: HttpReply, framing: Framing) -> None:
    """The whole of it, or as slowly and as much as the reply says (within a bound)."""
    body = gzip.compress(reply.body) if framing == "gzip" else reply.body
    if framing == "chunked":
        body = _chunked(body)
    head = _head(reply, framing, len(body))
    if framing == "bytes":
        for byte in head + body:
            stream.write(bytes((byte,)))
            await stream.drain()
        return
    stream.write(head)
    if reply.endless:
        for _ in range(_MOST_PARTS):
            stream.write(body)
            await stream.drain()
    elif reply.pause_s:
        for position in range(0, len(body), _PART):
            stream.write(body[position : position + _PART])
            await asyncio.sleep(reply.pause_s)
    else:
        stream.write(body)
    await stream.drain()


def _head(reply: HttpReply, framing: Framing, length: int) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {reply.reason}", "Content-Type: text/xml"]
    if reply.location:
        lines.append(f"Location: {reply.location}")
    lines += {
        "too long": [f"Content-Length: {length + 2}"],
        "keep-alive": [f"Content-Length: {length}", "Keep-Alive: timeout=60"],
        "chunked": ["Transfer-Encoding: chunked", "Trailer: X-Odd"],
        "gzip": ["Content-Encoding: gzip"],
    }.get(framing, [])
    lines.append("Connection: keep-alive" if framing == "keep-alive" else "Connection: close")
    return "\r\n".join([*lines, "", ""]).encode()


def _chunked(body: bytes) -> bytes:
    """With extensions and trailers (RFC 9112 7.1)."""
    parts = [body[at : at + _CHUNK] for at in range(0, len(body), _CHUNK)]
    chunks = b"".join(b"%x;odd=1\r\n%s\r\n" % (len(part), part) for part in parts)
    return chunks + b"0\r\nX-Odd: yes\r\nX-Even: no\r\n\r\n"
