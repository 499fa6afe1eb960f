"""The Binding method's messages in one step each; the answer is the hot path of a server."""

from __future__ import annotations

from struct import Struct
from typing import Final

from nattools.chance import random_bytes
from nattools.model.endpoint import Endpoint
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.attributes import (
    build_header,
    masked_ipv4_octets,
    message_type,
    pack_address,
    pack_attribute,
    pack_change_request,
    pack_response_port,
    pack_xor_address,
)

_SUCCESS_IPV4: Final = Struct(">HHI12sHHHHBBBB")
_pack_success_ipv4 = _SUCCESS_IPV4.pack
_SUCCESS_TYPE: Final = message_type(c.BINDING, "success")
_REQUEST_TYPE: Final = message_type(c.BINDING, "request")
_INDICATION_TYPE: Final = message_type(c.BINDING, "indication")


def new_transaction_id() -> bytes:
    """12 bytes that nobody can guess (RFC 8489 5)."""
    return random_bytes(12)


def binding_indication() -> bytes:
    """A Binding indication, which nobody answers (RFC 8489 6.3.2)."""
    return build_header(_INDICATION_TYPE, 0, new_transaction_id())


def binding_success(transaction_id: bytes, mapped: Endpoint) -> bytes:
    """A Binding success response with XOR-MAPPED-ADDRESS alone: 32 bytes for IPv4, 44 for IPv6.

    A 16-byte id is answered in the manner of RFC 3489, with MAPPED-ADDRESS. ValueError: no address or port.
    """
    host, port = mapped
    if len(transaction_id) == 12 and ":" not in host and 0 <= port <= 0xFFFF:
        octets = masked_ipv4_octets(host)
        return _pack_success_ipv4(
            0x0101, 12, 0x2112A442, transaction_id, 0x0020, 8, 1, port ^ 0x2112, *octets
        )
    if len(transaction_id) == 16:
        attribute = pack_attribute(c.MAPPED_ADDRESS, pack_address(mapped))
    else:
        attribute = pack_attribute(c.XOR_MAPPED_ADDRESS, pack_xor_address(mapped, transaction_id))
    return build_header(_SUCCESS_TYPE, len(attribute), transaction_id) + attribute


def binding_request(
    transaction_id: bytes,
    *,
    change_address: bool = False,
    change_port: bool = False,
    response_port: int | None = None,
    padded_to: int = 0,
    hello: bool = True,
) -> bytes:
    """A Binding request; with a 16-byte id one of RFC 3489, for servers that know nothing newer.

    CHANGE-REQUEST is there only if it asks for something. `hello` adds NATTOOLS-HELLO, which a nattools
    server answers in kind and others ignore; its zero bytes bring the message to `padded_to` bytes or a
    little more, so that a longer answer is no amplification. Without it PADDING does that (RFC 5780 7.6),
    which also asks the server to pad its answer.
    """
    body = b""
    if change_address or change_port:
        body += pack_attribute(c.CHANGE_REQUEST, pack_change_request(change_address, change_port))
    if response_port is not None:
        body += pack_attribute(c.RESPONSE_PORT, pack_response_port(response_port))
    missing = max(0, padded_to - c.HEADER_SIZE - len(body) - 4)
    if hello:
        body += pack_attribute(c.NATTOOLS_HELLO, bytes(missing + 3 & ~3))
    elif missing:
        body += pack_attribute(c.PADDING, bytes(missing + 3 & ~3))
    return build_header(_REQUEST_TYPE, len(body), transaction_id) + body
