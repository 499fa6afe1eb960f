"""What passed through a network, in memory: the evidence behind a report, and its packet capture."""

from __future__ import annotations

import asyncio
from typing import Literal, Unpack

import msgspec

from nattools.model.endpoint import Endpoint, Family
from nattools.model.packetform import PacketForm
from nattools.net.base import (
    BatchHandler,
    ConnectOptions,
    DatagramHandler,
    EchoHandler,
    EchoReply,
    IcmpError,
    IcmpHandler,
    IcmpOptions,
    IcmpSocket,
    LocalEnd,
    MachineSocket,
    Network,
    QuotedError,
    QuoteHandler,
    SendFailure,
    StreamHandler,
    TcpFailure,
    TcpListener,
    TcpStream,
    UdpOptions,
    UdpSocket,
    send_each,
)
from nattools.net.wrappednetwork import WrappedNetwork

EventKind = Literal[
    "datagram",
    "icmp",
    "echo",  # a request (outgoing) or a reply, with its `sequence`; the port of `local` is the identifier
    "packet",  # a crafted IP packet, in `data`
    "connect",  # a TCP connection attempt; `note` says how it failed
    "established",  # `outgoing`: we opened it
    "data",
    "end",  # no more bytes from this side
    "abort",
]

LIMIT_BYTES = 32 << 20
_EVENT_BYTES = 200  # roughly what an event takes beside its data


class TraceEvent(msgspec.Struct, frozen=True):
    """Something sent (`outgoing`) or received. `at_s` is the event loop's time.

    `connection` numbers TCP connections and attempts from 1; it is 0 for UDP. `ttl` is None where the
    system's own was used, or what came is not known. `note` says why something failed: a datagram with a
    note did not leave."""

    at_s: float
    kind: EventKind
    outgoing: bool
    local: Endpoint
    remote: Endpoint
    data: bytes = b""
    ttl: int | None = None
    connection: int = 0
    error: IcmpError | None = None
    note: str = ""
    sequence: int | None = None

    def __str__(self) -> str:
        way = "->" if self.outgoing else "<-"
        what = f"{self.kind}, {len(self.data)} bytes" if self.data else self.kind
        if self.error is not None:
            what = f"{self.error.kind} from {self.error.offender or 'unknown'}"
        ttl = "" if self.ttl is None else f", TTL {self.ttl}"
        note = f" ({self.note})" if self.note else ""
        return f"{self.local} {way} {self.remote}  {what}{ttl}{note}"


class Trace:
    """What was recorded, in memory and bounded: past `limit_bytes` nothing more is kept, `dropped` counts it.

    `began_s` is the event loop's time when the run began; `names` holds the addresses that names gave."""

    def __init__(self, began_s: float, limit_bytes: int = LIMIT_BYTES) -> None:
        self.began_s = began_s
        self.events: list[TraceEvent] = []
        self.names: dict[str, tuple[str, ...]] = {}
        self.dropped = 0
        self._room = limit_bytes
        self._connections = 0

    def add(self, event: TraceEvent) -> None:
        """Keep an event if there is room."""
        size = _EVENT_BYTES + len(event.data)
        if size > self._room:
            self._room = 0  # a smaller later event would make a trace with holes
            self.dropped += 1
            return
        self._room -= size
        self.events.append(event)

    def new_connection(self) -> int:
        """A number for a TCP connection or attempt."""
        self._connections += 1
        return self._connections


def _now() -> float:
    return asyncio.get_running_loop().time()


class _TracedSocket:
    """What UDP and ICMP sockets share. `own` is their end in the events."""

    def __init__(self, inner: UdpSocket | IcmpSocket, trace: Trace, own: Endpoint) -> None:
        self.on_icmp: IcmpHandler | None = None
        self._trace = trace
        self._own = own
        self.close = inner.close
        inner.on_icmp = self._icmp

    def _icmp(self, error: IcmpError) -> None:
        self._trace.add(TraceEvent(_now(), "icmp", False, self._own, error.destination, error=error))
        if self.on_icmp is not None:
            self.on_icmp(error)


class TracedUdpSocket(_TracedSocket):
    """A `UdpSocket` that records every datagram and ICMP error, also those that no handler wants."""

    def __init__(self, inner: MachineSocket, trace: Trace) -> None:
        super().__init__(inner, trace, inner.local)
        self.local = inner.local
        self.on_datagram: DatagramHandler | None = None
        self.on_batch: BatchHandler | None = None  # each is recorded by itself
        self._inner = inner
        inner.on_datagram = self._datagram

    def _datagram(self, data: bytes, source: Endpoint) -> None:
        self._trace.add(TraceEvent(_now(), "datagram", False, self.local, source, data))
        if self.on_datagram is not None:
            self.on_datagram(data, source)

    def send(self, data: bytes, to: Endpoint, *, ttl: int | None = None) -> SendFailure | None:
        failure = self._inner.send(data, to, ttl=ttl)
        event = TraceEvent(_now(), "datagram", True, self.local, to, bytes(data), ttl, note=failure or "")
        self._trace.add(event)
        return failure

    def send_formed(self, data: bytes, to: Endpoint, form: PacketForm) -> SendFailure | None:
        failure = self._inner.send_formed(data, to, form)
        self._trace.add(TraceEvent(_now(), "datagram", True, self.local, to, bytes(data), note=failure or ""))
        return failure

    def send_many(self, datagrams: list[bytes], to: Endpoint) -> SendFailure | None:
        return send_each(self, datagrams, to)


class TracedIcmpSocket(_TracedSocket):
    """An `IcmpSocket` that records every echo request, reply and ICMP error."""

    def __init__(self, inner: IcmpSocket, trace: Trace) -> None:
        super().__init__(inner, trace, Endpoint(inner.local, inner.identifier))
        self.local = inner.local
        self.identifier = inner.identifier
        self.on_reply: EchoHandler | None = None
        self.on_quote: QuoteHandler | None = None  # the sockets that they are about record such errors
        self._inner = inner
        inner.on_reply, inner.on_quote = self._reply, self._quote

    def _quote(self, error: QuotedError) -> None:
        if self.on_quote is not None:
            self.on_quote(error)

    def _reply(self, reply: EchoReply) -> None:
        remote = Endpoint(reply.source, 0)
        self._trace.add(
            TraceEvent(
                _now(), "echo", False, self._own, remote, reply.payload, reply.ttl, sequence=reply.sequence
            )
        )
        if self.on_reply is not None:
            self.on_reply(reply)

    def send_echo(
        self, to: str, sequence: int, payload: bytes = b"", *, ttl: int | None = None
    ) -> SendFailure | None:
        failure = self._inner.send_echo(to, sequence, payload, ttl=ttl)
        remote = Endpoint(to, 0)
        self._trace.add(
            TraceEvent(
                _now(), "echo", True, self._own, remote, payload, ttl, note=failure or "", sequence=sequence
            )
        )
        return failure


class TracedStream:
    """A `TcpStream` that records its bytes: those written at once, those received when they are read.
    A reset by the other side is recorded as the end that `read` reports."""

    def __init__(self, inner: TcpStream, trace: Trace, connection: int) -> None:
        self.local = inner.local
        self.remote = inner.remote
        self._inner = inner
        self._trace = trace
        self._connection = connection
        self._sent_end = False
        self._received_end = False

    def _record(self, kind: EventKind, outgoing: bool, data: bytes = b"") -> None:
        event = TraceEvent(_now(), kind, outgoing, self.local, self.remote, data, connection=self._connection)
        self._trace.add(event)

    async def read(self, limit: int = 65536) -> bytes:
        data = await self._inner.read(limit)
        if data:
            self._record("data", False, data)
        elif not self._received_end:
            self._received_end = True
            if not self._sent_end:
                self._record("end", False)
        return data

    def write(self, data: bytes) -> None:
        if data and not self._sent_end:
            self._record("data", True, bytes(data))
        self._inner.write(data)

    async def drain(self) -> None:
        await self._inner.drain()

    @property
    def over(self) -> bool:
        return self._inner.over

    def end(self) -> None:
        self._end("end")
        self._inner.end()

    def close(self) -> None:
        self._end("end")
        self._inner.close()

    def abort(self) -> None:
        self._end("abort")
        self._inner.abort()

    def _end(self, kind: EventKind) -> None:
        if not self._sent_end:
            self._sent_end = True
            self._record(kind, True)


class TracedNetwork(WrappedNetwork):
    """A `Network` that records what passes between its users and `inner` in `trace`."""

    def __init__(self, inner: Network, trace: Trace) -> None:
        super().__init__(inner)
        self.trace = trace

    async def resolve(self, name: str, family: Family | None = None) -> tuple[str, ...] | str:
        answer = await self.inner.resolve(name, family)
        if not isinstance(answer, str) and answer != (name,):
            known = self.trace.names.get(name, ())
            self.trace.names[name] = tuple(dict.fromkeys(known + answer))
        return answer

    async def open_udp(self, **options: Unpack[UdpOptions]) -> MachineSocket:
        return TracedUdpSocket(await self.inner.open_udp(**options), self.trace)

    async def connect_tcp(
        self, remote: Endpoint, **options: Unpack[ConnectOptions]
    ) -> TcpStream | TcpFailure:
        connection, began = self.trace.new_connection(), _now()
        result = await self.inner.connect_tcp(remote, **options)
        if isinstance(result, TcpFailure):
            local = Endpoint(options.get("host") or self._source(remote), options.get("port", 0))
            note = f"{result.outcome}: {result.detail}" if result.detail else result.outcome
            self.trace.add(
                TraceEvent(began, "connect", True, local, remote, connection=connection, note=note)
            )
            if result.outcome in ("refused", "reset"):
                self.trace.add(TraceEvent(_now(), "abort", False, local, remote, connection=connection))
            return result
        self.trace.add(TraceEvent(began, "connect", True, result.local, remote, connection=connection))
        self.trace.add(TraceEvent(_now(), "established", True, result.local, remote, connection=connection))
        return TracedStream(result, self.trace, connection)

    def _source(self, remote: Endpoint) -> str:
        found = self.inner.route(remote.host)
        return ("::" if remote.family == 6 else "0.0.0.0") if found is None else found[1]

    async def listen_tcp(
        self, *, family: Family, on_stream: StreamHandler, **end: Unpack[LocalEnd]
    ) -> TcpListener:
        def accepted(stream: TcpStream) -> None:
            number = self.trace.new_connection()
            event = TraceEvent(_now(), "established", False, stream.local, stream.remote, connection=number)
            self.trace.add(event)
            on_stream(TracedStream(stream, self.trace, number))

        return await self.inner.listen_tcp(family=family, on_stream=accepted, **end)

    async def open_icmp(self, **options: Unpack[IcmpOptions]) -> IcmpSocket:
        return TracedIcmpSocket(await self.inner.open_icmp(**options), self.trace)

    def send_packet(self, packet: bytes) -> SendFailure | None:
        failure = self.inner.send_packet(packet)
        nowhere = Endpoint("0.0.0.0", 0)
        self.trace.add(TraceEvent(_now(), "packet", True, nowhere, nowhere, packet, note=failure or ""))
        return failure
