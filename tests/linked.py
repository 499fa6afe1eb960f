"""Two machines with a path between them, and links over it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from nattools.model.endpoint import Endpoint
from nattools.net.base import Network, TcpFailure, TcpStream, UdpSocket
from nattools.net.turn.turnsocket import RelayedSocket
from nattools.protocols.demultiplex import protocol_of
from nattools.traversal.links.link import DatagramPath, Link, Receive
from nattools.traversal.links.quiclink import QuicLink
from nattools.traversal.links.quicopening import quic_link
from nattools.traversal.links.tlslink import TlsLink, tls_link

T = TypeVar("T")
SECRET = bytes(range(32))
OTHER_SECRET = bytes(32)

Fate = Callable[[bytes], list[bytes]]


def as_it_is(data: bytes) -> list[bytes]:
    """The fate of a datagram on a path that is whole."""
    return [data]


def lost(data: bytes) -> list[bytes]:
    """And on one that is cut."""
    return []


class SocketPath:
    """`nattools.traversal.links.link.DatagramPath` over one socket to one place."""

    def __init__(self, socket: UdpSocket, remote: Endpoint) -> None:
        self._socket = socket
        self._remote = remote

    @property
    def local(self) -> Endpoint:
        """Where the socket is bound."""
        return self._socket.local

    @property
    def remote(self) -> Endpoint:
        """Where everything is sent to, and comes from."""
        return self._remote

    def attach(self, receive: Receive, changed: Callable[[], None]) -> None:
        """Take over the socket."""

        def arrived(data: bytes, source: Endpoint) -> None:
            if source == self._remote and protocol_of(data) == "quic":
                receive(data, len(data))

        def many(data: bytes, size: int, source: Endpoint) -> None:
            if source == self._remote:
                receive(data, size)

        self._socket.on_datagram, self._socket.on_batch = arrived, many

    def detach(self) -> None:
        """Idempotent."""
        self._socket.on_datagram = self._socket.on_batch = None

    def send(self, datagrams: list[bytes]) -> None:
        """Send now."""
        self._socket.send_many(datagrams, self._remote)

    def close(self) -> None:
        """Close the socket. Idempotent."""
        self.detach()
        self._socket.close()


class WatchedPath:
    """A path that can be cut and tampered with: `fate` gets each datagram that is about to leave and says
    what leaves instead."""

    def __init__(self, path: SocketPath) -> None:
        self._path = path
        self.receive: Receive | None = None
        self.on_change: Callable[[], None] | None = None
        self.fate: Fate = as_it_is
        self.sent: list[bytes] = []

    @property
    def local(self) -> Endpoint | None:
        return self._path.local

    @property
    def remote(self) -> Endpoint | None:
        return self._path.remote

    def attach(self, receive: Receive, changed: Callable[[], None]) -> None:
        self.receive, self.on_change = receive, changed
        self._path.attach(receive, changed)

    def detach(self) -> None:
        self.receive = self.on_change = None
        self._path.detach()

    @property
    def attached(self) -> bool:
        return self.receive is not None

    def send(self, datagrams: list[bytes]) -> None:
        for data in datagrams:
            for each in self.fate(data):
                self.sent.append(each)
                self.send_on(each)

    def send_on(self, data: bytes) -> None:
        self._path.send([data])


class NarrowPath(WatchedPath):
    """One that carries `bytes_per_s`; what would have to wait longer than `queue_s` for that is lost."""

    def __init__(self, path: SocketPath, bytes_per_s: float, queue_s: float) -> None:
        super().__init__(path)
        self._bytes_per_s, self._queue_s = bytes_per_s, queue_s
        self._free_at = 0.0

    def send_on(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        begins = max(loop.time(), self._free_at)
        if begins - loop.time() <= self._queue_s:
            self._free_at = begins + len(data) / self._bytes_per_s
            loop.call_at(self._free_at, super().send_on, data)


async def narrow_paths(
    one: Network, other: Network, bytes_per_s: float, queue_s: float
) -> tuple[NarrowPath, NarrowPath]:
    """As `paths`, both narrow."""
    ours, theirs = await one.open_udp(family=4), await other.open_udp(family=4)
    return (
        NarrowPath(SocketPath(ours, theirs.local), bytes_per_s, queue_s),
        NarrowPath(SocketPath(theirs, ours.local), bytes_per_s, queue_s),
    )


async def paths(one: Network, other: Network) -> tuple[WatchedPath, WatchedPath]:
    """A socket each, that sends to the other's."""
    ours, theirs = await one.open_udp(family=4), await other.open_udp(family=4)
    return WatchedPath(SocketPath(ours, theirs.local)), WatchedPath(SocketPath(theirs, ours.local))


async def streams(one: Network, other: Network, port: int = 0) -> tuple[TcpStream, TcpStream]:
    """The two ends of a connection that the first one made."""
    accepted: asyncio.Future[TcpStream] = asyncio.get_running_loop().create_future()
    listener = await other.listen_tcp(family=4, port=port, on_stream=accepted.set_result)
    stream = await one.connect_tcp(listener.local, timeout_s=60)
    assert not isinstance(stream, TcpFailure), stream
    other_end = await accepted
    listener.close()
    return stream, other_end


async def both(first: Awaitable[T], second: Awaitable[T]) -> tuple[T, T]:
    """Two things at once."""

    async def wait(work: Awaitable[T]) -> T:
        return await work

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(wait(each)) for each in (first, second)]
    return tasks[0].result(), tasks[1].result()


async def quic_links(
    one: DatagramPath, other: DatagramPath, *, timeout_s: float = 60
) -> tuple[QuicLink, QuicLink]:
    """The first one leads."""
    ours, theirs = await both(
        quic_link(one, SECRET, leads=True, timeout_s=timeout_s),
        quic_link(other, SECRET, leads=False, timeout_s=timeout_s),
    )
    assert isinstance(ours, QuicLink), ours
    assert isinstance(theirs, QuicLink), theirs
    return ours, theirs


async def quic_carries(one: RelayedSocket, other: RelayedSocket, size: int) -> None:
    """A link over two relayed sockets carries so many bytes as they are; then both are closed."""
    ours, theirs = await quic_links(
        WatchedPath(SocketPath(one, other.local)), WatchedPath(SocketPath(other, one.local))
    )
    data = Random(1).randbytes(size)
    ours.write(data)
    assert await read_exactly(theirs, len(data)) == data
    await ours.close()
    await theirs.close()
    one.close()
    other.close()


async def tls_links(one: TcpStream, other: TcpStream) -> tuple[TlsLink, TlsLink]:
    """The first one leads."""
    ours, theirs = await both(
        tls_link(one, SECRET, leads=True, timeout_s=60), tls_link(other, SECRET, leads=False, timeout_s=60)
    )
    assert isinstance(ours, TlsLink), ours
    assert isinstance(theirs, TlsLink), theirs
    return ours, theirs


async def read_exactly(link: Link, size: int) -> bytes:
    """So many bytes, or what comes until the end."""
    got = bytearray()
    while len(got) < size and (data := await link.read(min(65536, size - len(got)))):
        got += data
    return bytes(got)


async def read_all(link: Link) -> bytes:
    """Everything until the end."""
    return await read_exactly(link, 1 << 40)
