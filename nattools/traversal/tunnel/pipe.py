"""`--pipe`: this side's standard input to the other's standard output, and the other way round."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from nattools.protocols.tunnel import Pipe
from nattools.traversal.tunnel.standard import ByteSink, ByteSource
from nattools.traversal.tunnel.stream import TunnelStream
from nattools.traversal.tunnel.tunnel import Tunnel

USE: Final = "pipe"
"""What a tunnel's `uses` says of a side with a pipe."""
NOT_THERE: Final = "the other side was not started with --pipe"


@dataclass(frozen=True, slots=True)
class PipeOutcome:
    """Bytes taken from here and given out here. `failed`: None if all of both arrived, else why not.

    That bytes arrived does not mean that the other side could give them out: give `failed` to
    `Tunnel.finish`, which tells the other side, and look at `Tunnel.ended` afterwards."""

    sent: int
    received: int
    failed: str | None = None


class PipeUse:
    """Make it before the tunnel runs, which must have USE among its `uses`; then await `run` once."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self._sent = self._received = 0
        self._opened: asyncio.Future[TunnelStream] = asyncio.get_running_loop().create_future()
        tunnel.serve(Pipe, self._take)

    async def run(self, source: ByteSource, sink: ByteSink) -> PipeOutcome:
        """Until both directions have ended, or one cannot go on."""
        stream = await self._stream()
        if isinstance(stream, str):
            return PipeOutcome(0, 0, stream)
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._send(stream, source))
            failed = await self._receive(stream, sink) or await stream.finished()
            sending.cancel()
        return PipeOutcome(self._sent, self._received, failed)

    async def _stream(self) -> TunnelStream | str:
        """The leading side opens it, once it is known that the other wants one."""
        tunnel = self._tunnel
        while tunnel.peer_uses is None and tunnel.ended is None:
            await tunnel.changed()
        if tunnel.ended is not None:
            return tunnel.ended
        if USE not in (tunnel.peer_uses or ()):
            return NOT_THERE
        if tunnel.leads:
            return tunnel.open(Pipe())
        return await tunnel.unless_ended(self._opened) or tunnel.ended or NOT_THERE

    async def _take(self, stream: TunnelStream) -> None:
        if self._tunnel.leads or self._opened.done():
            stream.reset("there is a pipe already")
        else:
            self._opened.set_result(stream)

    async def _send(self, stream: TunnelStream, source: ByteSource) -> None:
        while not stream.over and (data := await source.read()):
            stream.write(data)
            self._sent += len(data)
            await stream.drain()
        stream.end()

    async def _receive(self, stream: TunnelStream, sink: ByteSink) -> str | None:
        """None, or why it could not be given out here."""
        failed = None
        while failed is None and (data := await stream.read()):
            failed = await sink.write(data)
            self._received += 0 if failed else len(data)
        if failed is None and stream.failed is None:
            failed = await sink.close()
        if failed is not None:
            stream.reset(f"the other side's standard output cannot be written to: {failed}")
        return None if failed is None else f"standard output cannot be written to: {failed}"
