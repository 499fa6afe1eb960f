"""The translation between IPv6 inside and IPv4 outside (RFC 7915), beside a NAT that keeps the state (RFC
6146): the NAT engine sees IPv4 packets whose inside address happens to be an IPv6 one."""

from __future__ import annotations

from msgspec.structs import replace

from nattools.protocols.nat64 import Nat64Prefix
from nattools.protocols.packet import Packet

IPV6_HEADER_MORE = 20
_TO_IPV4 = {(128, 0): (8, 0), (129, 0): (0, 0), (3, 0): (11, 0), (1, 4): (3, 3), (2, 0): (3, 4)}
_TO_IPV6 = {four: six for six, four in _TO_IPV4.items()} | {(3, 13): (1, 1)}
_TOO_BIG = (3, 4)
_UNREACHABLE = {4: (3, 1), 6: (1, 0)}


class Translator:
    """Addresses on both sides; what was translated once is kept, for every packet asks."""

    def __init__(self, prefix: Nat64Prefix) -> None:
        self._prefix = prefix
        self._inner: dict[str, str | None] = {}
        self._outer: dict[str, str] = {}

    def inner(self, host: str) -> str | None:
        """The IPv4 address that an IPv6 one stands for; None: it stands for none."""
        if host not in self._inner:
            self._inner[host] = self._prefix.extract(host)
        return self._inner[host]

    def outer(self, host: str) -> str:
        """The IPv6 address that stands for this one; IPv6 ones stand for themselves."""
        if ":" in host:
            return host
        found = self._outer.get(host)
        if found is None:
            found = self._outer[host] = self._prefix.embed(host)
        return found

    def to_ipv4(self, packet: Packet) -> Packet:
        """A packet from inside to an address of the prefix, with its source as it was (RFC 7915 5)."""
        about = packet.about
        if about is not None:
            about = replace(about, source=self.inner(about.source) or about.source)
        out = replace(packet, destination=self.inner(packet.destination) or packet.destination, about=about)
        if packet.protocol == "icmp":
            kind = packet.icmp_type, packet.icmp_code
            out.icmp_type, out.icmp_code = _TO_IPV4.get(kind, _UNREACHABLE[4])
            if out.icmp_rest and (out.icmp_type, out.icmp_code) == _TOO_BIG:
                out.icmp_rest -= IPV6_HEADER_MORE
        return out

    def to_ipv6(self, packet: Packet) -> Packet:
        """A packet that the NAT lets in, or sends inside itself (RFC 7915 4)."""
        about = packet.about
        if about is not None:
            about = replace(about, destination=self.outer(about.destination))
        out = replace(packet, source=self.outer(packet.source), about=about)
        if packet.protocol == "icmp":
            kind = packet.icmp_type, packet.icmp_code
            out.icmp_type, out.icmp_code = _TO_IPV6.get(kind, _UNREACHABLE[6])
            if out.icmp_rest and kind == _TOO_BIG:
                out.icmp_rest += IPV6_HEADER_MORE
        return out
