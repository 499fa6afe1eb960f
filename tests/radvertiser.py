"""A router that advertises itself (RFC 4861 4.2), in a lab of network namespaces, as a test wants it."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv6Network
from threading import Thread

from nattools.lab.netns.netnslab import NetnsLab
from nattools.net.system.namespace import entered
from nattools.protocols import routeradvert

_HARDWARE_ADDRESS = 0x8927  # SIOCGIFHWADDR
_SOURCE_ADDRESS, _PREFIX, _ON_LINK, _AUTONOMOUS = 1, 3, 0x80, 0x40


@dataclass(frozen=True)
class Announced:
    """A prefix for addresses of the hosts' own making (RFC 4862 5.5.3), and for how long."""

    prefix: str
    valid_s: int = 86400
    preferred_s: int = 14400

    @property
    def option(self) -> bytes:
        """RFC 4861 4.6.2."""
        network = IPv6Network(self.prefix)
        flags = _ON_LINK | _AUTONOMOUS
        head = struct.pack(">BBBBIII", _PREFIX, 4, 64, flags, self.valid_s, self.preferred_s, 0)
        return head + network.network_address.packed


class Advertiser:
    """The router `router`, as its hosts hear it. `more`: other options. Close it."""

    def __init__(
        self, lab: NetnsLab, router: str, *prefixes: Announced, lifetime_s: int = 1800, more: bytes = b""
    ) -> None:
        with entered(lab.network_path(router)):
            self._socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
            self._link = socket.if_nametoindex("lan0")
            mac = fcntl.ioctl(self._socket, _HARDWARE_ADDRESS, struct.pack("40s", b"lan0"))[18:24]
            group = socket.inet_pton(socket.AF_INET6, routeradvert.ALL_ROUTERS)
            join = group + struct.pack("@I", self._link)
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, join)
        for option, value in (
            (socket.IPV6_MULTICAST_HOPS, routeradvert.HOP_LIMIT),
            (socket.IPV6_MULTICAST_IF, self._link),
        ):
            self._socket.setsockopt(socket.IPPROTO_IPV6, option, value)
        head = struct.pack(">BBHBBHII", routeradvert.ADVERTISEMENT, 0, 0, 64, 0, lifetime_s, 0, 0)
        told = struct.pack(">BB", _SOURCE_ADDRESS, 1) + mac
        self._message = head + told + b"".join(each.option for each in prefixes) + more
        self.advertise()

    def advertise(self) -> None:
        """Once, to all."""
        self._socket.sendto(self._message, (routeradvert.ALL_NODES, 0, 0, self._link))

    def answer(self) -> None:
        """Answer solicitations, in a thread of its own, until it is closed."""
        Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while said := self._socket.recv(2048):
                if said[:1] == routeradvert.SOLICITATION[:1]:
                    self.advertise()

    def close(self) -> None:
        """Idempotent."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
