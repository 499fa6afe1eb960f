"""PCP, the Port Control Protocol (RFC 6887): codec and client transaction.

Pure: bytes in, values out, and back. Decoders raise ProtocolError and nothing else, for any bytes.
"""

from nattools.protocols.pcp.client import PcpTransaction, believable_lifetime_s, renewal_delay_s
from nattools.protocols.pcp.codec import (
    ANNOUNCE,
    ANNOUNCE_PORT,
    MAP,
    PEER,
    PORT,
    PREFER_FAILURE,
    THIRD_PARTY,
    VERSION,
    MapBody,
    Option,
    PeerBody,
    RequestMessage,
    ResponseMessage,
    ResultCode,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    new_nonce,
    prefer_failure,
    third_party,
)

__all__ = [
    "ANNOUNCE",
    "ANNOUNCE_PORT",
    "MAP",
    "PEER",
    "PORT",
    "PREFER_FAILURE",
    "THIRD_PARTY",
    "VERSION",
    "MapBody",
    "Option",
    "PcpTransaction",
    "PeerBody",
    "RequestMessage",
    "ResponseMessage",
    "ResultCode",
    "believable_lifetime_s",
    "decode_request",
    "decode_response",
    "encode_request",
    "encode_response",
    "new_nonce",
    "prefer_failure",
    "renewal_delay_s",
    "third_party",
]
