"""UDP sockets of simulated hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nattools.lab.sim.topology import BoundAddress
from nattools.model.endpoint import Endpoint
from nattools.net.base import DatagramHandler, IcmpError, IcmpHandler, SendFailure
from nattools.net.linux import icmp_kind
from nattools.protocols.packet import Packet

if TYPE_CHECKING:
    from nattools.lab.sim.stack import Stack

LARGEST_DATAGRAM = 65507  # RFC 768 and RFC 791: 65535 - 20 - 8
QUOTED_BYTES = 520  # of the payload, at most: RFC 1812 4.3.2.3 lets an error grow to 576 bytes


class SimUdpSocket:
    """A bound UDP socket: `nattools.net.base.UdpSocket`."""

    __slots__ = (
        "_dont_fragment",
        "_routes",
        "_six",
        "_source",
        "_stack",
        "_table",
        "closed",
        "key",
        "local",
        "on_datagram",
        "on_icmp",
    )

    def __init__(self, stack: Stack, local: Endpoint, place: BoundAddress, dont_fragment: bool) -> None:
        self._stack = stack
        self.local = local
        self.key = (place.host, local.port)
        self.closed = False
        self.on_datagram: DatagramHandler | None = None
        self.on_icmp: IcmpHandler | None = None
        self._routes = place.routes
        self._table = place.routes.table
        # a socket bound to no address sends from the one that the route has
        self._source = "" if place.host in ("0.0.0.0", "::") else place.host
        self._six = ":" in local.host
        self._dont_fragment = dont_fragment

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
        self._stack.net.depart(hop, packet)
        return None

    def close(self) -> None:
        """Idempotent."""
        if not self.closed:
            self.closed = True
            self._stack.forget_udp(self)

    def icmp(self, error: Packet, about: Packet) -> None:
        """An ICMP error about a datagram of this socket."""
        if self.on_icmp is None:
            return
        kind = icmp_kind(6 if self._six else 4, error.icmp_type, error.icmp_code)
        self.on_icmp(
            IcmpError(
                kind=kind,
                icmp_type=error.icmp_type,
                icmp_code=error.icmp_code,
                offender=error.source,
                destination=Endpoint(about.destination, about.destination_port),
                quoted=about.payload[:QUOTED_BYTES],
                mtu=error.icmp_rest if kind == "too-big" and error.icmp_rest else None,
            )
        )
