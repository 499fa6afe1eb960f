"""The client's side of dial-backs: a port that listens for them, and ordering one from a nattools server."""

from __future__ import annotations

import asyncio
from collections.abc import Container
from typing import Any, Literal

import msgspec

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint, Transport
from nattools.net import exchange
from nattools.net.base import TcpFailure, TcpListener, TcpStream, UdpSocket
from nattools.net.eventloop import TimedEvent
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.target import Target
from nattools.protocols import dialback, stun

CONNECT_S = 3.0
NONCE_S = 5.0
"""How long a connection may take to bring its nonce."""
Outcome = Literal["arrived", "refused", "timeout", "unreachable", "error", "denied"]


class InboundListener:
    """A port that listens for dial-backs and sends nothing, so that no NAT or firewall opens for its sake.

    Made by `open_inbound_listener`; close it. `reached` is set when a dial-back with one of `nonces` has
    arrived; it came from `origin`.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.local = Endpoint("", 0)
        self.nonces: set[bytes] = set()
        self.reached = TimedEvent()
        self.origin: Endpoint | None = None
        self.socket: UdpSocket | TcpListener | None = None
        self._readers: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Idempotent."""
        if self.socket is not None:
            self.socket.close()
        for task in tuple(self._readers):
            task.cancel()

    def on_datagram(self, data: bytes, source: Endpoint) -> None:
        """Is it a dial-back of ours?"""
        if nonce_of(data) in self.nonces:
            self._arrived(source)

    def on_stream(self, stream: TcpStream) -> None:
        """Somebody has connected: is it a dial-back of ours?"""
        task = asyncio.get_running_loop().create_task(self._read(stream))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    async def _read(self, stream: TcpStream) -> None:
        limit = asyncio.get_running_loop().call_later(NONCE_S, stream.abort)
        try:
            if await brings_nonce(stream, self.nonces):
                self._arrived(stream.remote)
        finally:
            limit.cancel()

    def _arrived(self, source: Endpoint) -> None:
        self.origin = self.origin or source
        self.reached.set()


def nonce_of(data: bytes) -> bytes | None:
    """The nonce of a dial-back; None: it is none."""
    try:
        arrival = dialback.decode_indication(stun.decode(data))
    except ProtocolError:
        return None
    return None if arrival is None else arrival.nonce


async def brings_nonce(stream: TcpStream, nonces: Container[bytes]) -> bool:
    """Read a connection until it has brought one of these nonces; it is closed then, or once it ends."""
    framer = stun.Framer()
    try:
        while data := await stream.read():
            if any(nonce_of(frame) in nonces for frame in framer.feed(data)):
                return True
    except ProtocolError:
        return False
    finally:
        stream.abort()
    return False


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


# --- ordering one


async def order_dial_back(
    gateway: GatewayContext, target: Target, ask: dialback.Ask
) -> dialback.Result | str:
    """What the server says of a dial-back to this machine's address as it sees it; or why it says nothing."""
    try:
        return await (_over_udp if target.transport == "udp" else _over_tcp)(gateway, target, ask)
    except CannotRun as error:
        return str(error)


async def _over_udp(gateway: GatewayContext, target: Target, ask: dialback.Ask) -> dialback.Result | str:
    now = asyncio.get_running_loop().time()
    request = dialback.DialBackRequest(ask, target.endpoint, now, rto_s=max(0.1, 1.5 * target.rtt_s))
    socket = await gateway.open_udp()
    try:
        await exchange.run(request, socket)
    finally:
        socket.close()
    return request.result or f"the server {target.endpoint} did not confirm the dial-back: {request.failure}"


async def _over_tcp(gateway: GatewayContext, target: Target, ask: dialback.Ask) -> dialback.Result | str:
    loop = asyncio.get_running_loop()
    stream = await gateway.connect(target.endpoint, CONNECT_S)
    if isinstance(stream, TcpFailure):
        return f"the server {target.endpoint} could not be reached: {stream.outcome}"
    request = dialback.DialBackRequest(ask, target.endpoint, loop.time(), reliable=True)
    try:
        for message, _ in request.datagrams_to_send(loop.time()):
            stream.write(message)
        async with asyncio.timeout_at(request.next_timeout()):
            await _read(request, stream)
    except (TimeoutError, ProtocolError) as error:
        request.abandon(str(error) or "no answer")
    finally:
        stream.abort()
    return request.result or f"the server {target.endpoint} did not confirm the dial-back: {request.failure}"


async def _read(request: dialback.DialBackRequest, stream: TcpStream) -> None:
    framer = stun.Framer()
    loop = asyncio.get_running_loop()
    while not request.done and (data := await stream.read()):
        for frame in framer.feed(data):
            request.receive_datagram(frame, stream.remote, loop.time())
    request.abandon("the connection was closed")


class DialBacks(msgspec.Struct):
    """The dial-backs ordered on one connection: has one arrived, and what does the server say of them?"""

    nonces: set[bytes] = msgspec.field(default_factory=set)
    arrived: bool = False
    results: list[dialback.Result] = msgspec.field(default_factory=list)
    news: TimedEvent = msgspec.field(default_factory=TimedEvent)
    receipt: TimedEvent = msgspec.field(default_factory=TimedEvent)
    receipt_id: bytes = b""

    def order(self, stream: TcpStream, port: int, **options: Any) -> None:
        """Have the server of this connection connect to a port of ours; `options` are `dialback.Ask`'s."""
        nonce = dialback.new_nonce()
        self.nonces.add(nonce)
        ask = dialback.Ask("tcp", port, nonce, **options)
        stream.write(dialback.encode_request(stun.new_transaction_id(), ask))

    def ask_for_receipt(self, stream: TcpStream) -> None:
        """Send a Binding request behind the orders: its answer says that they were read."""
        self.receipt.clear()
        self.receipt_id = stun.new_transaction_id()
        stream.write(stun.binding_request(self.receipt_id))

    async def greet(self, stream: TcpStream) -> None:
        """Read what this connection brings, until it is a nonce of ours; close it."""
        if await brings_nonce(stream, self.nonces):
            self.arrived = True
            self.news.set()

    async def listen_to(self, stream: TcpStream) -> None:
        """Take the server's results, and the receipt."""
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
