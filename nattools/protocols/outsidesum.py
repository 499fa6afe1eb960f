"""What the checksum of a quoted datagram tells of a NAT's mapping. Pure.

A router beyond a NAT that reports an expired datagram quotes it as it arrived there: with the outside address
and port, and the checksum over both (RFC 768). On its way back the NAT puts the inside address and port into
the quote. Where it leaves the checksum as it is, that and the datagram as it was sent tell the sum of what
stood there outside, in the arithmetic of RFC 1071: the two halves of the address and the port, modulo 65535.
With the address the port follows. Only 0 and 65535 are the same there, and no datagram has port 0.

Any number can be read in such a way. It means something if datagrams with other contents give the same sum.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Final

from nattools.protocols import ip
from nattools.protocols.packet import Packet

MODULUS: Final = 0xFFFF
MARK: Final = b"nattools expires"
"""What datagrams that are to expire begin with, so that errors about them are not taken for others."""


def sum_of(host: str, port: int) -> int:
    """The sum of an IPv4 address and a port: 0 to 65534."""
    address = int(IPv4Address(host))
    return ((address >> 16) + (address & 0xFFFF) + port) % MODULUS


def sum_behind(sent: Packet, quoted: int) -> int | None:
    """What the address and port that `sent` had outside add up to, if `quoted` is the checksum that it had
    there; None: it had none (RFC 768: 0)."""
    if quoted == 0:
        return None
    gained = ip.udp_checksum(sent) - quoted  # both are complements
    return (sum_of(sent.source, sent.source_port) + gained) % MODULUS


def port_behind(total: int, host: str) -> int:
    """The port of the outside address `host`: 1 to 65535."""
    return (total - sum_of(host, 0)) % MODULUS or MODULUS
