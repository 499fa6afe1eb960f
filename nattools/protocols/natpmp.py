"""NAT-PMP, the NAT Port Mapping Protocol (RFC 6886): codec and client transaction.

Pure: bytes in, values out, and back. Decoders raise ProtocolError and nothing else, for any bytes.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import Literal

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Transport
from nattools.protocols.retransmission import RetransmittedRequest

PORT = 5351
ANNOUNCE_PORT = 5350
"""Gateways announce a changed address to 224.0.0.1 here (RFC 6886 3.2.1)."""
VERSION = 0
EXTERNAL_ADDRESS, MAP_UDP, MAP_TCP = 0, 1, 2
SUCCESS, UNSUPPORTED_VERSION, NOT_AUTHORIZED, NETWORK_FAILURE, OUT_OF_RESOURCES, UNSUPPORTED_OPCODE = range(6)

_HEADER = struct.Struct("!BBHI")
_ADDRESS_REQUEST = struct.Struct("!BB")
_MAP_REQUEST = struct.Struct("!BBxxHHI")
_MAP_RESULT = struct.Struct("!HHI")
_RESPONSE_BIT = 0x80
_OPCODES: dict[Transport, int] = {"udp": MAP_UDP, "tcp": MAP_TCP}
_TRANSPORTS: dict[int, Transport] = {MAP_UDP: "udp", MAP_TCP: "tcp"}
_MAX_SIZE = 1100  # PCP's limit, since its answers come to the same socket


class AddressRequest(msgspec.Struct, frozen=True):
    """What is the external address (RFC 6886 3.2)?"""


class MapRequest(msgspec.Struct, frozen=True):
    """Make, renew or (with a lifetime of 0) remove a mapping (RFC 6886 3.3 and 3.4).

    An `external_port` of 0 leaves the choice to the gateway; it must be 0 to remove."""

    transport: Transport
    internal_port: int
    external_port: int
    lifetime_s: int


class NatPmpResponse(msgspec.Struct, frozen=True):
    """`opcode` is that of the request. Only what a response of its kind holds is not None; an error response
    may hold nothing more than its result."""

    opcode: int
    result: int
    epoch_s: int
    external_address: str | None = None
    internal_port: int | None = None
    external_port: int | None = None
    lifetime_s: int | None = None


Request = AddressRequest | MapRequest


def encode_request(request: Request) -> bytes:
    """2 bytes for the address, 12 for a mapping."""
    if isinstance(request, AddressRequest):
        return _ADDRESS_REQUEST.pack(VERSION, EXTERNAL_ADDRESS)
    opcode = _OPCODES[request.transport]
    return _MAP_REQUEST.pack(
        VERSION, opcode, request.internal_port, request.external_port, request.lifetime_s
    )


def decode_request(data: bytes) -> Request:
    """The gateway's side. ProtocolError: another version or opcode, or too short."""
    if len(data) < _ADDRESS_REQUEST.size or data[0] != VERSION:
        raise ProtocolError("not a NAT-PMP request")
    if data[1] == EXTERNAL_ADDRESS:
        return AddressRequest()
    transport = _TRANSPORTS.get(data[1])
    if transport is None or len(data) < _MAP_REQUEST.size:
        raise ProtocolError(f"a NAT-PMP request with opcode {data[1]} of {len(data)} bytes")
    _, _, internal_port, external_port, lifetime_s = _MAP_REQUEST.unpack_from(data)
    return MapRequest(transport, internal_port, external_port, lifetime_s)


def encode_response(response: NatPmpResponse) -> bytes:
    """The gateway's side: 12 bytes for an address, 16 for a mapping, 8 if it holds neither."""
    head = _HEADER.pack(VERSION, response.opcode | _RESPONSE_BIT, response.result, response.epoch_s)
    if response.external_address is not None:
        return head + IPv4Address(response.external_address).packed
    if response.internal_port is None:
        return head
    return head + _MAP_RESULT.pack(
        response.internal_port, response.external_port or 0, response.lifetime_s or 0
    )


def decode_response(data: bytes) -> NatPmpResponse:
    """A response of version 0. ProtocolError for everything else, PCP's answers included."""
    if not _HEADER.size <= len(data) <= _MAX_SIZE:
        raise ProtocolError(f"a NAT-PMP response of {len(data)} bytes")
    version, opcode, result, epoch_s = _HEADER.unpack_from(data)
    if version != VERSION or (not opcode & _RESPONSE_BIT and result == SUCCESS):
        raise ProtocolError("not a NAT-PMP response")
    opcode &= ~_RESPONSE_BIT
    rest = data[_HEADER.size :]
    if opcode == EXTERNAL_ADDRESS:
        return NatPmpResponse(opcode, result, epoch_s, _read_address(result, rest))
    if opcode not in _TRANSPORTS:
        if result == SUCCESS:
            raise ProtocolError(f"a NAT-PMP response to opcode {opcode}")
        return NatPmpResponse(opcode, result, epoch_s)
    if len(rest) >= _MAP_RESULT.size:
        return NatPmpResponse(opcode, result, epoch_s, None, *_MAP_RESULT.unpack_from(rest))
    if result == SUCCESS:
        raise ProtocolError("a NAT-PMP mapping response cut short")
    return NatPmpResponse(opcode, result, epoch_s)


def _read_address(result: int, rest: bytes) -> str | None:
    if len(rest) >= 4:
        return str(IPv4Address(rest[:4]))
    if result == SUCCESS:
        raise ProtocolError("a NAT-PMP address response cut short")
    return None


def _is_pcp_answer(data: bytes) -> bool:
    """Did a server that knows PCP alone answer: version 1 or later, a response, UNSUPP_VERSION?"""
    return len(data) >= 4 and data[0] >= 1 and bool(data[1] & _RESPONSE_BIT) and data[3] == 1


class NatPmpTransaction(RetransmittedRequest[NatPmpResponse]):
    """RFC 6886 3.1; `RetransmittedRequest` has how to drive it, and `timing`.

    "upgrade": the server knows PCP alone, so ask it that way. RFC 6886 3.1 asks a client to check the source
    address, not the port: some gateways answer from another one.
    """

    def __init__(self, request: Request, server: Endpoint, **timing: float) -> None:
        super().__init__(encode_request(request), server, jitter=lambda: 0.0, **timing)
        self.request = request

    def _read(self, data: bytes, source: Endpoint) -> NatPmpResponse | Literal["upgrade"]:
        if _is_pcp_answer(data):
            return "upgrade"
        response = decode_response(data)
        self._check(response)
        return response

    def _check(self, response: NatPmpResponse) -> None:
        """Raise ProtocolError with the reason to ignore a response."""
        request = self.request
        asked = EXTERNAL_ADDRESS if isinstance(request, AddressRequest) else _OPCODES[request.transport]
        if response.result in (UNSUPPORTED_VERSION, UNSUPPORTED_OPCODE):
            return
        if response.opcode != asked:
            raise ProtocolError("an answer to another opcode")
        if isinstance(request, MapRequest) and response.internal_port not in (None, request.internal_port):
            raise ProtocolError("an answer about another port")
