"""A userspace IPv4 router around the NAT engine, for behaviours that the kernel's NAT lacks.

It reads the frames that arrive at a router's two interfaces from packet sockets, and writes the translated
ones to the other side. The kernel of that namespace forwards no IPv4 and does not own the outside address;
it keeps the inside address (for services on the router) and all of IPv6. So the router is one hop like any
other: the TTL goes down once, and Time Exceeded comes from the address of the side where the packet came in.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Protocol

import msgspec

from nattools.errors import ProtocolError
from nattools.lab.nat import Side
from nattools.lab.packet import Packet
from nattools.protocols import ip

ETH_P_IP = 0x0800
PACKET_HOST = 0
_ETHERNET = 14
_TIME_EXCEEDED = 11
_UNREACHABLE = 3
_FRAGMENTATION_NEEDED = 4
_HOST_UNREACHABLE = 1
_LIMITED_BROADCAST = "255.255.255.255"


class Translator(Protocol):
    """What of `lab.nat.NatEngine` a router needs."""

    def from_inside(self, packet: Packet, now: float) -> list[tuple[Side, Packet]]:
        """See `NatEngine.from_inside`."""

    def from_outside(self, packet: Packet, now: float) -> list[tuple[Side, Packet]]:
        """See `NatEngine.from_outside`."""


class Hop(msgspec.Struct, frozen=True):
    """A route: packets for `network` leave on `side`, to the neighbour `via` (None: they are neighbours)."""

    network: str
    side: Side
    via: str | None = None


class Interface(msgspec.Struct, frozen=True):
    """One side of a router. `neighbours` maps addresses on its segment to hardware addresses."""

    address: str
    mac: str
    neighbours: dict[str, str]
    mtu: int = 1500


class EngineRouter(msgspec.Struct, frozen=True):
    """Everything that a router process must know of one router."""

    inside: Interface
    outside: Interface
    inside_network: str
    hops: tuple[Hop, ...]
    answers_ttl: bool = True


Send = Callable[[bytes], None]


class Forwarder:
    """Drives one `EngineRouter`: hand it frames, and it calls `send` of the side where others leave.

    Pure but for those calls: `now` is given.
    """

    def __init__(self, router: EngineRouter, engine: Translator, send: dict[Side, Send]) -> None:
        self._router = router
        self._engine = engine
        self._send = send
        self._interfaces: dict[Side, Interface] = {"inside": router.inside, "outside": router.outside}
        self._hops = sorted(
            ((ip_network(hop.network), hop) for hop in router.hops),
            key=lambda pair: pair[0].prefixlen,
            reverse=True,
        )
        self._identification = 0
        self._next: dict[tuple[Side, str], bytes | None] = {}

    def receive(self, side: Side, frame: bytes, now: float) -> None:
        """An Ethernet frame with IPv4 that came in on this side, addressed to the router's interface."""
        try:
            packet = ip.parse(frame[_ETHERNET:])
        except ProtocolError:
            return
        if not self._is_ours(side, packet):
            return
        for_router = packet.destination == self._router.outside.address
        if packet.ttl <= 1 and not for_router:
            self._complain(side, packet, _TIME_EXCEEDED, 0)
            return
        handed = msgspec.structs.replace(packet, ttl=max(0, packet.ttl - 1))
        translate = self._engine.from_inside if side == "inside" else self._engine.from_outside
        for out, translated in translate(handed, now):
            if translated.ttl == 0:
                # it was not for the router itself after all: the filter let it in, and it dies here
                self._complain(side, packet, _TIME_EXCEEDED, 0)
            else:
                self._emit(out, translated, (side, packet))

    def _is_ours(self, side: Side, packet: Packet) -> bool:
        """Neither for the kernel's own inside address nor to a group."""
        destination = packet.destination
        if side == "inside" and destination == self._router.inside.address:
            return False
        return destination != _LIMITED_BROADCAST and int(destination.partition(".")[0]) < 224

    def _emit(self, side: Side, packet: Packet, cause: tuple[Side, Packet] | None) -> None:
        """Send a packet on. `cause`: where what it comes from came in, and what that was, for complaints."""
        interface = self._interfaces[side]
        next_mac = self._next_hop(side, packet.destination)
        if next_mac is None:
            if cause:
                self._complain(*cause, _UNREACHABLE, _HOST_UNREACHABLE)
            return
        if packet.size > interface.mtu and packet.dont_fragment:
            if cause:
                self._complain(*cause, _UNREACHABLE, _FRAGMENTATION_NEEDED, interface.mtu)
            return
        self._identification = (self._identification + 1) & 0xFFFF
        header = next_mac + _raw(interface.mac) + ETH_P_IP.to_bytes(2, "big")
        for piece in fragments(ip.build(packet), interface.mtu, self._identification):
            self._send[side](header + piece)

    def _next_hop(self, side: Side, destination: str) -> bytes | None:
        key = (side, destination)
        if key not in self._next:
            self._next[key] = self._look_up(side, destination)
        return self._next[key]

    def _look_up(self, side: Side, destination: str) -> bytes | None:
        """The hardware address of the neighbour to whom a packet goes; None: there is none."""
        address = ip_address(destination)
        for network, hop in self._hops:
            if hop.side == side and address in network:
                mac = self._interfaces[side].neighbours.get(hop.via or destination)
                return _raw(mac) if mac else None
        return None

    def _complain(self, side: Side, about: Packet, icmp_type: int, code: int, rest: int = 0) -> None:
        """Send an ICMP error back to where a packet came from (RFC 1812 4.3.2), but never about an error."""
        silent = icmp_type == _TIME_EXCEEDED and not self._router.answers_ttl
        if silent or about.about is not None:
            return
        source = self._interfaces[side].address
        error = Packet("icmp", source, 0, about.source, 0, about=about)
        error.icmp_type, error.icmp_code, error.icmp_rest = icmp_type, code, rest
        self._emit(side, error, None)


def _raw(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def fragments(packet: bytes, mtu: int, identification: int) -> list[bytes]:
    """An IPv4 packet without options in pieces of at most `mtu` bytes (RFC 791 3.2)."""
    if len(packet) <= mtu:
        return [packet]
    header, body = packet[:20], packet[20:]
    room = (mtu - 20) // 8 * 8
    pieces = []
    for offset in range(0, len(body), room):
        piece = body[offset : offset + room]
        more = 0x2000 if offset + room < len(body) else 0
        changed = bytearray(header)
        changed[2:4] = (20 + len(piece)).to_bytes(2, "big")
        changed[4:6] = identification.to_bytes(2, "big")
        changed[6:8] = (more | offset // 8).to_bytes(2, "big")
        changed[10:12] = b"\0\0"
        changed[10:12] = ip.checksum(bytes(changed)).to_bytes(2, "big")
        pieces.append(bytes(changed) + piece)
    return pieces
