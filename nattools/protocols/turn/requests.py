"""The requests and indications of a TURN client, without credentials (RFC 8656 7 to 12, RFC 6062 4)."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from nattools.model.endpoint import Endpoint, Family
from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.protocols.stun import turnattributes as r
from nattools.protocols.stun.message import Attribute
from nattools.protocols.turn.turnconstants import TCP, UDP

_PADDING: Final = b"nattools, a TURN client."
"""As SOFTWARE: with it the request has 56 bytes at least."""


class AllocationSpec(msgspec.Struct, frozen=True):
    """What an allocation is to be like (RFC 8656 7.1, RFC 6062 4.1).

    `family` of its relayed address, None: whichever the server gives, which is IPv4; `both_families` asks for
    one of each. `lifetime_s` None: the server's. `port` may be asked to be even, or the even one of a
    "pair" whose other is reserved: its token, as `reservation` of another spec gets it. `dont_fragment`:
    what the client marks so is not to be fragmented on its way to the peers. `tcp`: peers are reached over
    TCP. ValueError: two of these that exclude each other.
    """

    family: Family | None = None
    both_families: bool = False
    lifetime_s: int | None = None
    port: Literal["any", "even", "pair"] = "any"
    reservation: bytes | None = None
    dont_fragment: bool = False
    tcp: bool = False

    def __post_init__(self) -> None:
        if self.reservation is not None and (self.family or self.both_families or self.port != "any"):
            raise ValueError("a reserved port has its family and its number already")
        if self.both_families and (self.family or self.port != "any"):
            raise ValueError("a pair of addresses is asked for without a family and without an even port")
        if self.tcp and (self.port != "any" or self.reservation is not None or self.dont_fragment):
            raise ValueError("an allocation for TCP has neither an even port nor a don't-fragment bit")


def allocate(spec: AllocationSpec, *, padded: bool = False) -> bytes:
    """RFC 8656 7.1. `padded`: long enough for a challenge that offers SHA-256 (RFC 8489 9.2.4) to be no more
    than 1.6 times as long, which is as much as a careful server says to one who has proved nothing."""
    attributes: list[Attribute] = [(c.REQUESTED_TRANSPORT, r.pack_transport(TCP if spec.tcp else UDP))]
    if spec.lifetime_s is not None:
        attributes.append((c.LIFETIME, spec.lifetime_s.to_bytes(4, "big")))
    if spec.family is not None:
        attributes.append((c.REQUESTED_ADDRESS_FAMILY, r.pack_family(spec.family)))
    if spec.both_families:
        attributes.append((c.ADDITIONAL_ADDRESS_FAMILY, r.pack_family(6)))
        attributes.append((c.OLD_ADDITIONAL_ADDRESS_FAMILY, r.pack_family(6)))
    if spec.port != "any":
        attributes.append((c.EVEN_PORT, r.pack_even_port(reserve_next=spec.port == "pair")))
    if spec.reservation is not None:
        attributes.append((c.RESERVATION_TOKEN, spec.reservation))
    if spec.dont_fragment:
        attributes.append((c.DONT_FRAGMENT, b""))
    if padded:
        attributes.append((c.SOFTWARE, _PADDING))
    return _message(c.ALLOCATE, "request", *attributes)


def refresh(lifetime_s: int | None = None) -> bytes:
    """RFC 8656 8.1; 0 seconds end the allocation."""
    if lifetime_s is None:
        return _message(c.REFRESH, "request")
    return _message(c.REFRESH, "request", (c.LIFETIME, lifetime_s.to_bytes(4, "big")))


def create_permission(host: str) -> bytes:
    """RFC 8656 10.1; the port says nothing."""
    return _to_peer(c.CREATE_PERMISSION, "request", Endpoint(host, 0))


def channel_bind(channel: int, peer: Endpoint) -> bytes:
    """RFC 8656 12.1."""
    return _to_peer(c.CHANNEL_BIND, "request", peer, (c.CHANNEL_NUMBER, r.pack_channel(channel)))


def send_indication(data: bytes, peer: Endpoint, *, dont_fragment: bool = False) -> bytes:
    """RFC 8656 11.1."""
    bit: tuple[Attribute, ...] = ((c.DONT_FRAGMENT, b""),) if dont_fragment else ()
    return _to_peer(c.SEND, "indication", peer, *bit, (c.DATA, data))


def connect(peer: Endpoint) -> bytes:
    """RFC 6062 4.3."""
    return _to_peer(c.CONNECT, "request", peer)


def connection_bind(connection_id: int) -> bytes:
    """RFC 6062 4.3, 4.4: over a connection of its own."""
    return _message(c.CONNECTION_BIND, "request", (c.CONNECTION_ID, connection_id.to_bytes(4, "big")))


def _to_peer(method: int, kind: c.Kind, peer: Endpoint, *attributes: Attribute) -> bytes:
    transaction_id = stun.new_transaction_id()
    address = (c.XOR_PEER_ADDRESS, stun.pack_xor_address(peer, transaction_id))
    return stun.encode(stun.Message(method, kind, transaction_id, (address, *attributes)))


def _message(method: int, kind: c.Kind, *attributes: Attribute) -> bytes:
    return stun.encode(stun.Message(method, kind, stun.new_transaction_id(), attributes))
