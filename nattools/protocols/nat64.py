"""IPv4 addresses within IPv6 ones, as a NAT64 translates them (RFC 6052 2), and which prefix a network has
for that: by the name that exists for this question (RFC 7050)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, parse_address

NAME: Final = "ipv4only.arpa"
"""Has IPv4 addresses alone (RFC 7050 8): where it has IPv6 ones too, somebody made them."""
NAMED: Final = frozenset({IPv4Address("192.0.0.170"), IPv4Address("192.0.0.171")})
LENGTHS: Final = (96, 64, 56, 48, 40, 32)
"""RFC 6052 2.2. The longest first: what fits a longer one fits a shorter one only by chance."""
_RESERVED = 8
"""The byte "u", which is zero in all addresses with a prefix of less than 96 bits."""


class Nat64Prefix(msgspec.Struct, frozen=True):
    """Such a prefix: its `network` as an address, and its length in bits."""

    network: str
    length: int = 96

    def __str__(self) -> str:
        return f"{self.network}/{self.length}"

    def embed(self, host: str) -> str:
        """The IPv6 address by which an IPv4 one is reached. ValueError: it is none."""
        inner = IPv4Address(host).packed
        made = bytearray(IPv6Address(self.network).packed)
        for place, byte in zip(_places(self.length), inner, strict=True):
            made[place] = byte
        return str(IPv6Address(bytes(made)))

    def extract(self, host: str) -> str | None:
        """The IPv4 address in an IPv6 one; None where it has another prefix, or is no address. What stands
        behind is zero, as translators write it: else whole networks would look translated."""
        address = _ipv6(host)
        if address is None:
            return None
        places = _places(self.length)
        inner = bytes(address.packed[place] for place in places)
        text = str(IPv4Address(inner))
        return text if self.embed(text) == str(IPv6Address(int(address))) else None


def _ipv6(host: str) -> IPv6Address | None:
    """None for an IPv4 address, and for what is no address."""
    try:
        address = parse_address(host)
    except ValueError:
        return None
    return address if isinstance(address, IPv6Address) else None


def _places(length: int) -> list[int]:
    """Where the four bytes of the IPv4 address stand."""
    first = length // 8
    return [place for place in range(first, first + 5) if place != _RESERVED or length == 96][:4]


WELL_KNOWN: Final = Nat64Prefix("64:ff9b::")
"""RFC 6052 2.1."""


def parse_prefix(text: str) -> Nat64Prefix:
    """A prefix as it is written. ProtocolError: it is none that a NAT64 can have."""
    try:
        network = IPv6Network(text)
    except ValueError as error:
        raise ProtocolError(f"no prefix of a NAT64: {error}") from None
    if network.prefixlen not in LENGTHS or network.network_address.packed[_RESERVED]:
        raise ProtocolError(f"no prefix of a NAT64: {text} (RFC 6052 2.2)")
    return Nat64Prefix(str(network.network_address), network.prefixlen)


def prefix_of(host: str, length: int = 96) -> Nat64Prefix | None:
    """The one that an IPv6 address would have; None for IPv4, and for what is no address."""
    address = _ipv6(host)
    if address is None:
        return None
    rest = 128 - length
    return Nat64Prefix(str(IPv6Address(int(address) >> rest << rest)), length)


def prefixes_in(addresses: Iterable[str]) -> tuple[Nat64Prefix, ...]:
    """By which prefixes the addresses of `NAME` were made, those first that explain most of them (RFC 7050
    3): where its address stands at several places, the other one of its addresses tells which is meant."""
    found: dict[Nat64Prefix, int] = {}
    for text in addresses:
        for length in LENGTHS:
            prefix = prefix_of(text, length)
            inner = None if prefix is None else prefix.extract(text)
            if prefix is not None and inner is not None and IPv4Address(inner) in NAMED:
                found[prefix] = found.get(prefix, 0) + 1
    most = max(found.values(), default=0)
    return tuple(prefix for prefix, times in found.items() if times == most)


def embedded(endpoint: Endpoint, prefix: Nat64Prefix) -> Endpoint | None:
    """The IPv4 endpoint in an IPv6 one; None where it has another prefix."""
    inner = prefix.extract(endpoint.host)
    return None if inner is None else Endpoint(inner, endpoint.port)


def embed(endpoint: Endpoint, prefix: Nat64Prefix) -> Endpoint:
    """An IPv4 endpoint as it is reached through the NAT64 with that prefix."""
    return Endpoint(prefix.embed(endpoint.host), endpoint.port)
