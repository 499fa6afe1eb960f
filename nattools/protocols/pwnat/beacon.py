"""The beacon, where it goes, and the error that quotes it."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any, Final

from nattools.model.endpoint import Endpoint

BEACON: Final = b"nattools"
TARGETS: Final = (Endpoint("3.3.3.3", 443), Endpoint("3.3.3.30", 443))
"""Nobody answers there; the first address is the original pwnat's. Two, should a network treat one of them
in its own way."""
_LEAST_TTL: Final = 1


def time_exceeded(source: str, listener: Endpoint, target: Endpoint, knock: bytes) -> bytes:
    """The whole IPv4 packet that a caller at `source` sends to the listener: a Time Exceeded (RFC 792) about
    the beacon from `listener`, its outside address and port, to `target`. The quote is the beacon's header
    and 64 bits, as it arrived with its last hop; behind it stands the knock.

    Import cost: scapy, which builds it, is imported with the first one."""
    scapy = _scapy()
    beacon = bytes(
        scapy.IP(src=listener.host, dst=target.host, ttl=_LEAST_TTL, id=0)
        / scapy.UDP(sport=listener.port, dport=target.port)
        / BEACON
    )
    error = scapy.ICMP(type="time-exceeded", code="ttl-zero-during-transit")
    return bytes(scapy.IP(src=source, dst=listener.host, id=0) / error / (beacon[:28] + knock))


def prepare() -> None:
    """Import scapy now, so that the first packet does not wait for it."""
    _scapy()


@cache
def _scapy() -> Any:
    # while it is imported it reads a list of makers of network cards, and logs what it cannot read of that
    for name in ("scapy", "scapy.loading"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    from scapy.layers import inet

    return inet
