"""`--pipe`: this side's standard input to the other's standard output, and the other way round.

Standard input and output are bytes on the event loop, whatever is behind them. A thread each reads or
writes, blocking: files cannot be waited for, and making a terminal's descriptor non-blocking would make it so
for every other program that has it. The threads are daemons, so that one that waits for a key does not keep
the program from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from dataclasses import dataclass
from threading import Semaphore, Thread
from typing import Final, Protocol

from nattools.descriptors import read_some, write_some
from nattools.protocols.tunnel import Pipe
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
            stream.reset("there is already a pipe")
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


_CHUNK: Final = 262_144
_AHEAD: Final = 4  # chunks


class ByteSource(Protocol):
    """Where a pipe's bytes come from."""

    async def read(self) -> bytes:
        """Some bytes; b"" at the end."""


class ByteSink(Protocol):
    """Where a pipe's bytes go."""

    async def write(self, data: bytes) -> str | None:
        """Write all of it; None, or why nothing can be written any more."""

    async def close(self) -> str | None:
        """Write what is left and close it; None, or why not all could be written."""


class DescriptorSource:
    """A `ByteSource` over a file descriptor, which stays open; None is one that was closed before."""

    def __init__(self, descriptor: int | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._chunks: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._room = Semaphore(_AHEAD)
        self._ended = descriptor is None
        if descriptor is not None:
            Thread(target=self._run, args=(descriptor,), name="standard input", daemon=True).start()

    async def read(self) -> bytes:
        """Some bytes; b"" at the end, and when it cannot be read."""
        while not self._chunks and not self._ended:
            self._arrived.clear()
            await self._arrived.wait()
        if not self._chunks:
            return b""
        self._room.release()
        return self._chunks.popleft()

    def _run(self, descriptor: int) -> None:
        data = b"begin"
        while data:
            self._room.acquire()
            try:
                data = read_some(descriptor, _CHUNK)
            except OSError:  # closed, or a terminal that belongs to another program now
                data = b""
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(self._take, data)

    def _take(self, data: bytes) -> None:
        if data:
            self._chunks.append(data)
        else:
            self._ended = True
        self._arrived.set()


class DescriptorSink:
    """A `ByteSink` over a file descriptor; None is one that was closed before."""

    def __init__(self, descriptor: int | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._descriptor = descriptor
        self._failed = "it is closed" if descriptor is None else None
        self._chunks: deque[bytes] = deque()
        self._queued = Semaphore(0)
        self._written = asyncio.Event()
        self._left = 0
        if descriptor is not None:
            Thread(target=self._run, args=(descriptor,), name="standard output", daemon=True).start()

    async def write(self, data: bytes) -> str | None:
        """Write it, as soon as there is room; None, or why nothing can be written any more."""
        await self._until(_AHEAD)
        self._put(data)
        return self._failed

    async def close(self) -> str | None:
        """Write what is left; then the reader behind it sees the end."""
        await self._until(0)
        self._put(b"")
        await self._until(0)
        return self._failed

    async def _until(self, left: int) -> None:
        while self._left > left and self._failed is None:
            self._written.clear()
            await self._written.wait()

    def _put(self, data: bytes) -> None:
        if self._failed is None:
            self._left += 1
            self._chunks.append(data)
            self._queued.release()

    def _run(self, descriptor: int) -> None:
        failed = None
        while failed is None:
            self._queued.acquire()
            data = self._chunks.popleft()
            failed = _write_all(descriptor, data) if data else _close(descriptor)
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(self._done, failed)
            if not data:
                return

    def _done(self, failed: str | None) -> None:
        self._left -= 1
        self._failed = self._failed or failed
        self._written.set()


def _write_all(descriptor: int, data: bytes) -> str | None:
    view = memoryview(data)
    try:
        while view:
            view = view[write_some(descriptor, view) :]
    except OSError as error:
        return error.strerror or str(error)
    return None


def _close(descriptor: int) -> str | None:
    """What writes into nowhere takes the descriptor's place, so that the number is not taken by another."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
    except OSError as error:
        return error.strerror or str(error)
    return None


def standard_input() -> DescriptorSource:
    """This process's."""
    return DescriptorSource(None if sys.stdin is None else _number(sys.stdin))


def standard_output() -> DescriptorSink:
    """This process's."""
    if sys.stdout is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
    return DescriptorSink(None if sys.stdout is None else _number(sys.stdout))


def _number(file: object) -> int | None:
    try:
        descriptor = int(file.fileno())  # type: ignore[attr-defined]
    except (OSError, ValueError, AttributeError):
        return None
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(descriptor, os.O_BINARY)  # or it would change line ends
    return descriptor
