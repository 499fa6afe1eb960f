"""A TCP connection and a tunnel's stream, joined: the bytes of each go to the other, each end for itself."""

from __future__ import annotations

import asyncio
from typing import Final

from nattools.net.base import TcpStream
from nattools.traversal.tunnel.stream import TunnelStream

_LOST: Final = "the connection behind the tunnel was reset"


async def splice(stream: TunnelStream, tcp: TcpStream) -> str | None:
    """Until both directions have ended. None if all went well, else why not; both are closed then."""
    try:
        return await _Splice(stream, tcp).run()
    except asyncio.CancelledError:
        stream.reset("the other side stopped")
        raise
    finally:
        if stream.failed is None:
            tcp.close()
        else:
            tcp.abort()


class _Splice:
    def __init__(self, stream: TunnelStream, tcp: TcpStream) -> None:
        self._stream = stream
        self._tcp = tcp
        self._ended_inward = False

    async def run(self) -> str | None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._outward())
            await self._inward()
        return await self._stream.finished()

    async def _outward(self) -> None:
        """From the connection into the tunnel."""
        while data := await self._tcp.read():
            self._stream.write(data)
            await self._stream.drain()
        if self._tcp.over and not self._ended_inward:
            self._stream.reset(_LOST)  # an end would say that this was all
        else:
            self._stream.end()

    async def _inward(self) -> None:
        """From the tunnel to the connection."""
        while data := await self._stream.read():
            self._tcp.write(data)
            await self._tcp.drain()
            if self._tcp.over:
                self._stream.reset(_LOST)
        if self._stream.failed is None:
            self._ended_inward = True
            self._tcp.end()
        else:
            self._tcp.abort()  # ends the reading, too
