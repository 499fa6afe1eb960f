"""Sockets of simulated hosts: UDP, ICMP, and listening TCP ones."""

from __future__ import annotations

from msgspec.structs import replace

from nattools.lab.sim.tcp import SimStream
from nattools.lab.sim.topology import BoundAddress, SocketOwner
from nattools.model.endpoint import Endpoint, Family, family_of
from nattools.model.packetform import PacketForm
from nattools.net.base import (
    BatchHandler,
    DatagramHandler,
    EchoHandler,
    EchoReply,
    IcmpError,
    IcmpHandler,
    QuotedError,
    QuoteHandler,
    SendFailure,
    StreamHandler,
    TcpFailure,
    send_each,
)
from nattools.protocols import ip
from nattools.protocols.icmp import ECHO_REQUEST, error_kind
from nattools.protocols.packet import Packet

LARGEST_DATAGRAM = 65507  # RFC 768 and RFC 791: 65535 - 20 - 8
_new_endpoint = tuple.__new__
QUOTED_BYTES = 520  # of the payload, at most: RFC 1812 4.3.2.3 lets an error grow to 576 bytes


class SimSocket:
    """A socket that its node's stack knows until it is closed."""

    __slots__ = ("_stack", "closed")

    def __init__(self, stack: SocketOwner) -> None:
        self._stack = stack
        self.closed = False

    def close(self) -> None:
        """Idempotent."""
        if not self.closed:
            self.closed = True
            self._stack.forget(self)


class SimUdpSocket(SimSocket):
    """A bound UDP socket: `nattools.net.base.UdpSocket`."""

    __slots__ = (
        "_dont_fragment",
        "_routes",
        "_six",
        "_source",
        "_table",
        "key",
        "local",
        "on_batch",
        "on_datagram",
        "on_icmp",
        "opened_at",
    )

    def __init__(self, stack: SocketOwner, local: Endpoint, place: BoundAddress, dont_fragment: bool) -> None:
        super().__init__(stack)
        self.opened_at = stack.loop.now
        self.local = local
        self.key = (place.host, local.port)
        self.on_datagram: DatagramHandler | None = None
        self.on_batch: BatchHandler | None = None  # nothing is saved by it here
        self.on_icmp: IcmpHandler | None = None
        self._routes = place.routes
        self._table = place.routes.table
        # a socket bound to no address sends from the one that the route has
        self._source = "" if place.host in ("0.0.0.0", "::") else place.host
        self._six = ":" in local.host
        self._dont_fragment = dont_fragment

    def close(self) -> None:
        """Idempotent."""
        super().close()
        self.on_datagram = self.on_batch = self.on_icmp = None

    def send(self, data: bytes, to: Endpoint, *, ttl: int | None = None) -> SendFailure | None:
        """Send now; None when the datagram left. `ttl` is for this datagram alone."""
        host, port = to
        hop = self._table.get(host) or self._routes.find(host)
        if self.closed or (":" in host) is not self._six:
            return "error"
        packet = Packet(
            "udp",
            self._source or hop.source,
            self.local.port,
            host,
            port,
            data,
            64 if ttl is None else ttl,
            self._dont_fragment,
        )
        wire = hop.wire
        if wire is None:
            return self._stack.send_without_wire(packet, hop)
        if len(data) > wire.room and (
            len(data) > LARGEST_DATAGRAM or (self._dont_fragment and packet.size > wire.mtu)
        ):
            return "too-big"
        if len(data) > wire.room and packet.size > wire.mtu:
            packet.form = "fragments"
        self._stack.depart(hop, packet)
        return None

    def send_formed(self, data: bytes, to: Endpoint, form: PacketForm) -> SendFailure | None:
        """See `MachineSocket.send_formed`."""
        hop = self._table.get(to.host) or self._routes.find(to.host)
        if self.closed or (":" in to.host) is not self._six or len(data) > LARGEST_DATAGRAM:
            return "error"
        packet = Packet("udp", self._source or hop.source, self.local.port, *to, data)
        if hop.wire is None:
            return self._stack.send_without_wire(packet, hop)
        if form == "fragments" and packet.size <= hop.wire.mtu:
            return "error"
        packet.form = form
        self._stack.depart(hop, packet)
        return None

    def send_many(self, datagrams: list[bytes], to: Endpoint) -> SendFailure | None:
        """One after the other."""
        return send_each(self, datagrams, to)

    def icmp(self, error: Packet, about: Packet) -> None:
        """An ICMP error about a datagram of this socket."""
        if self.on_icmp is not None:
            to = _new_endpoint(Endpoint, (about.destination, about.destination_port))
            self.on_icmp(_icmp_error(error, about, to))


class SimIcmpSocket(SimSocket):
    """Echo requests and what comes of them: `nattools.net.base.IcmpSocket`."""

    def __init__(self, stack: SocketOwner, place: BoundAddress, family: Family, identifier: int) -> None:
        super().__init__(stack)
        self.local = place.shown
        self.family = family
        self.identifier = identifier
        self.key = (family, identifier)
        self.on_reply: EchoHandler | None = None
        self.on_icmp: IcmpHandler | None = None
        self.on_quote: QuoteHandler | None = None
        self._routes = place.routes
        self._source = "" if place.host in ("0.0.0.0", "::") else place.host

    def send_echo(
        self, to: str, sequence: int, payload: bytes = b"", *, ttl: int | None = None
    ) -> SendFailure | None:
        """See `IcmpSocket.send_echo`."""
        if self.closed or family_of(to) != self.family:
            return "error"
        source = self._source or self._routes.find(to).source
        request = Packet("icmp", source, self.identifier, to, self.identifier, payload)
        request.icmp_type, request.icmp_rest = ECHO_REQUEST[self.family], sequence
        request.ttl = 64 if ttl is None else ttl
        return self._stack.send_by(self._routes, request)

    def reply(self, packet: Packet) -> None:
        """An echo reply with this socket's identifier."""
        if self.on_reply is not None:
            sequence = packet.icmp_rest & 0xFFFF
            self.on_reply(EchoReply(packet.source, sequence, packet.payload, packet.ttl))

    def icmp(self, error: Packet, about: Packet) -> None:
        """An ICMP error about a request of this socket."""
        if self.on_icmp is not None:
            sequence = about.icmp_rest & 0xFFFF
            self.on_icmp(
                replace(_icmp_error(error, about, Endpoint(about.destination, 0)), sequence=sequence)
            )

    def quote(self, error: Packet, about: Packet) -> None:
        """Any ICMP error that has reached the node, to a raw socket."""
        if self.on_quote is not None and family_of(error.source) == self.family:
            kind = error_kind(self.family, error.icmp_type, error.icmp_code)
            self.on_quote(
                QuotedError(kind, error.source, ip.build(about)[: about.quoted_size or QUOTED_BYTES + 28])
            )


def _icmp_error(error: Packet, about: Packet, destination: Endpoint) -> IcmpError:
    """An ICMP error as a socket reports it."""
    kind = error_kind(6 if ":" in destination.host else 4, error.icmp_type, error.icmp_code)
    return IcmpError(
        kind=kind,
        icmp_type=error.icmp_type,
        icmp_code=error.icmp_code,
        offender=error.source,
        destination=destination,
        quoted=about.payload[: QUOTED_BYTES if about.quoted_size is None else about.quoted_size - 28],
        mtu=error.icmp_rest if kind == "too-big" and error.icmp_rest else None,
    )


class SimListener(SimSocket):
    """A listening TCP socket: `nattools.net.base.TcpListener`."""

    __slots__ = ("_on_stream", "key", "local")

    def __init__(
        self, stack: SocketOwner, local: Endpoint, key: tuple[str, int], on_stream: StreamHandler
    ) -> None:
        super().__init__(stack)
        self.local = local
        self.key = key
        self._on_stream: StreamHandler | None = on_stream

    def close(self) -> None:
        """Idempotent."""
        super().close()
        self._on_stream = None

    def settled(self, stream: SimStream, failure: TcpFailure | None) -> None:
        """A connection that came to this listener is established, or is not."""
        if failure is not None:
            return
        if self._on_stream is None:
            stream.abort()
        else:
            self._on_stream(stream)
