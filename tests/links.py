"""Two ends of a link in memory, which breaks where a test wants it to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from nattools.lab.sim.loop import SimLoop
from nattools.model.endpoint import Endpoint
from nattools.traversal.tunnel import Tunnel

T = TypeVar("T")
SESSION = bytes(range(16))
_SHORT_QUEUE = 65536
_PIECE = 4096


class MemoryLink:
    """One end; `link_pair` makes two. What is written arrives `delay_s` later, at `bytes_per_s` at most.

    `breaks_after`: of the bytes written here, so many arrive; then both ends are gone.
    """

    kind: Literal["quic", "tls"] = "quic"
    max_datagram = 1200

    def __init__(self, delay_s: float, bytes_per_s: float | None) -> None:
        self.local: Endpoint | None = None
        self.remote: Endpoint | None = None
        self.ended: str | None = None
        self.on_datagram: Callable[[bytes], None] | None = None
        self.breaks_after: int | None = None
        self.drops_datagram: Callable[[bytes], bool] = lambda data: False
        self.written = 0
        self.peer: MemoryLink
        self._delay_s = delay_s
        self._bytes_per_s = bytes_per_s
        self._free_at = 0.0
        self._queued = 0
        self._received = bytearray()
        self._changed = asyncio.Event()

    async def read(self, limit: int = 65536) -> bytes:
        while not self._received and self.ended is None:
            self._changed.clear()
            await self._changed.wait()
        data = bytes(self._received[:limit])
        del self._received[:limit]
        return data

    def write(self, data: bytes) -> None:
        if self.ended is not None:
            return
        room = len(data) if self.breaks_after is None else self.breaks_after - self.written
        self.written += len(data)
        self._queued += len(data[:room])
        for start in range(0, len(data[:room]), _PIECE):
            piece = data[start : min(start + _PIECE, room)]
            self._later(len(piece), self._arrive, piece)
        if room < len(data):
            self._later(0, self._break)

    def _later(self, size: int, what: Callable[..., None], *arguments: object) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._bytes_per_s is not None:
            self._free_at = max(now, self._free_at) + size / self._bytes_per_s
        loop.call_at(max(now, self._free_at) + self._delay_s, what, *arguments)

    def _arrive(self, data: bytes) -> None:
        self._queued -= len(data)
        self._changed.set()
        if self.peer.ended is None and self.ended in (None, "closed"):
            self.peer._received += data
            self.peer._changed.set()

    def _break(self) -> None:
        for end in (self, self.peer):
            if end.ended is None:
                end.ended = "the test broke it"
                end._received.clear()
            end._changed.set()

    async def drain(self) -> None:
        while self._queued > _SHORT_QUEUE and self.ended is None:
            self._changed.clear()
            await self._changed.wait()

    def send_datagram(self, data: bytes) -> bool:
        if self.ended is None and not self.drops_datagram(data):
            self._later(len(data), self._datagram, data)
        return self.ended is None

    def _datagram(self, data: bytes) -> None:
        if self.peer.ended is None and self.peer.on_datagram is not None:
            self.peer.on_datagram(data)

    async def close(self) -> None:
        if self.ended is None:
            self.ended = "closed"
            self._later(0, self._finish)

    def _finish(self) -> None:
        if self.peer.ended is None:
            self.peer.ended = "the other side closed it"
        self.peer._changed.set()
        self._changed.set()

    def abort(self) -> None:
        if self.ended is None:
            self._break()


def link_pair(delay_s: float = 0.01, bytes_per_s: float | None = None) -> tuple[MemoryLink, MemoryLink]:
    """Two ends of one link."""
    one, other = MemoryLink(delay_s, bytes_per_s), MemoryLink(delay_s, bytes_per_s)
    one.peer, other.peer = other, one
    return one, other


class Pair:
    """Two tunnels, and the links between them."""

    def __init__(self, *, uses: tuple[str, ...] = (), other_uses: tuple[str, ...] = ()) -> None:
        self.one = Tunnel(SESSION, leads=True, uses=uses)
        self.other = Tunnel(SESSION, leads=False, uses=other_uses)

    def join(self, delay_s: float = 0.01, bytes_per_s: float | None = None) -> tuple[MemoryLink, MemoryLink]:
        """Give both a new link."""
        links = link_pair(delay_s, bytes_per_s)
        self.one.attach(links[0])
        self.other.attach(links[1])
        return links


def run_pair(
    main: Callable[[Pair], Awaitable[T]],
    *,
    uses: tuple[str, ...] = (),
    other_uses: tuple[str, ...] = (),
    joined: bool = True,
) -> T:
    """Run `main` beside two running tunnels, on a virtual clock; then stop them."""

    async def whole() -> T:
        pair = Pair(uses=uses, other_uses=other_uses)
        if joined:
            pair.join()
        async with asyncio.TaskGroup() as group:
            group.create_task(pair.one.run())
            group.create_task(pair.other.run())
            try:
                return await main(pair)
            finally:
                pair.one.stop("the test is over")
                pair.other.stop("the test is over")

    loop = SimLoop(patience_s=3600)
    try:
        return loop.run_until_complete(whole())
    finally:
        loop.close()
