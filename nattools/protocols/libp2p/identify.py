"""identify: what a peer says of itself, and from where it sees us (`/ipfs/id/1.0.0`)."""

from __future__ import annotations

from typing import Final

import msgspec

from nattools.errors import ProtocolError
from nattools.protocols.libp2p.multiaddr import MAX_OCTETS, Multiaddr, decode_multiaddr
from nattools.protocols.libp2p.protobuf import octets_field, octets_fields, parse_fields

IDENTIFY: Final = "/ipfs/id/1.0.0"
MAX_IDENTIFY: Final = 65_536
"""Bytes of all that a peer says of itself, which may come in several messages."""
_MOST: Final = 200
_LONGEST: Final = 256


class PeerDescription(msgspec.Struct, frozen=True):
    """`observed`: where the peer sees us, None if it does not say. Addresses that cannot be read are left
    out."""

    agent: str = ""
    protocols: tuple[str, ...] = ()
    addresses: tuple[Multiaddr, ...] = ()
    observed: Multiaddr | None = None
    public_key: bytes = b""
    protocol_version: str = ""


def encode_description(description: PeerDescription) -> bytes:
    """The message, without its length."""
    observed = description.observed
    return b"".join(
        (
            octets_field(1, description.public_key),
            octets_fields(2, (address.encode() for address in description.addresses)),
            octets_fields(3, (protocol.encode() for protocol in description.protocols)),
            b"" if observed is None else octets_field(4, observed.encode()),
            octets_field(5, description.protocol_version.encode()),
            octets_field(6, description.agent.encode()),
        )
    )


def decode_description(message: bytes) -> PeerDescription:
    """Of the messages that came, one behind the other. ProtocolError: they are none."""
    fields = parse_fields(message)
    observed = fields.octets(4, MAX_OCTETS)
    protocols = fields.all_octets(3, _LONGEST)[:_MOST]
    return PeerDescription(
        agent=fields.text(6, _LONGEST),
        protocols=tuple(each.decode("utf-8", "replace") for each in protocols),
        addresses=readable_addresses(fields.all_octets(2, MAX_OCTETS)[:_MOST]),
        observed=None if observed is None else readable_address(observed),
        public_key=fields.octets(1, 4096) or b"",
        protocol_version=fields.text(5, _LONGEST),
    )


def readable_addresses(found: list[bytes]) -> tuple[Multiaddr, ...]:
    """The addresses that `readable_address` can read."""
    return tuple(address for each in found if (address := readable_address(each)) is not None)


def readable_address(octets: bytes) -> Multiaddr | None:
    """None: it is no address, or has a protocol that is not known here."""
    try:
        return decode_multiaddr(octets)
    except ProtocolError:
        return None
