"""Addresses as PCP writes them: always 16 bytes, IPv4 as IPv4-mapped IPv6 (RFC 6887 5)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

ADDRESS_SIZE = 16
_MAPPED_PREFIX = bytes(10) + b"\xff\xff"


def pack_address(host: str) -> bytes:
    """16 bytes; a zone is left out. ValueError: not an IP address."""
    address = ip_address(host.partition("%")[0])
    return _MAPPED_PREFIX + address.packed if isinstance(address, IPv4Address) else address.packed


def unpack_address(data: bytes) -> str:
    """The canonical text of 16 bytes: dotted for IPv4-mapped ones."""
    if data.startswith(_MAPPED_PREFIX):
        return str(IPv4Address(data[12:]))
    return str(IPv6Address(data))
