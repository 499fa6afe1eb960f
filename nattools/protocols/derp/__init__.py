"""DERP, by which Tailscale and headscale relay: keys, frames, the client's side of a conversation, the maps
that list the servers, and the questions that measure how far away they are.

Pure: bytes in, values out, and back. There is no RFC; what it follows is what derper 1.102 and Tailscale's
clients do. A server is hostile here: decoders raise ProtocolError and nothing else, for any bytes.
"""

from nattools.protocols.derp.derpclient import (
    DerpClient,
    DerpEvent,
    Health,
    PacketReceived,
    PeerGone,
    Restarting,
)
from nattools.protocols.derp.derpframes import KEY_SIZE, MAX_PACKET, DerpFrameReader, Frame, encode
from nattools.protocols.derp.derpkeys import KeyPair, endpoint_of, why_no_keys
from nattools.protocols.derp.derpmap import DerpMap, DerpNode, DerpRegion, node_at, parse_map
from nattools.protocols.derp.latency import (
    challenge_for,
    latency_request,
    meets_challenge,
    portal_request,
    tailnode_request,
)

__all__ = [
    "KEY_SIZE",
    "MAX_PACKET",
    "DerpClient",
    "DerpEvent",
    "DerpFrameReader",
    "DerpMap",
    "DerpNode",
    "DerpRegion",
    "Frame",
    "Health",
    "KeyPair",
    "PacketReceived",
    "PeerGone",
    "Restarting",
    "challenge_for",
    "encode",
    "endpoint_of",
    "latency_request",
    "meets_challenge",
    "node_at",
    "parse_map",
    "portal_request",
    "tailnode_request",
    "why_no_keys",
]
