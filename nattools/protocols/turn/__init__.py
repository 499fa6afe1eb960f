"""TURN: what a relay and its clients say (RFC 8656, RFC 6062). Its messages are STUN's, and are read there.

Pure: bytes in, values out, and back. Decoders raise ProtocolError and nothing else, for any bytes. A client's
side is imported from `clientallocation`: a server wants the messages alone.
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
from nattools.protocols.turn.credentials import (
    LongTermCredentials,
    expiry,
    problem_of,
    time_limited,
    time_limited_password,
)
from nattools.protocols.turn.refusal import TurnRefusal, refusal
from nattools.protocols.turn.requests import AllocationWish

__all__ = [
    "FIRST_CHANNEL",
    "LAST_CHANNEL",
    "AllocationWish",
    "LongTermCredentials",
    "TurnFramer",
    "TurnRefusal",
    "constants",
    "decode_channel_data",
    "encode_channel_data",
    "expiry",
    "is_channel_data",
    "pack_address_error",
    "pack_channel",
    "pack_even_port",
    "pack_family",
    "pack_icmp",
    "pack_transport",
    "problem_of",
    "refusal",
    "time_limited",
    "time_limited_password",
]
