"""TURN: what a relay and its clients say (RFC 8656, RFC 6062). Its messages are STUN's, and are read there.

Pure: bytes in, values out, and back. Decoders raise ProtocolError and nothing else, for any bytes.
What else a relay or its client needs is imported from its own module: whoever serves STUN wants the framing
alone.
"""

from nattools.protocols.stun.turnattributes import (
    FIRST_CHANNEL,
    LAST_CHANNEL,
    pack_address_error,
    pack_channel,
    pack_even_port,
    pack_family,
    pack_icmp,
    pack_transport,
)
from nattools.protocols.turn import turnconstants as constants
from nattools.protocols.turn.channeldata import (
    TurnFramer,
    decode_channel_data,
    encode_channel_data,
    is_channel_data,
)

__all__ = [
    "FIRST_CHANNEL",
    "LAST_CHANNEL",
    "TurnFramer",
    "constants",
    "decode_channel_data",
    "encode_channel_data",
    "is_channel_data",
    "pack_address_error",
    "pack_channel",
    "pack_even_port",
    "pack_family",
    "pack_icmp",
    "pack_transport",
]
