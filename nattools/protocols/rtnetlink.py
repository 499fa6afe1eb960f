"""rtnetlink(7): how Linux tells of its interfaces and routes. Pure: bytes in and out, in the machine's own
byte order.

A dump is a row of datagrams with a message for each link or route; one route is asked for by its destination,
and the kernel answers with what it would do with such a packet, all rules and tables considered.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import ip_address

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Family

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr: length, type
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, ARPHRD_, index, flags, change
_ROUTE = struct.Struct(
    "=BBBBBBBBI"
)  # struct rtmsg: family, lengths, tos, table, protocol, scope, type, flags
_HOP = struct.Struct("=HBBi")  # struct rtnexthop: length, flags, hops, index
_ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, prefix length, flags, scope, index
_NEIGHBOUR = struct.Struct("=B3xiHBB")  # struct ndmsg: family, index, state, flags, type
_LIFETIMES = struct.Struct("=II")  # struct ifa_cacheinfo: preferred, valid, and more
_NUMBER = struct.Struct("=I")

_ERROR, _DONE = 2, 3
_NEW_LINK, _GET_LINK, _NEW_ADDRESS, _GET_ADDRESS, _NEW_ROUTE, _GET_ROUTE = 16, 18, 20, 22, 24, 26
_NEW_NEIGHBOUR, _GET_NEIGHBOUR = 28, 30
_REQUEST, _DUMP = 0x1, 0x300
_NAME, _MTU, _MASTER, _LINK_INFO, _EXTENSIONS = 3, 4, 10, 18, 29  # IFLA_
_KIND = 1  # IFLA_INFO_KIND
_SKIP_STATISTICS = 8  # RTEXT_FILTER_SKIP_STATS
_DESTINATION, _SOURCE, _OUT, _VIA, _PRIORITY, _PREFERRED, _MULTIPATH, _TABLE = 1, 2, 4, 5, 6, 7, 9, 15  # RTA_
_OWN, _LOCAL_END, _CACHE_INFO, _ADDRESS_FLAGS = 1, 2, 6, 8  # IFA_
_NEIGHBOUR_ADDRESS, _NEIGHBOUR_HARDWARE = 1, 2  # NDA_
_SILENT = 0x01 | 0x20  # NUD_INCOMPLETE, _FAILED
_ANSWERED = 0x02 | 0x04 | 0x08 | 0x10  # NUD_REACHABLE, _STALE, _DELAY, _PROBE
_FOREVER = 0xFFFFFFFF
_NESTED = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
_UNICAST, _LOCAL = 1, 2  # RTN_
_BLOCKING = (6, 7, 8)  # RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT
_CLONED = 0x200  # RTM_F_CLONED: a row of a cache, not of a table

FAMILIES: dict[Family, int] = {4: 2, 6: 10}
"""AF_INET and AF_INET6, as Linux numbers them."""


class KernelLink(msgspec.Struct, frozen=True):
    """A network interface. `kind` is what the kernel's driver for it is called ("tun", "bridge"), "" of
    most hardware; `hardware` one of `linux/if_arp.h`'s ARPHRD_; `master` the index of the bridge, bond or
    VRF that it is a part of."""

    index: int
    name: str
    flags: int = 0
    hardware: int = 1
    mtu: int | None = None
    kind: str = ""
    master: int | None = None


class TableRoute(msgspec.Struct, frozen=True):
    """A route to the `length` first bits of `destination` (None: of all addresses), out of the interface with
    the index `link`. `gateway` None: everybody there is a neighbour, or the link has but one other end.
    `source`: the own address for what this machine sends. `local`: the destination is this machine.
    `protocol`: who made the route, one of `linux/rtnetlink.h`'s RTPROT_."""

    family: Family
    link: int
    length: int = 0
    destination: str | None = None
    gateway: str | None = None
    source: str | None = None
    metric: int = 0
    table: int = 254
    local: bool = False
    protocol: int = 0


class KernelAddress(msgspec.Struct, frozen=True):
    """An own address on the interface with the index `link`. `flags` are those of `linux/if_addr.h`'s IFA_F_.
    Lifetimes in seconds; None: for ever."""

    link: int
    address: str
    length: int
    flags: int = 0
    preferred_s: int | None = None
    valid_s: int | None = None


class KernelNeighbour(msgspec.Struct, frozen=True):
    """A machine on the link with the index `link` that once answered ARP or neighbour discovery. `hardware`:
    with which hardware address, in hexadecimal."""

    link: int
    address: str
    hardware: str


class NetlinkError(msgspec.Struct, frozen=True):
    """The kernel's answer is an error: `number` is its errno."""

    number: int


class End(msgspec.Struct, frozen=True):
    """The end of a dump."""


class SilentNeighbour(msgspec.Struct, frozen=True):
    """An address on the link with the index `link` that has been looked for, and nobody has answered."""

    link: int
    address: str


class BlockingRoute(msgspec.Struct, frozen=True):
    """A route by which nothing leaves (blackhole, unreachable, prohibit), as of `TableRoute`."""

    family: Family
    length: int = 0
    destination: str | None = None
    metric: int = 0
    table: int = 254


Message = (
    KernelLink
    | KernelAddress
    | KernelNeighbour
    | SilentNeighbour
    | TableRoute
    | BlockingRoute
    | NetlinkError
    | End
)


def dump_links(sequence: int) -> bytes:
    """The request for all interfaces."""
    body = _LINK.pack(0, 0, 0, 0, 0) + _attribute(_EXTENSIONS, _NUMBER.pack(_SKIP_STATISTICS))
    return _message(_GET_LINK, _REQUEST | _DUMP, sequence, body)


def dump_addresses(sequence: int, family: Family) -> bytes:
    """The request for all own addresses of a family."""
    body = _ADDRESS.pack(FAMILIES[family], 0, 0, 0, 0)
    return _message(_GET_ADDRESS, _REQUEST | _DUMP, sequence, body)


def dump_routes(sequence: int, family: Family) -> bytes:
    """The request for all routes of all tables."""
    body = _ROUTE.pack(FAMILIES[family], 0, 0, 0, 0, 0, 0, 0, 0)
    return _message(_GET_ROUTE, _REQUEST | _DUMP, sequence, body)


def dump_neighbours(sequence: int, family: Family) -> bytes:
    """The request for all machines of a family that are known on links."""
    return _message(_GET_NEIGHBOUR, _REQUEST | _DUMP, sequence, _NEIGHBOUR.pack(FAMILIES[family], 0, 0, 0, 0))


def ask_route(
    sequence: int, destination: str, *, source: str | None = None, link: int | None = None
) -> bytes:
    """The question which way a packet to `destination` takes, from an own address, out of an interface.
    ValueError: not an address."""
    to = ip_address(destination)
    family = FAMILIES[4 if to.version == 4 else 6]
    bits = to.max_prefixlen
    origin = b"" if source is None else ip_address(source).packed
    body = _ROUTE.pack(family, bits, bits if origin else 0, 0, 0, 0, 0, 0, 0)
    body += _attribute(_DESTINATION, to.packed)
    if origin:
        body += _attribute(_SOURCE, origin)
    if link is not None:
        body += _attribute(_OUT, _NUMBER.pack(link))
    return _message(_GET_ROUTE, _REQUEST, sequence, body)


def _message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def decode(datagram: bytes, sequence: int) -> list[Message]:
    """What a datagram from the kernel says in answer to the request with that number. What is neither an
    interface nor a usable route is left out. ProtocolError: it makes no sense."""
    try:
        return list(_messages(datagram, sequence))
    except (struct.error, ValueError) as error:
        raise ProtocolError(f"rtnetlink: {error}") from error


def _messages(datagram: bytes, sequence: int) -> Iterator[Message]:
    at = 0
    while at < len(datagram):
        length, kind, _, number, _ = _HEADER.unpack_from(datagram, at)
        if not _HEADER.size <= length <= len(datagram) - at:
            raise ValueError(f"a message of {length} bytes")
        body = datagram[at + _HEADER.size : at + length]
        at += (length + 3) & ~3
        if number != sequence:
            continue
        if kind == _ERROR:
            yield NetlinkError(-int(struct.unpack_from("=i", body)[0]))
        elif kind == _DONE:
            yield End()
        elif kind == _NEW_LINK:
            yield _link(body)
        elif kind == _NEW_ADDRESS:
            yield from _addresses(body)
        elif kind == _NEW_ROUTE:
            yield from _routes(body)
        elif kind == _NEW_NEIGHBOUR:
            yield from _neighbours(body)


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if not _ATTRIBUTE.size <= length <= len(data) - at:
            raise ValueError(f"an attribute of {length} bytes")
        found[kind & _NESTED] = data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return found


def _text(value: bytes) -> str:
    return value.partition(b"\0")[0].decode("utf-8", "replace")


def _number(found: dict[int, bytes], kind: int) -> int | None:
    return int(_NUMBER.unpack_from(found[kind])[0]) if kind in found else None


def _link(body: bytes) -> KernelLink:
    _, hardware, index, flags, _ = _LINK.unpack_from(body)
    found = _attributes(body[_LINK.size :])
    info = _attributes(found.get(_LINK_INFO, b""))
    return KernelLink(
        index,
        _text(found.get(_NAME, b"")),
        flags,
        hardware,
        _number(found, _MTU),
        _text(info.get(_KIND, b"")),
        _number(found, _MASTER),
    )


def _addresses(body: bytes) -> Iterator[KernelAddress]:
    """One, or none of another family. Of a tunnel's two ends the local one is this machine's."""
    number, length, flags, _, index = _ADDRESS.unpack_from(body)
    family: Family | None = next((each for each, known in FAMILIES.items() if known == number), None)
    if family is None:
        return
    found = _attributes(body[_ADDRESS.size :])
    own = _address(family, found.get(_LOCAL_END, found.get(_OWN)))
    if own is None:
        return
    lifetimes: tuple[int | None, ...] = (None, None)
    if _CACHE_INFO in found:
        told = _LIFETIMES.unpack_from(found[_CACHE_INFO])
        lifetimes = tuple(None if each == _FOREVER else each for each in told)
    all_flags = _number(found, _ADDRESS_FLAGS)
    yield KernelAddress(index, own, length, flags if all_flags is None else all_flags, *lifetimes)


def _neighbours(body: bytes) -> Iterator[KernelNeighbour | SilentNeighbour]:
    """One, or none."""
    number, link, state, _, _ = _NEIGHBOUR.unpack_from(body)
    family: Family | None = next((each for each, known in FAMILIES.items() if known == number), None)
    if family is None:
        return
    found = _attributes(body[_NEIGHBOUR.size :])
    address = _address(family, found.get(_NEIGHBOUR_ADDRESS))
    hardware = found.get(_NEIGHBOUR_HARDWARE, b"")
    if address is not None and state & _SILENT:
        yield SilentNeighbour(link, address)
    elif address is not None and any(hardware) and state & _ANSWERED:
        yield KernelNeighbour(link, address, hardware.hex())


def _routes(body: bytes) -> Iterator[TableRoute | BlockingRoute]:
    """One for each next hop, or one by which nothing leaves; none for "throw", which only ends a table."""
    number, length, _, _, table, protocol, _, kind, flags = _ROUTE.unpack_from(body)
    family: Family | None = next((each for each, known in FAMILIES.items() if known == number), None)
    if family is None or kind not in (_UNICAST, _LOCAL, *_BLOCKING):
        return
    found = _attributes(body[_ROUTE.size :])
    if flags & _CLONED and _DESTINATION not in found:
        return
    named = _number(found, _TABLE)
    if kind in _BLOCKING:
        metric, at = _number(found, _PRIORITY) or 0, _address(family, found.get(_DESTINATION))
        yield BlockingRoute(family, length, at, metric, table if named is None else named)
        return
    for link, gateway in _hops(found):
        yield TableRoute(
            family,
            link,
            length,
            _address(family, found.get(_DESTINATION)),
            _address(family, gateway),
            _address(family, found.get(_PREFERRED)),
            _number(found, _PRIORITY) or 0,
            table if named is None else named,
            kind == _LOCAL,
            protocol,
        )


def _hops(found: dict[int, bytes]) -> Iterator[tuple[int, bytes | None]]:
    """(index of the interface, gateway) of each next hop."""
    link = _number(found, _OUT)
    if link is not None:
        yield link, found.get(_VIA)
    several = found.get(_MULTIPATH, b"")
    at = 0
    while at + _HOP.size <= len(several):
        length, _, _, index = _HOP.unpack_from(several, at)
        if not _HOP.size <= length <= len(several) - at:
            raise ValueError(f"a next hop of {length} bytes")
        yield index, _attributes(several[at + _HOP.size : at + length]).get(_VIA)
        at += (length + 3) & ~3


def _address(family: Family, packed: bytes | None) -> str | None:
    """None too for a next hop of the other family (RFC 8950): it says nothing about this one's router."""
    if packed is None or len(packed) != (4 if family == 4 else 16) or not any(packed):
        return None
    return str(ip_address(packed))
