"""Circuit relay v2: a reservation at a relay (RESERVE), and a connection through it to one who has it
(CONNECT), which the relay announces to that one (stop).
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from nattools.errors import ProtocolError
from nattools.protocols.libp2p.hostkey import HostKey
from nattools.protocols.libp2p.identify import readable_addresses
from nattools.protocols.libp2p.multiaddr import MAX_OCTETS, Multiaddr
from nattools.protocols.libp2p.peerid import PeerId, decode_peer_id
from nattools.protocols.libp2p.protobuf import (
    Fields,
    number_field,
    octets_field,
    octets_fields,
    parse_fields,
)

HOP: Final = "/libp2p/circuit/relay/0.2.0/hop"
STOP: Final = "/libp2p/circuit/relay/0.2.0/stop"
MAX_RELAY_MESSAGE: Final = 8192
_VOUCHER_DOMAIN: Final = b"libp2p-relay-rsvp"
_VOUCHER_TYPE: Final = b"\x03\x02"
_MOST_ADDRESSES: Final = 50

HopKind = Literal["reserve", "connect", "status"]
CircuitStatus = Literal[
    "unused",
    "ok",
    "reservation-refused",
    "limit-exceeded",
    "permission-denied",
    "connection-failed",
    "no-reservation",
    "malformed",
    "unexpected",
    "unknown",
]
_STATUSES: Final[dict[int, CircuitStatus]] = {
    0: "unused",
    100: "ok",
    200: "reservation-refused",
    201: "limit-exceeded",
    202: "permission-denied",
    203: "connection-failed",
    204: "no-reservation",
    400: "malformed",
    401: "unexpected",
}
_STATUS_NUMBERS: Final = {name: number for number, name in _STATUSES.items()}
_HOP_KINDS: Final[tuple[HopKind, ...]] = ("reserve", "connect", "status")
_STOP_KINDS: Final[tuple[HopKind, ...]] = ("connect", "status")


class RelayLimit(msgspec.Struct, frozen=True):
    """What a relayed connection may last, in seconds, and carry each way, in bytes; 0: without a bound."""

    seconds: int = 0
    octets: int = 0


class Reservation(msgspec.Struct, frozen=True):
    """A reservation at a relay until `expires` (seconds since 1970). `addresses`: the relay's own."""

    expires: int
    addresses: tuple[Multiaddr, ...] = ()
    voucher: bytes = b""


class CircuitMessage(msgspec.Struct, frozen=True):
    """A message between a client and its relay. `peer`: whom to connect to, or who connects."""

    kind: HopKind
    status: CircuitStatus = "unused"
    peer: PeerId | None = None
    reservation: Reservation | None = None
    limit: RelayLimit | None = None


def encode_hop(message: CircuitMessage) -> bytes:
    """To or from the relay about a reservation or a connection, without its length."""
    return _encode(message, _HOP_KINDS, (2, 3, 4, 5))


def encode_stop(message: CircuitMessage) -> bytes:
    """A message to or from the one whom a relay connects to, without its length."""
    return _encode(message, _STOP_KINDS, (2, 0, 3, 4))


def decode_hop(message: bytes) -> CircuitMessage:
    """ProtocolError: it is none."""
    return _decode(parse_fields(message), _HOP_KINDS, (2, 3, 4, 5))


def decode_stop(message: bytes) -> CircuitMessage:
    """ProtocolError: it is none."""
    return _decode(parse_fields(message), _STOP_KINDS, (2, 0, 3, 4))


def _encode(message: CircuitMessage, kinds: tuple[HopKind, ...], numbers: tuple[int, ...]) -> bytes:
    peer, place, limit, status = numbers
    octets = number_field(1, kinds.index(message.kind))
    if message.peer is not None:
        octets += octets_field(peer, octets_field(1, message.peer.octets))
    if message.reservation is not None:
        found = message.reservation
        addresses = octets_fields(2, (each.encode() for each in found.addresses))
        voucher = octets_field(3, found.voucher) if found.voucher else b""
        octets += octets_field(place, number_field(1, found.expires) + addresses + voucher)
    if message.limit is not None:
        bounds = number_field(1, message.limit.seconds) + number_field(2, message.limit.octets)
        octets += octets_field(limit, bounds)
    if message.kind == "status":
        octets += number_field(status, _STATUS_NUMBERS[message.status])
    return octets


def _decode(fields: Fields, kinds: tuple[HopKind, ...], numbers: tuple[int, ...]) -> CircuitMessage:
    peer, place, limit, status = numbers
    kind = fields.number(1, 0)
    if kind >= len(kinds):
        raise ProtocolError(f"a message of type {kind}")
    about, bounds = fields.message(peer), fields.message(limit)
    found = fields.message(place) if place else None
    return CircuitMessage(
        kind=kinds[kind],
        status=_STATUSES.get(fields.number(status, 0), "unknown"),
        peer=None if about is None else decode_peer_id(about.octets(1, 64) or b""),
        reservation=None if found is None else _reservation(found),
        limit=None if bounds is None else RelayLimit(bounds.number(1, 0), bounds.number(2, 0)),
    )


def _reservation(fields: Fields) -> Reservation:
    addresses = fields.all_octets(2, MAX_OCTETS)[:_MOST_ADDRESSES]
    return Reservation(fields.number(1, 0), readable_addresses(addresses), fields.octets(3, 4096) or b"")


def make_voucher(relay: HostKey, peer: PeerId, expires: int) -> bytes:
    """The relay's word that a peer has a place."""
    payload = octets_field(1, relay.peer.octets) + octets_field(2, peer.octets) + number_field(3, expires)
    return relay.seal(_VOUCHER_DOMAIN, _VOUCHER_TYPE, payload)
