"""A userspace IPv4 router around the NAT engine, for behaviours that the kernel's NAT lacks.

It reads the frames that arrive at a router's two interfaces from packet sockets, and writes the translated
ones to the other side. The kernel of that namespace forwards no IPv4 and does not own the outside address;
it keeps the inside address (for services on the router) and all of IPv6. So the router is one hop like any
other: the TTL goes down once, and Time Exceeded comes from the address of the side where the packet came in.
"""

from __future__ import annotations

import heapq
import random
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any, Protocol

import msgspec

from nattools.errors import ProtocolError
from nattools.lab.impairment import Impairment
from nattools.lab.layout import Address, Layout, Port
from nattools.lab.linkqueue import LinkQueue, is_queued
from nattools.lab.nat.engine import NatEngine, Side
from nattools.lab.nat.packetttl import ttl_beyond
from nattools.lab.netns.nft import LAN, WAN
from nattools.lab.netns.wiring import Wiring
from nattools.lab.scenario import NatSpec, RouterSpec, Scenario, host_behind, routers
from nattools.model.endpoint import BROADCAST
from nattools.protocols import ip
from nattools.protocols.packet import Packet

ETH_P_IP = 0x0800
PACKET_HOST = 0
ETHERNET = 14
_TIME_EXCEEDED = 11
_UNREACHABLE = 3
_FRAGMENTATION_NEEDED = 4
_HOST_UNREACHABLE = 1


class RouterRoute(msgspec.Struct, frozen=True):
    """A route: packets for `network` leave on `side`, to the neighbour `via` (None: they are neighbours)."""

    network: str
    side: Side
    via: str | None = None


class RouterInterface(msgspec.Struct, frozen=True):
    """One side of a router. `neighbours` maps addresses on its segment to hardware addresses."""

    address: str
    mac: str
    neighbours: dict[str, str]
    mtu: int = 1500


class UserspaceRouter(msgspec.Struct, frozen=True):
    """Everything that a router process must know of one router."""

    inside: RouterInterface
    outside: RouterInterface
    inside_network: str
    hops: tuple[RouterRoute, ...]
    answers_ttl: bool = True
    ttl: str = "lowered"


Send = Callable[[bytes], None]


class Forwarder:
    """Drives one `UserspaceRouter`: hand it frames, and it calls `send` of the side where others leave.

    Pure but for those calls: `now` is given.
    """

    def __init__(self, router: UserspaceRouter, engine: NatEngine, send: dict[Side, Send]) -> None:
        self._router = router
        self._engine = engine
        self._send = send
        self._interfaces: dict[Side, RouterInterface] = {"inside": router.inside, "outside": router.outside}
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
            packet = ip.parse(frame[ETHERNET:])
        except ProtocolError:
            return
        if not self._is_ours(side, packet):
            return
        for_router = packet.destination in self._engine.outside_addresses
        treatment = self._router.ttl if side == "inside" else "lowered"
        if packet.ttl <= 1 and not for_router and treatment != "kept":
            self._complain(side, packet, _TIME_EXCEEDED, 0)
            return
        handed = msgspec.structs.replace(packet, ttl=max(0, ttl_beyond(treatment, packet.ttl)))
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
        return destination != BROADCAST and int(destination.partition(".")[0]) < 224

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
        header = next_mac + raw(interface.mac) + ETH_P_IP.to_bytes(2, "big")
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
                return raw(mac) if mac else None
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


def raw(mac: str) -> bytes:
    """A hardware address as frames have it."""
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


def inside_nodes(scenario: Scenario, router: str) -> int:
    """How many hosts and routers stand directly behind a router."""
    hosts = sum(router in host_behind(scenario, host) for host in scenario.host)
    return hosts + sum(spec.behind == router for spec in routers(scenario).values())


def userspace_router(layout: Layout, wiring: Wiring, name: str, spec: RouterSpec) -> UserspaceRouter:
    """The description of one router for `Forwarder`."""
    ports = {port.interface: port for port in layout.ports_of(name)}
    lan, wan = _ipv4(ports[LAN]), _ipv4(ports[WAN])
    hops = [RouterRoute(lan.network, "inside"), RouterRoute(wan.network, "outside")]
    hops += [RouterRoute("0.0.0.0/0", "outside", via) for via in ports[WAN].gateways if ":" not in via]
    hops += [
        RouterRoute(route.network, "inside", route.via)
        for route in layout.routes
        if route.node == name and ":" not in route.network
    ]
    return UserspaceRouter(
        inside=_interface(wiring, name, LAN, lan.ip),
        outside=_interface(wiring, name, WAN, wan.ip),
        inside_network=lan.network,
        hops=tuple(hops),
        answers_ttl=not isinstance(spec, NatSpec) or spec.answers_ttl,
        ttl=spec.ttl if isinstance(spec, NatSpec) else "lowered",
    )


def _ipv4(port: Port) -> Address:
    return next(address for address in port.addresses if ":" not in address.ip)


def _interface(wiring: Wiring, node: str, name: str, address: str) -> RouterInterface:
    device = next(device for device in wiring.devices(node) if device.name == name)
    neighbours = {n.ip: n.mac for n in wiring.neighbours if (n.node, n.device) == (node, name)}
    return RouterInterface(address, device.mac, neighbours, device.mtu)


ETH_P_ALL = 3
_SOL_PACKET = 263
_PACKET_IGNORE_OUTGOING = 23
_SO_RCVBUFFORCE = 33
_BUFFER = 4 << 20
_FRAME = 65600
_AT_ONCE = 64
# A frame that is to be overtaken waits this much longer than the rest, if the jitter is not more
_HELD_BACK_S = 0.005

FrameHandler = Callable[[bytes, int], None]


def packet_socket(protocol: int = ETH_P_ALL) -> socket.socket:
    """Receives what arrives at any interface of this thread's namespace. Not blocking.

    One for a whole namespace: to close one takes the kernel ten milliseconds and more.
    """
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    sock = socket.socket(socket.AF_PACKET, kind, socket.htons(protocol))
    sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    return sock


def sender(sock: socket.socket, device: str) -> Send:
    """Sends frames from an interface, or loses them as a link does: when the interface is down or full, or
    the frame is too long."""

    def send(frame: bytes) -> None:
        with suppress(OSError):
            sock.sendto(frame, (device, 0))

    return send


class FrameSource(Protocol):
    """What a loop reads frames from: a packet socket, or what looks like one."""

    def fileno(self) -> int:
        """For `select`."""

    def recvfrom(self, size: int, /) -> tuple[bytes, Any]:
        """A frame, and whence: (name of the interface, protocol, kind, ...). OSError: there is none now."""

    def close(self) -> None:
        """This process's copy."""


class FrameLoop:
    """One thread's loop over all packet sockets of a lab, and what is due later.

    Handlers get each frame and its kind (`socket.PACKET_HOST` and so on) and must not block.
    """

    def __init__(self) -> None:
        self._handlers: dict[FrameSource, dict[str, FrameHandler]] = {}
        self._due: list[tuple[float, int, Send, bytes]] = []
        self._count = 0

    def listen(self, sock: FrameSource, device: str, handler: FrameHandler) -> None:
        """Have `handler` called for each frame that arrives at this interface."""
        self._handlers.setdefault(sock, {})[device] = handler

    def close(self) -> None:
        """Close this process's copies of the sockets."""
        for sock in self._handlers:
            sock.close()

    def later(self, at_s: float, send: Send, frame: bytes) -> None:
        """Send a frame when `time.monotonic()` is `at_s`; frames of the same time keep their order."""
        self._count += 1
        heapq.heappush(self._due, (at_s, self._count, send, frame))

    def run(self) -> None:
        """Route until the process ends."""
        sockets = list(self._handlers)
        while True:
            timeout_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            # select sleeps to the microsecond, epoll and poll only to the millisecond
            for sock in select.select(sockets, (), (), timeout_s)[0]:
                self._drain(sock)
            self._deliver()

    def _drain(self, sock: FrameSource) -> None:
        handlers = self._handlers[sock]
        for _ in range(_AT_ONCE):
            try:
                frame, address = sock.recvfrom(_FRAME)
            except OSError:
                return
            handler = handlers.get(address[0])
            if handler is not None:
                handler(frame, address[2])

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, _, send, frame = heapq.heappop(self._due)
            send(frame)


_IPV6 = b"\x86\xdd"  # the Ethernet type


class ImpairedDirection:
    """One direction of a wire: frames that arrive at one end leave through `out`.

    Each is lost with the probability `loss`, else late by the delay and by up to the jitter; the order stays,
    but that with the probability `reorder` a frame is held back and those behind it overtake it. Before that
    it waits in the queue of a bounded rate, or is lost in a burst. `up`: away from the node whose uplink it
    is; `header`: how much of a frame is not the IP packet.
    """

    def __init__(
        self,
        frames: FrameLoop,
        out: Send,
        impairment: Impairment,
        rng: random.Random,
        *,
        up: bool,
        header: int = ETHERNET,
    ) -> None:
        self._frames = frames
        self._out = out
        self._delay_s = impairment.delay_ms / 1000
        self._more_delay6_s = impairment.more_delay6_ms / 1000
        self._jitter_s = impairment.jitter_ms / 1000
        self._loss = impairment.loss
        self._reorder = impairment.reorder
        self._rng = rng
        self._latest_s = {False: 0.0, True: 0.0}
        self._queue = LinkQueue(impairment, rng, up=up) if is_queued(impairment) else None
        self._header = header

    def carry(self, frame: bytes, kind: int) -> None:
        """Take a frame in."""
        rng = self._rng
        now_s = time.monotonic()
        left_s = self._queue.carry(len(frame) - self._header, now_s) if self._queue else now_s
        if left_s is None or (self._loss and rng.random() < self._loss):
            return
        six = bool(self._more_delay6_s) and frame[12:14] == _IPV6
        at_s = left_s + self._delay_s + (self._more_delay6_s if six else 0.0)
        if self._jitter_s:
            at_s += rng.uniform(0.0, self._jitter_s)
        if self._reorder and rng.random() < self._reorder:
            at_s += max(self._jitter_s, _HELD_BACK_S)
        else:
            at_s = self._latest_s[six] = max(at_s, self._latest_s[six])
        self._frames.later(at_s, self._out, frame)


def join(
    frames: FrameLoop, sock: socket.socket, left: str, right: str, impairment: Impairment, rng: random.Random
) -> None:
    """Carry frames between two interfaces of the packet socket's namespace, both ways. The left one is
    that of the node whose uplink it is."""
    up = ImpairedDirection(frames, sender(sock, right), impairment, rng, up=True)
    down = ImpairedDirection(frames, sender(sock, left), impairment, rng, up=False)
    frames.listen(sock, left, up.carry)
    frames.listen(sock, right, down.carry)
