"""The client's side of dial-backs: a port that listens for them, and ordering one from a nattools server."""

from __future__ import annotations

import asyncio
from collections.abc import Container
from typing import Any, Literal, cast

import msgspec

from nattools.errors import CannotRun, ProtocolError
from nattools.model.confidence import CERTAIN_ERROR, WORST_LOSS, copies_needed
from nattools.model.endpoint import Endpoint, Transport
from nattools.net import exchange
from nattools.net.base import TcpFailure, TcpListener, TcpStream, UdpSocket
from nattools.net.eventloop import TimedEvent, TimeLimit
from nattools.net.mappedaddress import as_ipv4
from nattools.probes.ownaddress import OwnAddress
from nattools.probes.probe import ProbeContext
from nattools.probes.question import StunClient
from nattools.probes.target import Target
from nattools.protocols import dialback, stun
from nattools.protocols.provenrequest import NO_COOKIE

CONNECT_S = 3.0
NONCE_S = 5.0
"""How long a connection may take to bring its nonce."""
DialBackOutcome = Literal["arrived", "refused", "timeout", "unreachable", "error", "denied"]


class InboundListener:
    """A port that listens for dial-backs and sends nothing by itself, so that no NAT or firewall opens.

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

    def send(self, data: bytes, to: Endpoint, *, ttl: int) -> None:
        """From the port itself, over UDP: it has written to somebody then."""
        if self.transport == "udp":
            cast(UdpSocket, self.socket).send(data, to, ttl=ttl)

    def close(self) -> None:
        """Idempotent."""
        if self.socket is not None:
            self.socket.close()
        for task in tuple(self._readers):
            task.cancel()

    def on_datagram(self, data: bytes, source: Endpoint) -> None:
        """Is it a dial-back of ours?"""
        arrival = arrival_in(data)
        if arrival is not None and arrival.nonce in self.nonces:
            self._arrived(source)

    def on_stream(self, stream: TcpStream) -> None:
        """Somebody has connected: is it a dial-back of ours?"""
        task = asyncio.get_running_loop().create_task(self._read(stream))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)
        task.add_done_callback(lambda _: stream.abort())  # it may be cancelled before it has begun

    async def _read(self, stream: TcpStream) -> None:
        limit = asyncio.get_running_loop().call_later(NONCE_S, stream.abort)
        try:
            if await _brings_nonce(stream, self.nonces):
                self._arrived(stream.remote)
        finally:
            limit.cancel()

    def _arrived(self, source: Endpoint) -> None:
        self.origin = self.origin or source
        self.reached.set()


def arrival_in(data: bytes) -> dialback.Arrival | None:
    """The dial-back that a datagram or a frame is; None: it is none."""
    try:
        return dialback.decode_indication(stun.decode(data))
    except ProtocolError:
        return None


async def _brings_nonce(stream: TcpStream, nonces: Container[bytes]) -> bool:
    """Read a connection until it has brought one of these nonces; it is closed then, or once it ends."""
    framer = stun.Framer()
    try:
        while data := await stream.read():
            arrivals = [arrival_in(frame) for frame in framer.feed(data)]
            if any(each is not None and each.nonce in nonces for each in arrivals):
                return True
    except ProtocolError:
        return False
    finally:
        stream.abort()
    return False


async def open_inbound_listener(place: OwnAddress, transport: Transport, port: int = 0) -> InboundListener:
    """Listen on a port of the own address there (0: one that the system chooses). CannotRun: it is taken."""
    listener = InboundListener(transport)
    if transport == "udp":
        socket = await place.open_udp(port=port)
        socket.on_datagram = listener.on_datagram
        listener.socket, listener.local = socket, Endpoint(place.local, socket.local.port)
        return listener
    accepting = await place.network.listen_tcp(
        family=place.family, host=place.local, port=port, on_stream=listener.on_stream
    )
    listener.socket, listener.local = accepting, Endpoint(place.local, accepting.local.port)
    return listener


# --- ordering one


def start_order(
    client: StunClient,
    target: Target,
    ask: dialback.Ask,
    rto_s: float,
    *,
    cookie: bytes = NO_COOKIE,
    on_done: exchange.OnDone | None = None,
) -> dialback.DialBackRequest:
    """Order a dial-back over UDP beside the client's questions: it goes with its `exchanges`' next step.
    `cookie`: what the server gave to an earlier order."""
    now = asyncio.get_running_loop().time()
    request = dialback.DialBackRequest(
        ask, target.endpoint, now, rto_s=rto_s, patience_s=8 * rto_s, cookie=cookie
    )
    client.exchanges.start(request, client.socket, on_done)
    return request


def why_not_sent(order: dialback.DialBackRequest) -> str:
    """Why the server did not send what was ordered; "" if it did."""
    if order.result is None:
        return f"the server did not confirm the dial-back: {order.failure or 'no answer'}"
    sent = order.result.outcome == "sent"
    return "" if sent else order.result.reason or f"the server could not send: {order.result.outcome}"


async def order_dial_back(place: OwnAddress, target: Target, ask: dialback.Ask) -> dialback.Result | str:
    """What the server says of a dial-back to this machine's address as it sees it; or why it says nothing."""
    try:
        return await (_over_udp if target.transport == "udp" else _over_tcp)(place, target, ask)
    except CannotRun as error:
        return str(error)


async def _over_udp(place: OwnAddress, target: Target, ask: dialback.Ask) -> dialback.Result | str:
    now = asyncio.get_running_loop().time()
    request = dialback.DialBackRequest(ask, target.endpoint, now, rto_s=max(0.1, 1.5 * target.rtt_s))
    socket = await place.open_udp()
    try:
        await exchange.run(request, socket)
    finally:
        socket.close()
    return request.result or f"the server {target.endpoint} did not confirm the dial-back: {request.failure}"


async def _over_tcp(place: OwnAddress, target: Target, ask: dialback.Ask) -> dialback.Result | str:
    loop = asyncio.get_running_loop()
    stream = await place.connect(target.endpoint, CONNECT_S)
    if isinstance(stream, TcpFailure):
        return f"the server {target.endpoint} could not be reached: {stream.outcome}"
    request = dialback.DialBackRequest(ask, target.endpoint, loop.time(), reliable=True)
    try:
        for message, _ in request.datagrams_to_send(loop.time()):
            stream.write(message)
        async with TimeLimit((request.next_timeout() or 0.0) - loop.time()):
            await _read(request, stream)
        request.abandon("no answer")
    except ProtocolError as error:
        request.abandon(str(error))
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
    """The dial-backs ordered on one connection: has one arrived, and what does the server say of them?
    `seen`: how it saw the connection when it sent the last receipt."""

    nonces: set[bytes] = msgspec.field(default_factory=set)
    arrived: bool = False
    results: list[dialback.Result] = msgspec.field(default_factory=list)
    news: TimedEvent = msgspec.field(default_factory=TimedEvent)
    receipt: TimedEvent = msgspec.field(default_factory=TimedEvent)
    receipt_id: bytes = b""
    seen: Endpoint | None = None

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

    def greet(self, stream: TcpStream, group: asyncio.TaskGroup) -> None:
        """Read what this connection brings, until it is a nonce of ours, or the group ends; close it."""
        task = group.create_task(self._greet(stream))
        task.add_done_callback(lambda _: stream.abort())  # it may be cancelled before it has begun

    async def _greet(self, stream: TcpStream) -> None:
        if await _brings_nonce(stream, self.nonces):
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
                        mapped = message.mapped
                        self.seen = None if mapped is None else as_ipv4(mapped)
                        self.receipt.set()
                    elif message.method == dialback.METHOD and message.kind == "success":
                        self.results.append(dialback.decode_result(message))
                        if self.results[-1].outcome in ("refused", "denied", "error"):
                            self.news.set()
        except ProtocolError:
            return

    @property
    def over(self) -> bool:
        """Is there nothing that more of them could tell?"""
        return self.arrived or any(result.outcome in ("denied", "error") for result in self.results)

    def doubt(self) -> None:
        """The port is no longer what it was outside: what did not get in proves nothing."""
        self.results.clear()
        self.receipt.clear()

    def outcome(self) -> DialBackOutcome:
        """In one word. "timeout" only if the server is known to have tried."""
        if self.arrived:
            return "arrived"
        said = {result.outcome for result in self.results}
        for word in ("refused", "unreachable", "denied", "error"):
            if word in said:
                return word
        return "timeout" if self.receipt.is_set else "error"


CheckOutcome = Literal["arrived", "silent", "refused", "unreachable", "denied", "error"]
SPACING_MS = 15
_LONGEST_S = 60.0
_TWO_SYNS_MS = 2000
"""How long a server tries to connect: a SYN is repeated after a second, and again two seconds later (RFC 6298
2.1, 5.5)."""
CONNECTED_S = 3.5
"""How long what was written on a connection may take that is there: a segment may be lost twice."""
_MAY_PASS = ("silent", "refused")
"""Outcomes after which another try may end otherwise: a copy was lost, or the rule was not in force yet."""


class InboundTrial(msgspec.Struct):
    """A port being tried: `listener` is on it, `port` what it is outside."""

    context: ProbeContext
    place: OwnAddress
    target: Target
    listener: InboundListener
    port: int
    sent: int = 0
    outcome: CheckOutcome = "error"
    detail: str = ""
    seen: str | None = None
    origin: Endpoint | None = None

    async def run(self) -> None:
        """Until a dial-back arrives, or silence counts. Over UDP the first order is for one datagram, so that
        none is under way when the port is given back to its user; each attempt over TCP repeats its SYN by
        itself."""
        needed = copies_needed(WORST_LOSS, CERTAIN_ERROR)
        estimate = self.context.estimate
        copies = 1 if self.listener.transport == "udp" else dialback.MAX_COPIES
        while self.sent < (max(needed, estimate.copies()) if estimate.lost else needed):
            await self._round(copies)
            if self.listener.reached.is_set:
                self.outcome, self.detail = "arrived", ""
            if self.outcome not in _MAY_PASS or (self.listener.transport == "tcp" and not estimate.lost):
                return
            copies = min(2 * copies, dialback.MAX_COPIES)

    async def _round(self, copies: int) -> None:
        nonce = dialback.new_nonce()
        self.listener.nonces.add(nonce)
        ask = dialback.Ask(
            self.listener.transport,
            self.port,
            nonce,
            self.target.two_addresses,
            self.target.other is not None or self.listener.transport == "tcp",
            copies,
            SPACING_MS,
            listen_ms=_TWO_SYNS_MS if self.listener.transport == "tcp" and self.target.listens else 0,
        )
        self.sent += copies
        result = await self._ordered(ask)
        if isinstance(result, str):
            self.outcome, self.detail = "error", result
            return
        self.seen = result.seen.host if result.seen is not None else self.seen
        self.origin = result.origin or self.origin
        self.outcome, self.detail = _outcome(result), result.reason
        if result.outcome in ("sent", "connected"):
            wait_s = self.context.estimate.last_wait_s if result.outcome == "sent" else CONNECTED_S
            await self.listener.reached.wait(wait_s)
        if result.outcome == "connected" and not self.listener.reached.is_set:
            self.detail = "something else accepted the connection"

    async def _ordered(self, ask: dialback.Ask) -> dialback.Result | str:
        """The server's word; once the dial-back is here, that is not waited for longer than it may take."""
        async with asyncio.TaskGroup() as group:
            ordered = group.create_task(order_dial_back(self.place, self.target, ask))
            reached = group.create_task(self.listener.reached.wait(_LONGEST_S))
            await asyncio.wait({ordered, reached}, return_when=asyncio.FIRST_COMPLETED)
            if not ordered.done():
                await asyncio.wait({ordered}, timeout=self.context.estimate.last_wait_s)
            ordered.cancel()
            reached.cancel()
        return dialback.Result("sent") if ordered.cancelled() else ordered.result()


def _outcome(result: dialback.Result) -> CheckOutcome:
    """As far as the server can say."""
    said = result.outcome
    if said == "sent" or said == "connected" or said == "timeout":
        return "silent"
    return "unreachable" if said == "prohibited" else said
