"""PCP, the Port Control Protocol (RFC 6887): codec (7, 11.1, 14.1) and client transaction.

Pure: bytes in, values out, and back. Decoders raise ProtocolError and nothing else, for any bytes. PEER is
left out: nothing here asks for it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, Literal

import msgspec

from nattools.chance import chance, random_bytes
from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Transport
from nattools.protocols.retransmission import RetransmittedRequest

VERSION = 2
PORT = 5351
ANNOUNCE_PORT = 5350
"""Servers announce themselves to clients here: 224.0.0.1 and ff02::1 (RFC 6887 14.1.2)."""
ANNOUNCE, MAP = 0, 1
THIRD_PARTY, PREFER_FAILURE = 1, 2
"""Options (RFC 6887 13.1 and 13.2)."""
NUMBERS: Final[dict[Transport, int]] = {"udp": 17, "tcp": 6}
"""What a mapping is for (RFC 6887 11.1)."""
_MAX_SIZE = 1100


class ResultCode(IntEnum):
    """RFC 6887 7.4; `wording.refusals` says what they mean."""

    SUCCESS = 0
    UNSUPP_VERSION = 1
    NOT_AUTHORIZED = 2
    MALFORMED_REQUEST = 3
    UNSUPP_OPCODE = 4
    UNSUPP_OPTION = 5
    MALFORMED_OPTION = 6
    NETWORK_FAILURE = 7
    NO_RESOURCES = 8
    UNSUPP_PROTOCOL = 9
    USER_EX_QUOTA = 10
    CANNOT_PROVIDE_EXTERNAL = 11
    ADDRESS_MISMATCH = 12
    EXCESSIVE_REMOTE_PEERS = 13


_REQUEST = struct.Struct("!BBxxI16s")
_RESPONSE = struct.Struct("!BBxBII12x")
_BODY = struct.Struct("!12sBxxxHH16s")
_RESPONSE_BIT = 0x80
_BODY_SIZES = {ANNOUNCE: 0, MAP: _BODY.size}
_OPTION = struct.Struct("!BxH")
_MAX_OPTIONS = 64
_DISCARD_PORT = 9
_MAPPED_PREFIX = bytes(10) + b"\xff\xff"


class Option(msgspec.Struct, frozen=True):
    """`data` without its padding. Codes below 128 must be understood by a server (RFC 6887 7.3)."""

    code: int
    data: bytes = b""


class MapBody(msgspec.Struct, frozen=True):
    """MAP's own part (RFC 6887 11.1). `protocol` is an IP protocol number; `external` is what the client
    suggests, or what the server assigned."""

    nonce: bytes
    protocol: int
    internal_port: int
    external: Endpoint


class RequestMessage(msgspec.Struct, frozen=True):
    """`body` is None for ANNOUNCE. `client` is the address that the client thinks it sends from."""

    opcode: int
    lifetime_s: int
    client: str
    body: MapBody | None = None
    options: tuple[Option, ...] = ()


class ResponseMessage(msgspec.Struct, frozen=True):
    """`body` is None for ANNOUNCE and wherever an error response holds too little.

    `result` 0 is success; `lifetime_s` is then the mapping's, else how long the error is expected to last.
    """

    version: int
    opcode: int
    result: int
    lifetime_s: int
    epoch_s: int
    body: MapBody | None = None
    options: tuple[Option, ...] = ()


def new_nonce() -> bytes:
    """12 random bytes: who does not know them can neither answer for the server nor change the mapping."""
    return random_bytes(12)


def encode_request(request: RequestMessage) -> bytes:
    """ValueError: an address that is none, or more than 1100 bytes."""
    head = _REQUEST.pack(VERSION, request.opcode, request.lifetime_s, _pack_address(request.client))
    return _checked(head + _encode_body(request.body) + _encode_options(request.options))


def encode_response(response: ResponseMessage) -> bytes:
    """The server's side. ValueError as for requests."""
    head = _RESPONSE.pack(
        response.version,
        response.opcode | _RESPONSE_BIT,
        response.result,
        response.lifetime_s,
        response.epoch_s,
    )
    return _checked(head + _encode_body(response.body) + _encode_options(response.options))


def decode_request(data: bytes) -> RequestMessage:
    """A request of version 2. ProtocolError."""
    _check_size(data)
    version, opcode, lifetime_s, client = _REQUEST.unpack_from(data)
    if version != VERSION or opcode & _RESPONSE_BIT:
        raise ProtocolError("not a PCP request of version 2")
    body, options = _decode_rest(opcode, data[_REQUEST.size :])
    return RequestMessage(opcode, lifetime_s, unpack_address(client), body, options)


def decode_response(data: bytes) -> ResponseMessage:
    """A response of version 2, or one of another version that says UNSUPP_VERSION and which it has.

    ProtocolError for everything else, NAT-PMP's 8-byte answer included: see `_is_natpmp_answer`.
    """
    if _is_natpmp_answer(data):
        raise ProtocolError("an answer of NAT-PMP")
    _check_size(data)
    version, opcode, result, lifetime_s, epoch_s = _RESPONSE.unpack_from(data)
    if not opcode & _RESPONSE_BIT:
        raise ProtocolError("a PCP request where a response was due")
    opcode &= ~_RESPONSE_BIT
    if version != VERSION:
        if result != ResultCode.UNSUPP_VERSION:
            raise ProtocolError(f"a PCP response of version {version}")
        return ResponseMessage(version, opcode, result, lifetime_s, epoch_s)
    decode_rest = _decode_error_rest if result else _decode_rest
    body, options = decode_rest(opcode, data[_RESPONSE.size :])
    return ResponseMessage(version, opcode, result, lifetime_s, epoch_s, body, options)


def _is_natpmp_answer(data: bytes) -> bool:
    """Did a server that knows NAT-PMP alone answer (version 0: RFC 6887 9 and appendix A, RFC 6886 3.5)?"""
    return len(data) >= 4 and data[0] == 0


def _checked(data: bytes) -> bytes:
    if len(data) > _MAX_SIZE:
        raise ValueError(f"a PCP message of {len(data)} bytes; {_MAX_SIZE} are allowed")
    return data


def _check_size(data: bytes) -> None:
    """RFC 6887 7: at most 1100 bytes, and a multiple of 4."""
    if not 24 <= len(data) <= _MAX_SIZE or len(data) % 4:
        raise ProtocolError(f"a PCP message of {len(data)} bytes")


def _encode_body(body: MapBody | None) -> bytes:
    if body is None:
        return b""
    external = body.external
    return _BODY.pack(
        body.nonce, body.protocol, body.internal_port, external.port, _pack_address(external.host)
    )


def _decode_rest(opcode: int, rest: bytes) -> tuple[MapBody | None, tuple[Option, ...]]:
    size = _BODY_SIZES.get(opcode)
    if size is None:
        raise ProtocolError(f"PCP opcode {opcode}")
    if len(rest) < size:
        raise ProtocolError("a PCP message cut short")
    return _decode_body(opcode, rest), _decode_options(rest[size:])


def _decode_error_rest(opcode: int, rest: bytes) -> tuple[MapBody | None, tuple[Option, ...]]:
    """An error response copies the request as far as the server could read it (RFC 6887 7.2, 8.2): what
    follows the header may be missing or make no sense, and the result code counts all the same."""
    try:
        return _decode_rest(opcode, rest)
    except ProtocolError:
        short = len(rest) < _BODY_SIZES.get(opcode, 0) or opcode not in _BODY_SIZES
        return (None if short else _decode_body(opcode, rest)), ()


def _decode_body(opcode: int, rest: bytes) -> MapBody | None:
    if opcode == ANNOUNCE:
        return None
    nonce, protocol, internal_port, external_port, external = _BODY.unpack_from(rest)
    return MapBody(nonce, protocol, internal_port, Endpoint(unpack_address(external), external_port))


def _pack_address(host: str) -> bytes:
    """16 bytes; a zone is left out. ValueError: not an IP address."""
    address = ip_address(host.partition("%")[0])
    return _MAPPED_PREFIX + address.packed if isinstance(address, IPv4Address) else address.packed


def unpack_address(data: bytes) -> str:
    """The canonical text of 16 bytes: dotted for IPv4-mapped ones."""
    if data.startswith(_MAPPED_PREFIX):
        return str(IPv4Address(data[12:]))
    return str(IPv6Address(data))


def third_party(host: str) -> Option:
    """The mapping is for another host than the asker (RFC 6887 13.1)."""
    return Option(THIRD_PARTY, _pack_address(host))


def prefer_failure() -> Option:
    """Refuse rather than assign another port than the suggested one (RFC 6887 13.2)."""
    return Option(PREFER_FAILURE)


def _encode_options(options: tuple[Option, ...]) -> bytes:
    """One after the other, each padded with zeros to a multiple of 4 bytes."""
    return b"".join(
        _OPTION.pack(option.code, len(option.data)) + option.data + bytes(-len(option.data) % 4)
        for option in options
    )


def _decode_options(data: bytes) -> tuple[Option, ...]:
    """All options in order, known or not. ProtocolError: one does not fit into what is there."""
    found: list[Option] = []
    position = 0
    while position < len(data):
        if position + _OPTION.size > len(data) or len(found) >= _MAX_OPTIONS:
            raise ProtocolError("PCP options that do not fit into the message")
        code, length = _OPTION.unpack_from(data, position)
        start = position + _OPTION.size
        position = start + length + -length % 4
        if position > len(data):
            raise ProtocolError("a PCP option is longer than the message")
        found.append(Option(code, data[start : start + length]))
    return tuple(found)


DAY_S: Final = 86400
_MIN_RENEWAL_PAUSE_S: Final = 4.0


class PcpTransaction(RetransmittedRequest[ResponseMessage]):
    """`RetransmittedRequest` has how to drive it, and `timing`. RAND is even between -0.1 and 0.1.

    "downgrade": the server knows NAT-PMP alone (RFC 6887 9), so ask it that way. RFC 6887 has a first pause
    of 3 s; 250 ms, as NAT-PMP's, suits a router on the LAN.

    A response counts when it comes from the server and repeats opcode and, for MAP, nonce, protocol and
    internal port. From another port of the server's address only what knows the nonce is believed.
    """

    def __init__(
        self,
        request: RequestMessage,
        server: Endpoint,
        *,
        jitter: Callable[[], float] = lambda: chance().uniform(-0.1, 0.1),
        **timing: float,
    ) -> None:
        super().__init__(encode_request(request), server, jitter=jitter, **timing)
        self.request = request

    def _read(self, data: bytes, source: Endpoint) -> ResponseMessage | Literal["downgrade"]:
        if _is_natpmp_answer(data):
            self._only_from_server(source)
            return "downgrade"
        response = decode_response(data)
        self._check(response, source)
        return response

    def _check(self, response: ResponseMessage, source: Endpoint) -> None:
        """Raise ProtocolError with the reason to ignore a response."""
        self._check_answer(self.request, response, source)

    def _check_answer(self, request: RequestMessage, response: ResponseMessage, source: Endpoint) -> None:
        if response.version != VERSION:
            self._only_from_server(source)
            return
        if response.opcode != request.opcode:
            raise ProtocolError("an answer to another opcode")
        asked, told = request.body, response.body
        if asked is None or (told is None and response.result):
            self._only_from_server(source)
        elif told is None or told.nonce != asked.nonce:
            raise ProtocolError("an answer with a wrong nonce")
        elif (told.protocol, told.internal_port) != (asked.protocol, asked.internal_port):
            raise ProtocolError("an answer about another port")

    def _only_from_server(self, source: Endpoint) -> None:
        if source != self.server:
            raise ProtocolError(f"an answer without a nonce from {source} instead of {self.server}")


class PcpSearch(PcpTransaction):
    """Is a PCP server there? ANNOUNCE asks for nothing else (RFC 6887 14.1), but there are servers that do
    not answer it. So each repetition has the end of a mapping beside it that nobody has made: that changes
    nothing, and is answered in any case (RFC 6887 15.1)."""

    def __init__(self, client: str, server: Endpoint, **timing: Any) -> None:
        super().__init__(RequestMessage(ANNOUNCE, 0, client), server, **timing)
        nowhere = Endpoint("::" if ":" in client else "0.0.0.0", 0)
        body = MapBody(new_nonce(), NUMBERS["udp"], _DISCARD_PORT, nowhere)
        self._ending = RequestMessage(MAP, 0, client, body)

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Endpoint]]:
        """As ever; from the second time on there are two."""
        due = super().datagrams_to_send(now)
        return [*due, (encode_request(self._ending), self.server)] if due and self.sent > 1 else due

    def _check(self, response: ResponseMessage, source: Endpoint) -> None:
        asked = self._ending if response.opcode == MAP and self.sent > 1 else self.request
        self._check_answer(asked, response, source)


def renewal_delay_s(
    lifetime_s: float, attempt: int = 0, draw: Callable[[], float] = lambda: chance().random()
) -> float | None:
    """Seconds from the assignment to renewal number `attempt`, counted from 0 (RFC 6887 11.2.1): between 1/2
    and 5/8 of the lifetime, then 3/4 to 3/4 + 1/16, 7/8 to 7/8 + 1/32 and so on. `draw` gives 0..1.

    None: renewals would come less than 4 s after one another; let it expire and begin anew.
    """
    lifetime_s = min(lifetime_s, DAY_S)
    step = 0.5 ** (attempt + 1)
    if attempt and lifetime_s * step < _MIN_RENEWAL_PAUSE_S:
        return None
    return lifetime_s * (1 - step + draw() * step / 4)
