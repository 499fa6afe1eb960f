"""The datagrams of one UDP conversation, through a stream of the tunnel and beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from nattools.protocols.ice.framing import DatagramDeframer, frame
from nattools.traversal.tunnel.stream import TunnelStream
from nattools.traversal.tunnel.tunnel import Tunnel

IDLE_S: Final = 60.0
_MOST_KEPT: Final = 262_144
"""Bytes of datagrams that may wait in the stream: more are dropped, as any network would."""


class Flow:
    """`deliver` is given what comes; `send` takes what is to go. `run` ends when nothing has gone either way
    for `idle_s`, or the stream is over; it returns why it failed, or None.

    Datagrams go beside the stream, as the connection's own, as soon as the other side is known to have heard
    of the stream and if they fit; else within it, where they are framed (RFC 4571) and cannot be lost.
    """

    def __init__(
        self, tunnel: Tunnel, stream: TunnelStream, deliver: Callable[[bytes], object], idle_s: float = IDLE_S
    ) -> None:
        self.stream = stream
        self._tunnel = tunnel
        self._deliver = deliver
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._used_at = self._loop.time()
        self._heard = False
        stream.on_datagram = self._arrived

    def welcome(self) -> None:
        """Let the other side know that this one has heard of the stream."""
        self._heard = True
        self.stream.write(frame(b""))

    def send(self, data: bytes) -> None:
        """One datagram."""
        self._used_at = self._loop.time()
        if self._heard and len(data) <= self._tunnel.max_datagram:
            self.stream.send_datagram(data)
        elif self.stream.kept + len(data) <= _MOST_KEPT:
            self.stream.write(frame(data))

    async def run(self) -> str | None:
        """See the class."""
        deframer = DatagramDeframer()
        while (left_s := self._used_at + self._idle_s - self._loop.time()) > 0:
            try:
                async with asyncio.timeout(left_s):
                    data = await self.stream.read()
            except TimeoutError:
                continue
            if not data:
                break
            self._heard = True
            for datagram in deframer.feed(data):
                self._arrived(datagram)
        self.stream.on_datagram = None
        self.stream.end()
        return self.stream.failed

    def _arrived(self, data: bytes) -> None:
        self._heard = True
        self._used_at = self._loop.time()
        self._deliver(data)
