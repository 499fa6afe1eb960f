"""What a NAT does with ICMP errors (RFC 5508 4), by the packet that each quotes."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from nattools.lab.nat.bindings import FilterEntry, Key, NatBinding, NatTables
from nattools.lab.scenario import FirewallSpec, NatSpec
from nattools.protocols import ip
from nattools.protocols.packet import Packet, readdressed

SHORT_QUOTE = 28
"""A header and 64 bits, which RFC 792 asks for."""


class IcmpErrors(NamedTuple):
    """`translates`: it is a NAT, else a firewall. `mapping_depth` and `filter_depth`: as the engine finds
    its bindings and filter entries."""

    spec: NatSpec | FirewallSpec
    tables: NatTables
    outside_address: str
    translates: bool
    mapping_depth: int
    filter_depth: int

    def leaves(self, packet: Packet, about: Packet, now: float) -> Packet | None:
        """An error from an inside node, as it goes on outside. It is about a packet that was let in (RFC
        5508 REQ-5 and REQ-6), or about none that the NAT knows."""
        remote_port = 0 if about.protocol == "icmp" else about.source_port
        key = (about.protocol, about.destination, about.destination_port, about.source, remote_port)
        flow = self.tables.flows.get(key)
        binding = flow.entry.binding if flow else self.tables.live(key[: 3 + self.mapping_depth], now)
        if binding is None or binding.expires <= now:
            return self._stray(packet)
        if not self.translates:
            return packet
        source_port = binding.outside_port if about.protocol == "icmp" else about.source_port
        quoted = readdressed(about, about.source, source_port, binding.outside, binding.outside_port)
        quoted.checksum = _moved(about, quoted)
        return replace(packet, source=binding.outside, about=quoted)

    def _stray(self, packet: Packet) -> Packet | None:
        """Linux calls it INVALID: it leaves with its source as it is, unless a rule drops what is."""
        if self.spec.errors_out == "dropped":
            return None
        if self.spec.errors_out == "untranslated" or not self.translates:
            return packet
        return replace(packet, source=self.outside_address)

    def enters(self, packet: Packet, about: Packet, now: float) -> Packet | None:
        """An error about a packet that went out: RFC 5508 REQ-4. It refreshes nothing, and ends the binding
        only where the spec says so (against RFC 4787 REQ-12)."""
        entry = None if self.spec.errors_in == "blocked" else self._entry(about, now)
        if entry is None:
            return None
        binding = entry.binding
        if isinstance(self.spec, NatSpec) and self.spec.icmp_ends_mapping:
            self.tables.remove(binding)
        return self._inward(packet, about, binding) if self.translates else packet

    def _inward(self, packet: Packet, about: Packet, binding: NatBinding) -> Packet:
        port = binding.inside_port if about.protocol == "icmp" else about.destination_port
        quoted = readdressed(about, binding.inside, binding.inside_port, about.destination, port)
        if about.protocol == "udp":
            self._quote(quoted, about)
        else:
            quoted.checksum = _moved(about, quoted)
        return replace(packet, destination=binding.inside, about=quoted)

    def _quote(self, quoted: Packet, about: Packet) -> None:
        """What the error quotes of a datagram, beside the address and port that have been put back."""
        quoted.quoted_size = about.quoted_size
        quotes = self.spec.quotes if isinstance(self.spec, NatSpec) else "restored"
        if quotes == "restored" or ":" in quoted.source:
            quoted.checksum = _moved(about, quoted)
            return
        total = ip.udp_checksum(about) if about.checksum is None else about.checksum
        if quotes == "translated":
            quoted.checksum = total
        elif quotes == "short":
            quoted.quoted_size, quoted.checksum = SHORT_QUOTE, ip.moved_checksum(total, about, quoted)
        else:
            quoted.checksum = 0

    def _entry(self, about: Packet, now: float) -> FilterEntry | None:
        """What the quoted packet went out by."""
        remote_port = 0 if about.protocol == "icmp" else about.destination_port
        whole = (about.protocol, about.source, about.source_port, about.destination, remote_port)
        key: Key = whole[: 3 + self.filter_depth]
        found = self.tables.entries.get(key)
        if self.spec.errors_in == "lax" and (found is None or found.expires <= now):
            alike = (each for each in self.tables.entries.values() if each.key[:3] == key[:3])
            found = next((each for each in alike if each.expires > now), None)
        return None if found is None or found.expires <= now else found


def _moved(about: Packet, quoted: Packet) -> int | None:
    """The checksum of what is quoted with other addresses, as Linux corrects it; None: it is right as it is,
    whoever writes it down, as where a NAT64 makes IPv6 of it."""
    return (
        None
        if about.checksum is None or ":" in quoted.source
        else ip.moved_checksum(about.checksum, about, quoted)
    )
