"""A libp2p host: it connects, listens, and answers what every peer may ask."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Self, Unpack

from nattools import __version__
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family
from nattools.net.base import LocalEnd, Network, TcpFailure, TcpListener, TcpStream
from nattools.net.libp2p.peerconnection import (
    Libp2pConnection,
    MuxStream,
    PeerFailure,
    StreamServer,
    establish,
)
from nattools.protocols.libp2p.hostkey import HostKey
from nattools.protocols.libp2p.identify import IDENTIFY, PeerDescription, encode_description
from nattools.protocols.libp2p.multiaddr import Multiaddr, multiaddr_at
from nattools.protocols.libp2p.peerid import PeerId
from nattools.protocols.libp2p.peersession import PeerSession
from nattools.protocols.libp2p.uvarint import delimited

PING: Final = "/ipfs/ping/1.0.0"
PING_SIZE: Final = 32
_MOST_PINGS: Final = 1000
_MOST_CALLERS: Final = 64
"""So many may have called and still be there; who calls then is reset."""
HANDSHAKE_S: Final = 10.0
AGENT: Final = f"nattools/{__version__}"


class PeerHost:
    """`async with` runs it: leaving ends its connections and all that it serves. `servers` by protocol may be
    added to before a peer comes. `addresses`: what it says of where it is. `changed` is set with each new
    connection, for one who waits."""

    def __init__(self, network: Network, key: HostKey | None = None) -> None:
        self.network = network
        self.key = key or HostKey()
        self.addresses: tuple[Multiaddr, ...] = ()
        self.servers: dict[str, StreamServer] = {IDENTIFY: self._identify, PING: self._ping}
        self.connections: list[Libp2pConnection] = []
        self._group = asyncio.TaskGroup()
        self._listeners: list[TcpListener] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._calling = 0
        self._awaited: list[AwaitedCall] = []
        self.changed = asyncio.Event()

    @property
    def peer(self) -> PeerId:
        """Its own id."""
        return self.key.peer

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for listener in self._listeners:
            listener.close()
        for connection in self.connections:
            connection.close()
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(kind, error, trace)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it until the host's end. A fault in it is told to the event loop's exception handler and ends
        nothing else."""
        task = self._group.create_task(_guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # where the host ended before it began

    async def listen(self, family: Family, **end: Unpack[LocalEnd]) -> Endpoint:
        """Listen for peers, and where. CannotRun as in `Network.listen_tcp`."""
        listener = await self.network.listen_tcp(family=family, on_stream=self._called, **end)
        self._listeners.append(listener)
        return listener.local

    async def dial(
        self,
        remote: Endpoint,
        expected: PeerId | None = None,
        *,
        timeout_s: float,
        **end: Unpack[LocalEnd],
    ) -> Libp2pConnection | PeerFailure | TcpFailure:
        """Connect to a peer, all in `timeout_s` seconds; nobody but `expected` is taken. CannotRun as in
        `Network.connect_tcp`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        stream = await self.network.connect_tcp(remote, timeout_s=timeout_s, **end)
        if isinstance(stream, TcpFailure):
            return stream
        left_s = until - loop.time()
        return await self.take(stream, initiates=True, expected=expected, timeout_s=left_s)

    async def take(
        self,
        stream: TcpStream,
        *,
        initiates: bool,
        expected: PeerId | None = None,
        timeout_s: float = HANDSHAKE_S,
        relayed: bool = False,
        first: bytes = b"",
        idle_s: float | None = None,
    ) -> Libp2pConnection | PeerFailure:
        """Make a stream, of which `first` was read already, one of this host's connections. `idle_s`: one on
        which nothing is said for so long ends."""
        session = PeerSession(self.key, initiates=initiates, expected=expected)
        made = await establish(
            stream,
            session,
            self.servers,
            self.spawn,
            timeout_s=timeout_s,
            first=first,
            relayed=relayed,
            idle_s=idle_s,
        )
        if isinstance(made, Libp2pConnection):
            self.connections.append(made)
            self.changed.set()
            self.spawn(self._forget(made))
        return made

    async def _forget(self, connection: Libp2pConnection) -> None:
        await connection.ended.wait()
        self.connections.remove(connection)

    def expect_call(self, peer: PeerId, hosts: Sequence[str], *, initiates: bool) -> AwaitedCall:
        """Who calls from one of these IP addresses is taken for that peer, and the handshake is led by this
        end if it `initiates`."""
        call = AwaitedCall(peer, tuple(hosts), initiates, self._awaited)
        self._awaited.append(call)
        return call

    def _called(self, stream: TcpStream) -> None:
        if self._calling >= _MOST_CALLERS:
            stream.abort()
            return
        self._calling += 1
        self.spawn(self._answer_call(stream))

    async def _answer_call(self, stream: TcpStream) -> None:
        awaited = next((each for each in self._awaited if stream.remote.host in each.hosts), None)
        try:
            if awaited is None:
                made = await self.take(stream, initiates=False)
            else:
                made = await self.take(stream, initiates=awaited.initiates, expected=awaited.peer)
                awaited.came(made)
            if isinstance(made, Libp2pConnection):
                await made.ended.wait()
        finally:
            self._calling -= 1

    async def _identify(self, stream: MuxStream) -> None:
        description = PeerDescription(
            agent=AGENT,
            protocols=tuple(self.servers),
            addresses=self.addresses,
            observed=None if stream.connection.relayed else multiaddr_at(stream.remote),
            public_key=self.key.public,
            protocol_version="ipfs/0.1.0",
        )
        stream.write(delimited(encode_description(description)))
        stream.end()
        await stream.drain()

    async def _ping(self, stream: MuxStream) -> None:
        """What came at once is echoed at once: a frame for each of thousands would cost a server dear."""
        waiting, echoed = b"", 0
        while echoed < _MOST_PINGS:
            data = await stream.read()
            if not data:
                return
            waiting += data
            if whole := len(waiting) // PING_SIZE:
                stream.write(waiting[: whole * PING_SIZE])
                await stream.drain()
            waiting = waiting[whole * PING_SIZE :]
            echoed += whole


class AwaitedCall:
    """A peer that is about to call, while others are called by it. `close` it when that is over."""

    def __init__(
        self, peer: PeerId, hosts: tuple[str, ...], initiates: bool, awaited: list[AwaitedCall]
    ) -> None:
        self.peer, self.hosts, self.initiates = peer, hosts, initiates
        self._awaited = awaited
        self._made: asyncio.Future[Libp2pConnection] = asyncio.get_running_loop().create_future()

    def came(self, made: Libp2pConnection | PeerFailure) -> None:
        """It has called."""
        if isinstance(made, Libp2pConnection) and not self._made.done():
            self._made.set_result(made)

    async def wait_or(
        self, tasks: Iterable[asyncio.Task[Libp2pConnection | None]]
    ) -> Libp2pConnection | None:
        """What comes first: its call, or one of these."""
        waiting: list[asyncio.Future[Any]] = [self._made, *tasks]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return next((made for each in done if (made := each.result()) is not None), None)

    def close(self) -> None:
        """Idempotent."""
        if self in self._awaited:
            self._awaited.remove(self)


async def _guard(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception as error:
        told = {"message": "a task of a libp2p host failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(told)


async def listen_on_any_port(
    peer_host: PeerHost, family: Family, interface: str | None = None
) -> Endpoint | None:
    """Where it listens; None: it cannot."""
    try:
        return await peer_host.listen(family, interface=interface)
    except CannotRun:
        return None
