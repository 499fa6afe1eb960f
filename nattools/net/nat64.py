"""IPv4 addresses within IPv6 ones, as NAT64 has them (RFC 6052 2), with prefixes of 96 bits."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final

from nattools.model.endpoint import Endpoint, parse_address

WELL_KNOWN: Final = "64:ff9b::"


def prefix_of(host: str) -> str | None:
    """The first 96 bits of an IPv6 address as an address; None for IPv4, and for what is no address."""
    try:
        address = parse_address(host)
    except ValueError:
        return None
    return str(IPv6Address(int(address) >> 32 << 32)) if isinstance(address, IPv6Address) else None


def embedded(endpoint: Endpoint) -> Endpoint:
    """The IPv4 endpoint that stands in the last 32 bits of an IPv6 one."""
    return Endpoint(str(IPv4Address(int(parse_address(endpoint.host)) & 0xFFFFFFFF)), endpoint.port)


def embed(endpoint: Endpoint, beside: str) -> Endpoint:
    """An IPv4 endpoint as it is reached through the NAT64 whose prefix the address `beside` has."""
    prefix = int(parse_address(beside)) >> 32 << 32
    return Endpoint(str(IPv6Address(prefix | int(parse_address(endpoint.host)))), endpoint.port)
