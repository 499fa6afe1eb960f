"""What the ends of a stream do in tests: read all, write all, say back what they hear."""

from __future__ import annotations

from nattools.net.base import TcpStream
from nattools.traversal.tunnel import TunnelStream


async def read_all(stream: TcpStream | TunnelStream) -> bytes:
    """Everything until the end."""
    received = bytearray()
    while data := await stream.read():
        received += data
    return bytes(received)


async def both_ways(one: TcpStream, other: TcpStream, data: bytes) -> None:
    """Each end gets what the other sends."""
    for source, sink in ((one, other), (other, one)):
        source.write(data)
        got = b""
        while len(got) < len(data) and (more := await sink.read()):
            got += more
        assert got == data


async def write_all(stream: TunnelStream, data: bytes, piece: int = 50_000) -> None:
    """In pieces, each of which is waited for; then the end."""
    for start in range(0, len(data), piece):
        stream.write(data[start : start + piece])
        await stream.drain()
    stream.end()


async def echo(stream: TunnelStream) -> None:
    """Say back what is heard."""
    while data := await stream.read():
        stream.write(data)
        await stream.drain()
    stream.end()
