"""What kind of address is this, and can everybody on the internet route to it? One answer for all substrates.

By the IANA special-purpose registries (RFC 6890), written out here because `ipaddress.is_global` answers
differently from one Python release to the next.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final, Literal

from nattools.model.endpoint import Family, parse_address

AddressKind = Literal[
    "public",
    "private",  # RFC 1918, and RFC 4193's unique local addresses
    "shared",  # RFC 6598: between a provider's NAT and its customers
    "loopback",
    "link-local",
    "multicast",
    "unspecified",
    "documentation",
    "translated",  # NAT64, 6to4, Teredo: stands for an IPv4 address
    "reserved",
]

FAR_AWAY: dict[Family, str] = {4: "198.41.0.4", 6: "2001:503:ba3e::2:30"}
"""An address to ask the routing table about where any on the internet will do; nothing is sent there."""

NOBODY: Final[dict[Family, str]] = {4: "192.0.2.1", 6: "2001:db8::1"}
"""An address for examples (RFC 5737, RFC 3849), which nobody can have."""

# The first row that holds an address decides
_RANGES: tuple[tuple[str, AddressKind], ...] = (
    ("0.0.0.0/32", "unspecified"),
    ("0.0.0.0/8", "reserved"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.9/32", "public"),  # RFC 7723: PCP anycast
    ("192.0.0.10/32", "public"),  # RFC 8155: TURN anycast
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "reserved"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "reserved"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("0.0.0.0/0", "public"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("64:ff9b::/96", "translated"),
    ("64:ff9b:1::/48", "translated"),
    ("2001::/32", "translated"),
    ("2001:1::1/128", "public"),  # RFC 7723: PCP anycast
    ("2001:1::2/128", "public"),  # RFC 8155: TURN anycast
    ("2001:3::/32", "public"),
    ("2001:4:112::/48", "public"),
    ("2001:20::/28", "public"),
    ("2001:30::/28", "public"),
    ("2001:db8::/32", "documentation"),
    ("2001::/23", "reserved"),
    ("2002::/16", "translated"),
    ("3fff::/20", "documentation"),
    ("2000::/3", "public"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
    ("::/0", "reserved"),
)

_Row = tuple[int, int, AddressKind]


@lru_cache(maxsize=2)
def _rows(version: int) -> tuple[_Row, ...]:
    networks = ((ip_network(text), kind) for text, kind in _RANGES)
    return tuple(
        (int(network.network_address), int(network.netmask), kind)
        for network, kind in networks
        if network.version == version
    )


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


@lru_cache(maxsize=4096)
def kind_of(address: str) -> AddressKind | None:
    """The kind of an address in text form (its zone is ignored), None for what is no address at all.

    An IPv4-mapped IPv6 address is judged by the IPv4 address in it."""
    try:
        parsed = _plain(parse_address(address))
    except ValueError:
        return None
    value = int(parsed)
    return next(kind for first, mask, kind in _rows(parsed.version) if value & mask == first)


def is_public(address: str) -> bool:
    """True for unicast addresses that everybody on the internet can route to, False for all others and for
    what is no address at all."""
    return kind_of(address) == "public"


def leaves_link(address: str) -> bool:
    """May it be known beyond this link: is it neither loopback nor link-local, nor unspecified?"""
    return kind_of(address) not in ("loopback", "link-local", "unspecified")


def is_this_machine(address: str) -> bool:
    """Does whoever sends there send to itself? Name servers that block a name answer so."""
    return kind_of(address) in ("loopback", "unspecified")


def is_shared(address: str) -> bool:
    """Is it of 100.64.0.0/10 (RFC 6598), which stands between a provider's NAT and its customers?"""
    return kind_of(address) == "shared"


def carries_ipv4_over_ipv6(address: str) -> bool:
    """Is it of 192.0.0.0/29 (RFC 7335)? A machine or router has it that reaches IPv4 through its provider's
    IPv6 network: by 464XLAT's translator on this machine (CLAT), or DS-Lite's tunnel."""
    return address.startswith("192.0.0.") and address[8:] in tuple("01234567")


# Blocks that military networks hold and nobody routes, for which carriers and offices use them inside
# (11.0.0.0/8 is left out: it is the internet of labs)
_SQUATTED: Final = frozenset((7, 21, 22, 25, 26, 28, 29, 30, 33, 55, 214, 215))


def is_squatted(address: str) -> bool:
    """Is it of a block that networks use inside though it is somebody else's? Such a hop may well stand
    before a NAT."""
    first = address.partition(".")[0]
    return ":" not in address and first.isdecimal() and int(first) in _SQUATTED and is_public(address)


def is_translated_hop(address: str) -> bool:
    """Does a translator (464XLAT) give it to routers on a path that have no IPv4? 192.0.0.8 (RFC 7600), or
    Android's 255.0.0.N for one some N hops away."""
    return address == "192.0.0.8" or address.startswith("255.0.0.")
