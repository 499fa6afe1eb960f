"""This machine's IPv6 addresses by what they are for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from nattools.model.confidence import CERTAIN_ERROR, WORST_LOSS, chance_of_silence
from nattools.model.host import ConfiguredAddress, Host
from nattools.model.ipv6 import AddressUse, InboundByTransport, Ipv6Address
from nattools.model.ipv6trial import SourceTrial

_RANGES: Final[tuple[tuple[str, AddressUse], ...]] = (
    ("fe80::/10", "link-local"),  # RFC 4291 2.5.6
    ("fc00::/7", "ula"),  # RFC 4193
    ("2001::/32", "teredo"),  # RFC 4380
    ("2002::/16", "6to4"),  # RFC 3056
)
_NETWORKS: Final = tuple((IPv6Network(text), use) for text, use in _RANGES)
_CLAT: Final = IPv4Network("192.0.0.0/29")  # RFC 7335
_SMALL: Final = 0xFFFF
_FROM_MAC: Final = 0xFFFE  # RFC 4291 A, in the midst of the interface identifier


def _interface_id(address: str) -> int:
    """The last 64 bits (RFC 4291 2.5.1). ValueError: no IPv6 address."""
    return int(IPv6Address(address)) & (1 << 64) - 1


def shows_mac(address: str) -> bool:
    """Was the interface identifier made from a hardware address?"""
    return _interface_id(address) >> 24 & 0xFFFF == _FROM_MAC


def use_of(configured: ConfiguredAddress) -> AddressUse:
    """What an address is for: first by its range, then by how it was made, as far as the system tells."""
    plain = IPv6Address(configured.address)
    for network, use in _NETWORKS:
        if plain in network:
            return use
    if configured.temporary:
        return "temporary"
    if shows_mac(configured.address):
        return "eui-64"
    return "stable" if configured.stable else "other"


def answers_by_prefix(trials: Sequence[SourceTrial]) -> dict[IPv6Network, bool]:
    """By prefix, do servers answer to what is sent from there? Silence counts where a server answered to what
    was sent from another one."""
    heard = {each.asked for each in trials if each.answered}
    found = {_prefix_of_host(each.address): True for each in trials if each.answered}
    for each in trials:
        silent = not each.answered and chance_of_silence(each.sent, WORST_LOSS) < CERTAIN_ERROR
        if silent and each.asked in heard:
            found.setdefault(_prefix_of_host(each.address), False)
    return found


def _prefix_of_host(address: str) -> IPv6Network:
    """The network of an address, as hosts have them (RFC 4291 2.5.1)."""
    return IPv6Network(f"{address}/64", strict=False)


def described(
    host: Host, inbound: dict[str, InboundByTransport], answers: dict[IPv6Network, bool]
) -> tuple[Ipv6Address, ...]:
    """All of this machine's, those that others can write to first; and the IPv4 address of its own
    translator. What makes no sense as an address is left out."""
    setup = () if host.ipv6 is None else host.ipv6.addresses
    found = [
        _described(each, inbound.get(each.address), answers.get(_prefix_of_host(each.address)))
        for each in setup
        if _is_ipv6(each.address)
    ]
    found.sort(key=lambda each: each.kind == "link-local")
    return (*found, *_translators(host))


def _described(
    each: ConfiguredAddress, inbound: InboundByTransport | None, answered: bool | None
) -> Ipv6Address:
    return Ipv6Address(
        address=each.address,
        interface=each.interface,
        kind=use_of(each),
        deprecated=each.deprecated,
        tentative=each.tentative or each.duplicate,
        duplicate=each.duplicate,
        prefix_length=each.prefix_length,
        shows_mac=shows_mac(each.address),
        valid_s=each.valid_s,
        preferred_s=each.preferred_s,
        answered=answered,
        inbound=inbound,
    )


def _translators(host: Host) -> Iterable[Ipv6Address]:
    for interface in host.interfaces:
        for text in interface.addresses:
            if ":" not in text and _in_clat(text):
                yield Ipv6Address(address=text, interface=interface.name, kind="clat")


def _in_clat(text: str) -> bool:
    try:
        return ip_address(text) in _CLAT
    except ValueError:
        return False


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def same_host_part(inside: str, outside: str) -> bool | None:
    """Are these one address under two prefixes, as NPTv6 makes them (RFC 6296 3.1)? Where the prefix leaves
    no room in the first half, a word of the other half mends the checksum. None: small numbers as people
    give, which many addresses have."""
    one, other = (IPv6Address(text).packed for text in (inside, outside))
    if one[8:] == other[8:]:
        return True if _interface_id(inside) > _SMALL else None
    differing = sum(one[at : at + 2] != other[at : at + 2] for at in range(8, 16, 2))
    return differing == 1 and _checksum(one) == _checksum(other)


def _checksum(packed: bytes) -> int:
    total = sum(int.from_bytes(packed[at : at + 2], "big") for at in range(0, 16, 2))
    return total % 0xFFFF
