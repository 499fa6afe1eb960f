"""What a simulated node does with packets of its own: its sockets, and the answers of closed ports."""

from __future__ import annotations

import random
from collections.abc import Callable, Container
from typing import Any, Protocol

from nattools.errors import CannotRun
from nattools.lab.sim.loop import SimLoop
from nattools.lab.sim.simsockets import SimIcmpSocket, SimListener, SimUdpSocket
from nattools.lab.sim.tcp import Key, SimStream
from nattools.lab.sim.topology import BoundAddress, NextHop, NodePlan, Routes
from nattools.model.endpoint import ANY, BROADCAST, Endpoint, Family, family_of
from nattools.net.base import LowTtlSyn, SendFailure, StreamHandler, TcpFailure
from nattools.protocols.packet import ACK, ECHO_REPLIES, RST, SYN, Packet, answer

EPHEMERAL = (32768, 60999)
# so many ports are kept from being chosen again before those of closed sockets are forgotten
REMEMBERED_PORTS = 20_000
LOOPBACK: dict[Family, str] = {4: "127.0.0.1", 6: "::1"}

SocketKey = tuple[str, int]
_new_endpoint = tuple.__new__


class PacketNet(Protocol):
    """What a stack needs of the simulated internet."""

    loop: SimLoop
    rng: random.Random

    def depart(self, hop: NextHop, packet: Packet) -> None:
        """Send a packet on its way down the hop's wire."""

    def flood(self, plan: NodePlan, port: int, packet: Packet) -> None:
        """Send a multicast packet to everybody on the segment of a node's interface."""


class Stack:
    """The sockets of one node. All CannotRun are those of `nattools.net.base.Network`."""

    __slots__ = (
        "_chosen",
        "_icmp",
        "_listeners",
        "_raw",
        "_streams",
        "_tables",
        "_udp",
        "depart",
        "loop",
        "net",
        "plan",
        "rng",
    )

    def __init__(self, plan: NodePlan, net: PacketNet) -> None:
        self.plan = plan
        self.net = net
        self.loop: SimLoop = net.loop
        self.rng: random.Random = net.rng
        self.depart = net.depart
        self._udp: dict[SocketKey, SimUdpSocket] = {}
        self._listeners: dict[SocketKey, SimListener] = {}
        self._streams: dict[Key, SimStream] = {}
        self._icmp: dict[tuple[Family, int], SimIcmpSocket] = {}
        self._tables: dict[type, dict[Any, Any]] = {
            SimUdpSocket: self._udp,
            SimListener: self._listeners,
            SimStream: self._streams,
            SimIcmpSocket: self._icmp,
        }
        self._chosen: set[int] = set()
        self._raw: list[SimIcmpSocket] = []

    # --- opening

    def open_udp(
        self,
        family: Family,
        host: str | None = None,
        port: int = 0,
        interface: str | None = None,
        dont_fragment: bool = False,
        group: str | None = None,
        broadcast: bool = False,
    ) -> SimUdpSocket:
        """A bound UDP socket. One without an address of its own hears all groups, and what is sent to all;
        to whom it may send is not looked at. With a group it sends by the interface that has `host`."""
        place = self.place(family, host if group is None else None, interface)
        if group is not None and host is not None and len(self.plan.ports) > 1 and host in self.plan.owns:
            place = place._replace(routes=self._routes_by(self.plan.owns[host]))
        key = (place.host, port or self._free_port())
        if port and self._taken(key, family, self._udp):
            raise CannotRun(f"port {port} is in use by another program", "Stop it, or choose another port.")
        local = _new_endpoint(Endpoint, (place.shown, key[1]))
        sock = self._udp[key] = SimUdpSocket(self, local, place, dont_fragment)
        return sock

    def open_icmp(
        self, family: Family, host: str | None, chosen: int | None = None, *, raw: bool = False
    ) -> SimIcmpSocket:
        """A socket for echo requests, with an identifier of its own, or the `chosen` one."""
        place = self.place(family, host, None)
        if chosen is not None and (family, chosen) in self._icmp:
            raise CannotRun(f"another program here sends echo requests with the identifier {chosen}")
        identifier = int(self.rng.random() * 65536) if chosen is None else chosen
        while (family, identifier) in self._icmp:
            identifier = (identifier + 1) & 0xFFFF
        sock = self._icmp[family, identifier] = SimIcmpSocket(self, place, family, identifier)
        if raw:
            self._raw.append(sock)
        return sock

    def listen(
        self,
        family: Family,
        on_stream: StreamHandler,
        host: str | None = None,
        port: int = 0,
        interface: str | None = None,
    ) -> SimListener:
        """A listening socket; it may share its port with connections."""
        place = self.place(family, host, interface)
        key = (place.host, port or self._free_port())
        local = Endpoint(place.shown, key[1])
        if key in self._listeners:
            raise CannotRun(f"cannot listen on {local}: address already in use")
        listener = self._listeners[key] = SimListener(self, local, key, on_stream)
        return listener

    def connect(
        self,
        remote: Endpoint,
        settled: Callable[[SimStream, TcpFailure | None], None],
        opener: LowTtlSyn | None = None,
        host: str | None = None,
        port: int = 0,
        interface: str | None = None,
    ) -> SimStream | TcpFailure:
        """A stream that has sent its first SYN."""
        family: Family = 6 if ":" in remote.host else 4
        place = self.place(family, host, interface)
        hop = place.routes.table.get(remote.host) or place.routes.find(remote.host)
        if hop.fate == "no-route":
            return TcpFailure("unreachable", f"no route to {remote.host}")
        source = hop.source if place.host == ANY[family] else place.host
        local = _new_endpoint(Endpoint, (source, port or self._free_port()))
        if (*local, *remote) in self._streams:
            return TcpFailure(
                "error", "this local port has a connection to that address and port, or had one a moment ago"
            )
        stream = SimStream(self, local, remote, place.routes, settled)
        self._streams[stream.key] = stream
        stream.connect(opener)
        return stream

    def place(self, family: Family, host: str | None, interface: str | None) -> BoundAddress:
        """Where a socket with this host and interface is bound (RFC 1122 3.3.4.2), with its routes."""
        wanted, places = (family, host, interface), self.plan.places
        found = places.get(wanted)
        if found is None:
            found = places[wanted] = self._place(family, host, interface)
        return found

    def _place(self, family: Family, host: str | None, interface: str | None) -> BoundAddress:
        plan = self.plan
        if interface is not None:
            found = next((i for i, p in enumerate(plan.ports) if p.layout.interface == interface), None)
            if found is None:
                raise CannotRun(f"no interface {interface}")
            address = host or plan.ports[found].address(family)
            if address is None:
                raise CannotRun(f"the interface {interface} has no IPv{family} address")
            return BoundAddress(self._own(address, family), address, self._routes_by(found))
        if host is None or host == ANY[family]:
            return BoundAddress(ANY[family], self.default_source(family), Routes(plan.table, plan.hop))
        return BoundAddress(self._own(host, family), host, self.routes_from(host))

    def default_source(self, family: Family) -> str:
        """The address that the default route would use, else the first own one, else the wildcard."""
        ports = self.plan.ports
        preferred = [p for p in ports if p.layout.uplink and p.gateway(family)]
        return next((a for p in (*preferred, *ports) if (a := p.address(family))), ANY[family])

    def routes_from(self, host: str) -> Routes:
        """The routes of a socket with this source address: out of the interface that has it."""
        plan = self.plan
        port = plan.owns.get(host) if len(plan.ports) > 1 and plan.kind in ("host", "server") else None
        if port is not None and plan.ports[port].layout.routing == "by-source":
            return self._routes_by(port)
        return Routes(plan.table, plan.hop)

    def _routes_by(self, port: int) -> Routes:
        plan = self.plan
        return Routes(plan.table_by(port), lambda destination: plan.hop_by(port, destination))

    def _own(self, host: str, family: Family) -> str:
        if family_of(host) != family or not (host in self.plan.owns or host in LOOPBACK.values()):
            raise CannotRun(f"this machine has no address {host}")
        return host

    def _free_port(self) -> int:
        """An ephemeral port (RFC 6056 3.3.1) that was not chosen before, so that no NAT remembers it."""
        if len(self._chosen) >= REMEMBERED_PORTS:
            streams = {key[1] for key in self._streams}
            self._chosen = {key[1] for key in (*self._udp, *self._listeners)} | streams
        first, last = EPHEMERAL
        port = first
        while port in self._chosen or port == first:
            port = first + int(self.rng.random() * (last - first + 1))
        self._chosen.add(port)
        return port

    def _taken(self, key: SocketKey, family: Family, sockets: Container[SocketKey]) -> bool:
        self._chosen.add(key[1])
        if key in sockets or (ANY[family], key[1]) in sockets:
            return True
        if key[0] != ANY[family]:
            return False
        return any((host, key[1]) in sockets for host in (*self.plan.owns, *LOOPBACK.values()))

    # --- closing

    def close(self) -> None:
        """Close what is open, without a word to others."""
        for known in (self._udp, self._listeners, self._icmp):
            for socket in list(known.values()):
                socket.close()
        self._streams.clear()

    def forget(self, socket: Any) -> None:
        """The socket is closed, or the connection over."""
        known, key = self._tables[type(socket)], socket.key
        if known.get(key) is socket:
            del known[key]
        if self._raw and socket in self._raw:
            self._raw.remove(socket)

    # --- packets

    def send_without_wire(self, packet: Packet, hop: NextHop) -> SendFailure | None:
        """A packet for the node itself, or for nobody: the latter is lost, as when nobody answers ARP."""
        if hop.fate == "local":
            self.loop.soon(self.input, packet)
        elif hop.fate == "multicast":
            packet.destination = packet.destination.partition("%")[0]
            self.net.flood(self.plan, hop.port, packet)
        elif hop.fate == "prohibited":
            return "prohibited"
        return "unreachable" if hop.fate == "no-route" else None

    def send_by(self, routes: Routes, packet: Packet) -> SendFailure | None:
        """Send a packet of the node's own by these routes."""
        hop = routes.table.get(packet.destination) or routes.find(packet.destination)
        if hop.wire is None:
            return self.send_without_wire(packet, hop)
        self.depart(hop, packet)
        return None

    def input(self, packet: Packet) -> None:
        """A packet for this node. Called from the loop, never from inside a `send`."""
        if packet.protocol == "udp":
            host, port, udp = packet.destination, packet.destination_port, self._udp
            sock = udp.get((host, port)) or udp.get(("::" if ":" in host else "0.0.0.0", port))
            if sock is None:
                self._refuse(packet)
            elif sock.on_datagram is not None:
                source = _new_endpoint(Endpoint, (packet.source, packet.source_port))
                sock.on_datagram(packet.payload, source)
        elif packet.protocol == "tcp":
            self._tcp_input(packet)
        elif packet.about is not None:
            self._icmp_error(packet, packet.about)
        elif packet.icmp_type in ECHO_REPLIES:
            pinging = self._icmp.get((family_of(packet.destination), packet.destination_port))
            if pinging is not None:
                pinging.reply(packet)
        else:
            self._refuse(packet)

    def hear(self, packet: Packet) -> None:
        """A multicast packet: the sockets bound to its port and no address count as members of every group.
        Nobody else answers it (RFC 1122 3.2.2)."""
        sock = self._udp.get((ANY[family_of(packet.destination)], packet.destination_port))
        if packet.protocol == "udp" and sock is not None and sock.on_datagram is not None:
            if self._forgotten(sock, packet.destination):
                return
            sock.on_datagram(packet.payload, Endpoint(packet.source, packet.source_port))

    def _forgotten(self, sock: SimUdpSocket, destination: str) -> bool:
        """Has the switch forgotten who listens to this group?"""
        if destination == BROADCAST or destination.startswith("224.0.0."):
            return False
        age_s = self.loop.now - sock.opened_at
        lans = (port.segment.lan for port in self.plan.ports)
        return any(each.multicast == "forgotten" and age_s > each.remembered_s for each in lans)

    def _udp_socket(self, host: str, port: int) -> SimUdpSocket | None:
        udp = self._udp
        return udp.get((host, port)) or udp.get(("::" if ":" in host else "0.0.0.0", port))

    def _tcp_input(self, packet: Packet) -> None:
        host, port = packet.destination, packet.destination_port
        stream = self._streams.get((host, port, packet.source, packet.source_port))
        if stream is not None:
            stream.segment(packet)
            return
        listeners = self._listeners
        listener = listeners.get((host, port)) or listeners.get(("::" if ":" in host else "0.0.0.0", port))
        if listener is None or packet.flags & (SYN | ACK | RST) != SYN:
            self._refuse(packet)
            return
        remote = _new_endpoint(Endpoint, (packet.source, packet.source_port))
        local = _new_endpoint(Endpoint, (host, port))
        stream = SimStream(self, local, remote, self.routes_from(host), listener.settled)
        self._streams[stream.key] = stream
        stream.answer(packet)

    def _icmp_error(self, error: Packet, about: Packet) -> None:
        for each in self._raw:
            each.quote(error, about)
        if about.source not in self.plan.owns:
            return
        if about.protocol == "udp":
            sock = self._udp_socket(about.source, about.source_port)
            if sock is not None:
                sock.icmp(error, about)
        elif about.protocol == "icmp":
            pinging = self._icmp.get((family_of(about.source), about.source_port))
            if pinging is not None:
                pinging.icmp(error, about)
        elif about.protocol == "tcp":
            key = (about.source, about.source_port, about.destination, about.destination_port)
            stream = self._streams.get(key)
            if stream is not None:
                stream.icmp(error)

    def _refuse(self, packet: Packet) -> None:
        """The answer of a port on which nobody listens, and to a ping."""
        reply = answer(packet)
        if reply is not None:
            self.send_by(self.routes_from(reply.source), reply)
