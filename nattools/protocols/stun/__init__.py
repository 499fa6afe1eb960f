"""STUN: codec and client transaction (RFC 8489, RFC 5780, RFC 8445; RFC 3489's messages too).

TURN's messages are STUN's: their numbers and attributes are here, all else in `nattools.protocols.turn`.

Pure: bytes in, values out, and back. Decoders raise ProtocolError and nothing else, for any bytes.
Credentials are imported from `authentication`: few messages have them.
"""

from nattools.protocols.stun import constants
from nattools.protocols.stun.attributes import (
    message_type,
    pack_address,
    pack_algorithms,
    pack_attribute,
    pack_error_code,
    pack_response_port,
    pack_types,
    pack_xor_address,
    unpack_address,
    unpack_xor_address,
)
from nattools.protocols.stun.binding import (
    binding_indication,
    binding_request,
    binding_success,
    new_transaction_id,
)
from nattools.protocols.stun.codec import (
    Framer,
    IntegrityAlgorithm,
    decode,
    encode,
    verify_fingerprint,
    verify_integrity,
)
from nattools.protocols.stun.constants import BINDING, MAGIC_COOKIE, Kind
from nattools.protocols.stun.message import Message
from nattools.protocols.stun.transaction import Transaction

__all__ = [
    "BINDING",
    "MAGIC_COOKIE",
    "Framer",
    "IntegrityAlgorithm",
    "Kind",
    "Message",
    "Transaction",
    "binding_indication",
    "binding_request",
    "binding_success",
    "constants",
    "decode",
    "encode",
    "message_type",
    "new_transaction_id",
    "pack_address",
    "pack_algorithms",
    "pack_attribute",
    "pack_error_code",
    "pack_response_port",
    "pack_types",
    "pack_xor_address",
    "unpack_address",
    "unpack_xor_address",
    "verify_fingerprint",
    "verify_integrity",
]
