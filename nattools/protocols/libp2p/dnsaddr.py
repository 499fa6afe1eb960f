"""Addresses of peers in TXT records: `/dnsaddr/NAME` stands for what the records of `_dnsaddr.NAME` say, each
as `dnsaddr=MULTIADDR`, and those that end otherwise than the address are dropped (multiformats/multiaddr,
protocols/DNSADDR.md). Pure.

Whoever answers for the name may write anything there, so what a record leads to is looked at before anybody
is written to."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from nattools.errors import ProtocolError
from nattools.protocols.libp2p.multiaddr import Multiaddr, parse_multiaddr

DEPTH: Final = 4
"""Names that lead to names that lead to names: those of the public network have two."""
MOST_NAMES: Final = 8
"""That are asked for one address."""
MOST_FOUND: Final = 32
_MARK: Final = "dnsaddr="
_LABEL: Final = "_dnsaddr."


class DnsaddrRecords(NamedTuple):
    """`addresses`: what a name's records lead to, names among them; `refused`: how many were not taken."""

    addresses: tuple[Multiaddr, ...]
    refused: int


def name_of(address: Multiaddr) -> str | None:
    """The name whose TXT records an address stands for; None: it is no such address."""
    kind, value = address.parts[0]
    return f"{_LABEL}{value.rstrip('.').lower()}" if kind == "dnsaddr" else None


def read_records(texts: Iterable[str], asked: Multiaddr) -> DnsaddrRecords:
    """What the texts of the name in `asked` lead to. TXT records of other kinds are nobody's fault; addresses
    of other peers, through relays, or of this machine or its link are not taken."""
    end = asked.parts[1:]
    found: dict[Multiaddr, None] = {}
    refused = 0
    for text in texts:
        if not text.startswith(_MARK):
            continue
        try:
            address = parse_multiaddr(text.removeprefix(_MARK))
            taken = _may_lead(address) and (not end or address.parts[1:][-len(end) :] == end)
        except ProtocolError:
            taken = False
        if taken and len(found) < MOST_FOUND:
            found[address] = None
        elif not taken:
            refused += 1
    return DnsaddrRecords(tuple(found), refused)


def _may_lead(address: Multiaddr) -> bool:
    """Neither to this machine itself, nor to a group or to its link, whoever says so."""
    if address.relayed:
        return False
    kind, value = address.parts[0]
    if kind not in ("ip4", "ip6"):
        return kind in ("dns", "dns4", "dns6", "dnsaddr")
    at = ip_address(value)
    if isinstance(at, IPv6Address) and at.ipv4_mapped is not None:
        at = at.ipv4_mapped
    nowhere = at.is_loopback or at.is_unspecified or at.is_multicast or at.is_link_local
    return not nowhere and at != IPv4Address("255.255.255.255")
