"""Signed envelopes of libp2p (RFC 0002 of its specifications), opened: nattools only seals them."""

from __future__ import annotations

from nattools.protocols.libp2p import uvarint
from nattools.protocols.libp2p.hostkey import verify
from nattools.protocols.libp2p.peerid import PeerId, peer_id_of
from nattools.protocols.libp2p.protobuf import parse_fields


def open_envelope(domain: bytes, envelope: bytes) -> tuple[PeerId, bytes, bytes]:
    """Who signed it, the type of its payload, the payload. ProtocolError: the signature is wrong."""
    fields = parse_fields(envelope)
    public, signature = fields.octets(1, 1024) or b"", fields.octets(5, 1024) or b""
    kind, payload = fields.octets(2, 64) or b"", fields.octets(3, 1 << 16) or b""
    verify(public, b"".join(map(uvarint.delimited, (domain, kind, payload))), signature)
    return peer_id_of(public), kind, payload
