"""Direct Connection Upgrade through Relay: two who are connected through a relay tell each other where they
are seen, and connect to each other at once (`/libp2p/dcutr`).

The end that was called through the relay begins: it says CONNECT, gets one, says SYNC, and dials after half a
round trip; the other one dials when SYNC comes. Over TCP the other one is the client of what follows.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from nattools.errors import ProtocolError
from nattools.protocols.libp2p.identify import readable_addresses
from nattools.protocols.libp2p.multiaddr import MAX_OCTETS, Multiaddr
from nattools.protocols.libp2p.protobuf import number_field, octets_fields, parse_fields

DCUTR: Final = "/libp2p/dcutr"
MAX_DCUTR: Final = 4096
ATTEMPTS: Final = 3
_KINDS: Final[dict[int, Literal["connect", "sync"]]] = {100: "connect", 300: "sync"}
_MOST_ADDRESSES: Final = 20


class HolePunchMessage(msgspec.Struct, frozen=True):
    """`addresses`: where the sender is seen."""

    kind: Literal["connect", "sync"]
    addresses: tuple[Multiaddr, ...] = ()


def encode_dcutr(message: HolePunchMessage) -> bytes:
    """Without its length."""
    kind = next(number for number, name in _KINDS.items() if name == message.kind)
    return number_field(1, kind) + octets_fields(2, (each.encode() for each in message.addresses))


def decode_dcutr(message: bytes) -> HolePunchMessage:
    """ProtocolError: it is none."""
    fields = parse_fields(message)
    kind = _KINDS.get(fields.number(1, 0))
    if kind is None:
        raise ProtocolError("a message of DCUtR whose type is not known")
    return HolePunchMessage(kind, readable_addresses(fields.all_octets(2, MAX_OCTETS)[:_MOST_ADDRESSES]))
