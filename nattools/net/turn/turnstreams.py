"""TCP connections through a relay (RFC 6062): each has a connection to the relay of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpStream
from nattools.net.eventloop import TimeLimit
from nattools.net.turn.turndriver import TurnDriver
from nattools.net.web.serversteps import ServerStep, StepFailure
from nattools.protocols import stun
from nattools.protocols.turn.clientallocation import AllocationEvent, NotConnected, PeerConnected, PeerError
from nattools.protocols.turn.refusal import TurnRefusal, refusal
from nattools.protocols.turn.turnconstants import CONNECT_TIMEOUT_S

AnotherStream = Callable[[float], Awaitable[TcpStream | StepFailure]]
"""Another connection to the same relay, within so many seconds."""
MOST_ACCEPTING: Final = 64
"""Connections of peers that are being taken over; those that come on top are left to their time limit."""


class RelayedStreams:
    """Connects to peers from the relay's address, and lets permitted ones connect to it. The ends of the
    streams that it gives are those of the connection to the relay. `open_relayed_streams` makes one.

    `local` is the relayed address, `server` where the relay is, `steps` how the allocation came about.
    `on_stream` is told of each connection that a peer made, and of the peer. `ended`: why it is of no use any
    more; streams live on until the relay ends them.
    """

    def __init__(self, driver: TurnDriver, steps: tuple[ServerStep, ...], another: AnotherStream) -> None:
        self.local = driver.allocation.relayed[0]
        self.server = driver.allocation.server
        self.steps = steps
        self.on_stream: Callable[[TcpStream, Endpoint], None] | None = None
        self._driver = driver
        self._another = another
        self._results: dict[Endpoint, PeerConnected | NotConnected] = {}
        self._accepting: set[asyncio.Task[None]] = set()
        driver.on_event = self._happened

    @property
    def ended(self) -> TurnRefusal | None:
        """Why it is of no use any more."""
        return self._driver.allocation.refusal if self._driver.allocation.done else None

    async def permit(self, peer: Endpoint) -> TurnRefusal | None:
        """Let this address connect, until the end; why the relay does not."""
        return await self._driver.permit(peer.host)

    async def connect(self, peer: Endpoint) -> TcpStream | TurnRefusal:
        """Have the relay connect to a peer; it tries for half a minute."""
        self._driver.allocation.connect(peer)
        self._driver.drive()
        while peer not in self._results and self._driver.allocation.state == "standing":
            await self._driver.change()
        result = self._results.pop(peer, None)
        if isinstance(result, PeerConnected):
            return await self._bind(result.connection_id)
        why = self.ended if result is None else result.refusal
        return why or TurnRefusal("connect", "abandoned", None, "the allocation is over")

    async def release(self) -> None:
        """Give the allocation back, and wait until the relay has heard of it."""
        self._stop_accepting()
        await self._driver.release()

    def close(self) -> None:
        """Give the allocation back without waiting for an answer. Idempotent."""
        self._stop_accepting()
        self._driver.close()

    def _stop_accepting(self) -> None:
        for task in self._accepting:
            task.cancel()

    def _happened(self, event: AllocationEvent) -> None:
        if isinstance(event, PeerError):
            return
        if isinstance(event, NotConnected) or not event.offered:
            self._results[event.peer] = event
        elif self.on_stream is not None and len(self._accepting) < MOST_ACCEPTING:
            task = asyncio.get_running_loop().create_task(self._accept(event))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

    async def _accept(self, offered: PeerConnected) -> None:
        stream = await self._bind(offered.connection_id)
        if isinstance(stream, TurnRefusal):
            return
        if self.on_stream is None:
            stream.abort()
        else:
            self.on_stream(stream, offered.peer)

    async def _bind(self, connection_id: int) -> TcpStream | TurnRefusal:
        """Take over a peer's connection (RFC 6062 4.3, 4.4)."""
        stream = await self._another(CONNECT_TIMEOUT_S)
        if isinstance(stream, StepFailure):
            return TurnRefusal("connection-bind", "abandoned", None, stream.detail)
        transaction = self._driver.allocation.connection_bind(connection_id)
        try:
            async with TimeLimit(CONNECT_TIMEOUT_S):
                await _exchange(transaction, stream)
        except BaseException:
            stream.abort()
            raise
        transaction.abandon("no answer, or one that is none")
        refused = refusal("connection-bind", transaction)
        if refused is not None:
            stream.abort()
            return refused
        return stream


async def _exchange(transaction: stun.Transaction, stream: TcpStream) -> None:
    """Ask and answer over a stream, of which nothing is read that comes behind the answer."""
    loop, framer = asyncio.get_running_loop(), stun.Framer()
    while not transaction.done:
        for data, _ in transaction.datagrams_to_send(loop.time()):
            stream.write(data)
        data = await stream.read(framer.missing)
        try:
            messages = framer.feed(data)
        except ProtocolError:
            return
        if not data:
            return
        for message in messages:
            transaction.receive_datagram(message, transaction.destination, loop.time())
