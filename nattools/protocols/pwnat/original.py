"""The original pwnat's wire format: both packets hold nothing that differs from case to case but addresses.

    listener   -> 3.3.3.3     ICMP echo request, identifier 0, sequence number 0, no data: 28 bytes, every 5 s
    caller     -> listener    ICMP Time Exceeded that quotes it with a TTL of 1: 56 bytes, every 5 s
    both                      UDP from port 2222 to port 2222; the listener's first datagram is empty

The listener takes the source of any Time Exceeded for a caller.
"""

from __future__ import annotations

from typing import Final

from nattools.protocols import ip
from nattools.protocols.packet import Packet

TARGET: Final = "3.3.3.3"
PORT: Final = 2222
IDENTIFIER: Final = 0
SEQUENCE: Final = 0
INTERVAL_S: Final = 5.0
HOLE: Final = b""
"""What the listener sends first."""
_ECHO_REQUEST: Final = 8
_TIME_EXCEEDED: Final = 11


def original_error(source: str, listener: str) -> bytes:
    """The caller's Time Exceeded, as a whole IPv4 packet."""
    beacon = Packet("icmp", listener, IDENTIFIER, TARGET, IDENTIFIER, ttl=1)
    beacon.icmp_type, beacon.icmp_rest = _ECHO_REQUEST, SEQUENCE
    error = Packet("icmp", source, 0, listener, 0, about=beacon)
    error.icmp_type = _TIME_EXCEEDED
    return ip.build(error)
