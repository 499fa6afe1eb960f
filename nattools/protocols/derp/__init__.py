"""DERP, by which Tailscale and headscale relay: keys, frames, the client's side of a conversation, the maps
that list the servers, and the questions that measure how far away they are.

Pure: bytes in, values out, and back. There is no RFC; what it follows is what derper 1.102 and Tailscale's
clients do. A server is hostile here: decoders raise ProtocolError and nothing else, for any bytes.
"""

from nattools.protocols.derp.client import (
    DerpClient,
    DerpEvent,
    Health,
    PeerGone,
    Received,
    Restarting,
)
from nattools.protocols.derp.derpmap import DerpMap, DerpNode, DerpRegion, node_at, parse_map
from nattools.protocols.derp.frames import KEY_SIZE, MAX_PACKET, Deframer, Frame, encode
from nattools.protocols.derp.keys import KeyPair, endpoint_of, why_no_keys
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
    "Deframer",
    "DerpClient",
    "DerpEvent",
    "DerpMap",
    "DerpNode",
    "DerpRegion",
    "Frame",
    "Health",
    "KeyPair",
    "PeerGone",
    "Received",
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
