"""STUN: codec, credentials and client transaction (RFC 8489, RFC 5780, RFC 8445; RFC 3489's messages too).

TURN's messages are STUN's: their numbers and attributes are here, all else in `nattools.protocols.turn`.

Pure: bytes in, values out, and back. Decoders raise ProtocolError and nothing else, for any bytes.
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
from nattools.protocols.stun.authentication import (
    Authentication,
    LongTermAuthentication,
    ShortTermAuthentication,
    long_term_key,
    make_nonce,
    nonce_features,
    opaque_string,
    short_term_key,
    userhash,
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
    "Authentication",
    "Framer",
    "IntegrityAlgorithm",
    "Kind",
    "LongTermAuthentication",
    "Message",
    "ShortTermAuthentication",
    "Transaction",
    "binding_indication",
    "binding_request",
    "binding_success",
    "constants",
    "decode",
    "encode",
    "long_term_key",
    "make_nonce",
    "message_type",
    "new_transaction_id",
    "nonce_features",
    "opaque_string",
    "pack_address",
    "pack_algorithms",
    "pack_attribute",
    "pack_error_code",
    "pack_response_port",
    "pack_types",
    "pack_xor_address",
    "short_term_key",
    "unpack_address",
    "unpack_xor_address",
    "userhash",
    "verify_fingerprint",
    "verify_integrity",
]
