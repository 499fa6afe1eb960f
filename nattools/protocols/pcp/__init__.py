"""PCP, the Port Control Protocol (RFC 6887): codec, result codes, epoch and client transaction.

Pure: bytes in, values out, and back. Decoders raise ProtocolError and nothing else, for any bytes.
"""

from nattools.protocols.pcp.epoch import EpochClock
from nattools.protocols.pcp.message import (
    ANNOUNCE,
    ANNOUNCE_PORT,
    FILTER,
    MAP,
    PEER,
    PORT,
    PREFER_FAILURE,
    THIRD_PARTY,
    VERSION,
    Filter,
    MapBody,
    Option,
    PeerBody,
    Request,
    Response,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    filter_option,
    new_nonce,
    prefer_failure,
    read_filter,
    read_third_party,
    third_party,
)
from nattools.protocols.pcp.results import REFUSALS, refusal
from nattools.protocols.pcp.transaction import Transaction, believable_lifetime_s, renewal_delay_s

__all__ = [
    "ANNOUNCE",
    "ANNOUNCE_PORT",
    "FILTER",
    "MAP",
    "PEER",
    "PORT",
    "PREFER_FAILURE",
    "REFUSALS",
    "THIRD_PARTY",
    "VERSION",
    "EpochClock",
    "Filter",
    "MapBody",
    "Option",
    "PeerBody",
    "Request",
    "Response",
    "Transaction",
    "believable_lifetime_s",
    "decode_request",
    "decode_response",
    "encode_request",
    "encode_response",
    "filter_option",
    "new_nonce",
    "prefer_failure",
    "read_filter",
    "read_third_party",
    "refusal",
    "renewal_delay_s",
    "third_party",
]
