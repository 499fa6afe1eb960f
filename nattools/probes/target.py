"""A server that answered, as a target of further questions."""

from __future__ import annotations

import msgspec

from nattools.model.endpoint import Endpoint, Family, Transport


class Target(msgspec.Struct):
    """A server address that answered. `other` is its OTHER-ADDRESS if that truly is another address or port;
    `rtt_s` the first round trip; `local_host` the own address that the question left from. `services`: what a
    nattools server says that it does (bit 0: dial-back over UDP, bit 1: over TCP, bit 2: mailbox, bit 3:
    dial-back over UDP to lists of ports)."""

    uri: str
    endpoint: Endpoint
    transport: Transport
    mapped: Endpoint | None
    rtt_s: float
    other: Endpoint | None = None
    nattools: bool = False
    dial_back_tcp: bool = False
    services: int = 0
    local_host: str | None = None

    @property
    def family(self) -> Family:
        """Of the server's address."""
        return self.endpoint.family

    def dials_back(self, transport: Transport) -> bool:
        """Does it send or connect back on request?"""
        return bool(self.services & (1 if transport == "udp" else 2))

    @property
    def meets_ports(self) -> bool:
        """Does it write to many ports from its second address, on request?"""
        return self.two_addresses and bool(self.services & 8)

    @property
    def two_addresses(self) -> bool:
        """Can it answer from another IP address (RFC 5780 6)?"""
        return self.other is not None and self.other.host != self.endpoint.host

    def corners(self) -> list[Endpoint]:
        """Its endpoints: both addresses with both ports where it has them (RFC 5780 4.3's order)."""
        if self.other is None:
            return [self.endpoint]
        both = [
            self.endpoint,
            Endpoint(self.other.host, self.endpoint.port),
            self.other,
            Endpoint(self.endpoint.host, self.other.port),
        ]
        return list(dict.fromkeys(both))
