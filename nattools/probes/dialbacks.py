"""The client's side of dial-backs: a port that listens for them, and ordering one from a nattools server."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint, Transport
from nattools.net.base import TcpFailure, TcpListener, TcpStream, UdpSocket
from nattools.net.wait import TimedEvent
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.probe import ProbeContext
from nattools.probes.target import Target
from nattools.protocols import dialback, stun

_PATIENCE_S = 5.0


class InboundListener:
    """A port that listens for dial-backs and sends nothing, so that no NAT or firewall opens for its sake.

    Made by `open_inbound_listener`; close it. `reached` is set when a dial-back with one of `nonces` has
    arrived, which came from `origin`.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.local = Endpoint("", 0)
        self.nonces: set[bytes] = set()
        self.reached = TimedEvent()
        self.origin: Endpoint | None = None
        self.socket: UdpSocket | TcpListener | None = None
        self._greetings: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Idempotent."""
        if self.socket is not None:
            self.socket.close()
        for task in tuple(self._greetings):
            task.cancel()

    def on_datagram(self, data: bytes, source: Endpoint) -> None:
        """Is it a dial-back of ours?"""
        try:
            arrival = dialback.decode_indication(stun.decode(data))
        except ProtocolError:
            return
        if arrival is not None and arrival.nonce in self.nonces:
            self.origin = self.origin or source
            self.reached.set()

    def on_stream(self, stream: TcpStream) -> None:
        """Somebody has connected; it tells who it is."""
        task = asyncio.get_running_loop().create_task(self._greet(stream))
        self._greetings.add(task)
        task.add_done_callback(self._greetings.discard)

    async def _greet(self, stream: TcpStream) -> None:
        framer = stun.Framer()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not self.reached.is_set and (data := await stream.read()):
                    for frame in framer.feed(data):
                        self.on_datagram(frame, stream.remote)
        except (ProtocolError, TimeoutError):
            return
        finally:
            stream.abort()


async def open_inbound_listener(
    gateway: GatewayContext, transport: Transport, port: int = 0
) -> InboundListener:
    """Listen on a port of the own address there (0: one that the system chooses). CannotRun: it is taken."""
    listener = InboundListener(transport)
    if transport == "udp":
        socket = await gateway.open_udp(port=port)
        socket.on_datagram = listener.on_datagram
        listener.socket, listener.local = socket, Endpoint(gateway.local, socket.local.port)
        return listener
    accepting = await gateway.network.listen_tcp(
        family=gateway.family, host=gateway.local, port=port, on_stream=listener.on_stream
    )
    listener.socket, listener.local = accepting, Endpoint(gateway.local, accepting.local.port)
    return listener


CONNECT_S = 3.0
Outcome = Literal["arrived", "refused", "timeout", "unreachable", "error", "denied"]


async def order_dial_back(
    gateway: GatewayContext, target: Target, ask: dialback.Ask
) -> dialback.Result | str:
    """What the server says of a dial-back to this machine's address as it sees it; or why it says nothing."""
    try:
        return await (_over_udp if target.transport == "udp" else _over_tcp)(gateway, target, ask)
    except CannotRun as error:
        return str(error)


async def _over_udp(gateway: GatewayContext, target: Target, ask: dialback.Ask) -> dialback.Result | str:
    loop = asyncio.get_running_loop()
    rto_s = max(0.1, 1.5 * target.rtt_s)
    request = dialback.DialBackRequest(ask, target.endpoint, loop.time(), rto_s=rto_s)
    socket = await gateway.open_udp()
    answered = asyncio.Event()

    def on_datagram(data: bytes, source: Endpoint) -> None:
        if request.receive_datagram(data, source, loop.time()):
            answered.set()

    socket.on_datagram = on_datagram
    try:
        await _drive(request, socket, target.endpoint, answered)
    finally:
        socket.close()
    return request.result or f"the server {target.endpoint} gave {request.failure or 'no answer'}"


async def _drive(
    request: dialback.DialBackRequest, socket: UdpSocket, server: Endpoint, answered: asyncio.Event
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        for datagram in request.datagrams_to_send(loop.time()):
            socket.send(datagram, server)
        deadline = request.next_timeout()
        if deadline is None:
            return
        answered.clear()
        try:
            async with asyncio.timeout_at(deadline):
                await answered.wait()
        except TimeoutError:
            request.handle_timeout(loop.time())


async def _over_tcp(gateway: GatewayContext, target: Target, ask: dialback.Ask) -> dialback.Result | str:
    loop = asyncio.get_running_loop()
    stream = await gateway.connect(target.endpoint, CONNECT_S)
    if isinstance(stream, TcpFailure):
        return f"the server {target.endpoint} could not be reached: {stream.outcome}"
    request = dialback.DialBackRequest(ask, target.endpoint, loop.time(), reliable=True)
    try:
        for message in request.datagrams_to_send(loop.time()):
            stream.write(message)
        async with asyncio.timeout_at(request.next_timeout()):
            await _read(request, stream)
    except (TimeoutError, ProtocolError):
        pass
    finally:
        stream.abort()
    return request.result or f"the server {target.endpoint} gave {request.failure or 'no answer'}"


async def _read(request: dialback.DialBackRequest, stream: TcpStream) -> None:
    framer = stun.Framer()
    loop = asyncio.get_running_loop()
    while not request.done and (data := await stream.read()):
        for frame in framer.feed(data):
            request.receive_datagram(frame, stream.remote, loop.time())


class DialBacks(msgspec.Struct):
    """The dial-backs asked for on one connection: who of them arrived, and what the server says of them."""

    context: ProbeContext
    nonces: set[bytes] = msgspec.field(default_factory=set)
    arrived: bool = False
    results: list[dialback.Result] = msgspec.field(default_factory=list)
    news: TimedEvent = msgspec.field(default_factory=TimedEvent)
    receipt: TimedEvent = msgspec.field(default_factory=TimedEvent)
    receipt_id: bytes = b""

    def accept(self, group: asyncio.TaskGroup, stream: TcpStream) -> None:
        """A connection came in: is it one of ours?"""
        group.create_task(self.greet(stream))

    async def greet(self, stream: TcpStream) -> None:
        """Read what this connection brings, until it is a nonce of ours; close it."""
        framer = stun.Framer()
        try:
            while data := await stream.read():
                for frame in framer.feed(data):
                    arrival = dialback.decode_indication(stun.decode(frame))
                    if arrival is not None and arrival.nonce in self.nonces:
                        self.arrived = True
                        self.news.set()
                        return
        except ProtocolError:
            return
        finally:
            stream.abort()

    async def listen_to(self, stream: TcpStream) -> None:
        """Take the server's results, and the receipt: the answer to a Binding request sent behind the order,
        so that it is known to have been read."""
        framer = stun.Framer()
        try:
            while data := await stream.read():
                for frame in framer.feed(data):
                    message = stun.decode(frame)
                    if message.transaction_id == self.receipt_id:
                        self.receipt.set()
                    elif message.method == dialback.METHOD and message.kind == "success":
                        self.results.append(dialback.decode_result(message))
                        if self.results[-1].outcome in ("refused", "denied", "error"):
                            self.news.set()
        except ProtocolError:
            return

    def outcome(self) -> Outcome:
        """In one word. "timeout" only if the server is known to have tried."""
        if self.arrived:
            return "arrived"
        said = {result.outcome for result in self.results}
        for word in ("refused", "unreachable", "denied", "error"):
            if word in said:
                return word
        return "timeout" if self.receipt.is_set else "error"
