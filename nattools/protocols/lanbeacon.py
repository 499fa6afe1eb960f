"""The beacon by which two machines that run `nattools lan` prove what the network between them lets through.

Each sends its beacon in every way that there is: to the broadcast address, to a group of IPv4 and one of
IPv6, and to the address of whoever was heard. A beacon names the way by which it was sent, and whom its
sender has heard, by which ways: so each learns of both directions. Pure.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

from nattools.errors import ProtocolError
from nattools.model.endpoint import Family

PORT: Final = 41914
GROUPS: Final[dict[Family, str]] = {4: "239.255.78.84", 6: "ff02::4e54"}
"""Of the administratively scoped range (RFC 2365 6.1), and of the link (RFC 4291 2.7)."""
IDENTITY: Final = 8
MOST_HEARD: Final = 64
BeaconWay = Literal["unicast", "broadcast", "multicast4", "multicast6"]
WAYS: Final[tuple[BeaconWay, ...]] = get_args(BeaconWay)
_MAGIC: Final = b"nattools lan 1\0"
_HEAD: Final = len(_MAGIC) + IDENTITY + 2
_ENTRY: Final = IDENTITY + 1


class Beacon(NamedTuple):
    """`sender` is drawn for one run; `way` is how this one was sent; `heard`: other senders, and the ways by
    which their beacons have come; under `sender` itself the ways by which it sends."""

    sender: bytes
    way: BeaconWay
    heard: dict[bytes, frozenset[BeaconWay]]


def encode_beacon(beacon: Beacon) -> bytes:
    """The first `MOST_HEARD` of those heard."""
    entries = list(beacon.heard.items())[:MOST_HEARD]
    parts = [_MAGIC, beacon.sender, bytes([WAYS.index(beacon.way), len(entries)])]
    for sender, ways in entries:
        parts += [sender, bytes([sum(1 << WAYS.index(way) for way in ways)])]
    return b"".join(parts)


def decode_beacon(data: bytes) -> Beacon:
    """ProtocolError: it is none. Ways that are not known here are left out."""
    if not data.startswith(_MAGIC) or len(data) < _HEAD:
        raise ProtocolError("no beacon")
    sender = data[len(_MAGIC) : len(_MAGIC) + IDENTITY]
    way, count = data[_HEAD - 2], data[_HEAD - 1]
    if way >= len(WAYS) or count > MOST_HEARD or len(data) < _HEAD + count * _ENTRY:
        raise ProtocolError("a beacon that is cut off, or of another kind")
    heard = {}
    for place in range(_HEAD, _HEAD + count * _ENTRY, _ENTRY):
        bits = data[place + IDENTITY]
        ways = frozenset(each for number, each in enumerate(WAYS) if bits >> number & 1)
        heard[data[place : place + IDENTITY]] = ways
    return Beacon(sender, WAYS[way], heard)
