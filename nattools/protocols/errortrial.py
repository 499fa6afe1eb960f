"""Asking a nattools server whether ICMP errors pass, as pwnat needs it: to craft one for the asker's own
address, or to tell of one that the asker has crafted for it.

It is nattools' own STUN method (no RFC), framed and proven as `provenrequest` has it:

    client -> server   request     ERROR-TRIAL, NONCE
    server -> client   error 438   NONCE (a cookie)
    client -> server   request     ERROR-TRIAL, NONCE (the cookie)
    server -> asker    ICMP        Time Exceeded, each copy: quotes a datagram of the asker's, then the nonce
    server -> client   success     ERROR-TRIAL-RESULT, XOR-MAPPED-ADDRESS, and ERROR-TRIAL-SOURCE

The request carries a port and no address: the error goes to the address that the request came from.

    ERROR-TRIAL         12 bytes: what (1: quote a beacon, 2: quote what was sent to the server, 3: tell of
                        an error with this nonce), copies, port (the asker's, seen from outside), nonce
    ERROR-TRIAL-RESULT  2 bytes: outcome, 0
    ERROR-TRIAL-SOURCE  as XOR-MAPPED-ADDRESS, port 0: where the error came from
"""

from __future__ import annotations

import struct
from typing import Final, Literal, get_args

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import ip, pwnat, stun
from nattools.protocols.packet import Packet
from nattools.protocols.provenrequest import NO_COOKIE, ProvenRequest
from nattools.protocols.stun import constants as c

METHOD: Final = 0x0DC
ERROR_TRIAL: Final = 0xFF60
ERROR_TRIAL_RESULT: Final = 0xFF61
ERROR_TRIAL_SOURCE: Final = 0xFF62
NONCE_SIZE: Final = 8
MAX_COPIES: Final = 8

TrialKind = Literal["quote-beacon", "quote-server", "tell"]
TrialOutcome = Literal["sent", "arrived", "missing", "denied", "error"]
_KINDS: Final[tuple[TrialKind, ...]] = get_args(TrialKind)
_OUTCOMES: Final[tuple[TrialOutcome, ...]] = get_args(TrialOutcome)
_TIME_EXCEEDED: Final = 11
_ASK: Final = struct.Struct("!BBH8s")


class TrialAsk(msgspec.Struct, frozen=True):
    """What to do. `port`: the asker's, as seen from outside; for "tell" any."""

    kind: TrialKind
    port: int
    nonce: bytes
    copies: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536 or len(self.nonce) != NONCE_SIZE:
            raise ValueError("a trial needs a port from 1 to 65535 and a nonce of 8 bytes")
        if not 1 <= self.copies <= MAX_COPIES:
            raise ValueError(f"1 to {MAX_COPIES} copies")


class TrialResult(msgspec.Struct, frozen=True):
    """`seen`: where the server saw the request come from; `source`: where the error came from."""

    outcome: TrialOutcome
    seen: Endpoint | None = None
    source: str | None = None


def encode_request(transaction_id: bytes, ask: TrialAsk, cookie: bytes = NO_COOKIE) -> bytes:
    """A request of 56 bytes, longer than every answer to an unproven source."""
    value = _ASK.pack(_KINDS.index(ask.kind) + 1, ask.copies, ask.port, ask.nonce)
    attributes = ((ERROR_TRIAL, value), (c.NONCE, cookie))
    return stun.encode(stun.Message(METHOD, "request", transaction_id, attributes))


def decode_request(message: stun.Message) -> tuple[TrialAsk, bytes]:
    """The question and its cookie (b"" or zeros: none). ProtocolError if it cannot be meant."""
    value = message.get(ERROR_TRIAL)
    if message.method != METHOD or message.kind != "request" or value is None or len(value) != _ASK.size:
        raise ProtocolError("not a request for an error trial")
    kind, copies, port, nonce = _ASK.unpack(value)
    if not 1 <= kind <= len(_KINDS):
        raise ProtocolError(f"an error trial of the unknown kind {kind}")
    try:
        ask = TrialAsk(_KINDS[kind - 1], port, nonce, copies)
    except ValueError as error:
        raise ProtocolError(str(error)) from None
    return ask, message.get(c.NONCE) or b""


def encode_result(transaction_id: bytes, result: TrialResult) -> bytes:
    """The answer to a proven source."""
    attributes = [(ERROR_TRIAL_RESULT, bytes((_OUTCOMES.index(result.outcome), 0)))]
    if result.seen is not None:
        attributes.append((c.XOR_MAPPED_ADDRESS, stun.pack_xor_address(result.seen, transaction_id)))
    if result.source is not None:
        packed = stun.pack_xor_address(Endpoint(result.source, 0), transaction_id)
        attributes.append((ERROR_TRIAL_SOURCE, packed))
    return stun.encode(stun.Message(METHOD, "success", transaction_id, tuple(attributes)))


def decode_result(message: stun.Message) -> TrialResult:
    """What the server says came of it; outcomes of later versions read as "error". ProtocolError."""
    value = message.get(ERROR_TRIAL_RESULT)
    if message.method != METHOD or message.kind != "success" or value is None or len(value) < 2:
        raise ProtocolError("not the result of an error trial")
    outcome = _OUTCOMES[value[0]] if value[0] < len(_OUTCOMES) else "error"
    source = message.get(ERROR_TRIAL_SOURCE)
    at = None if source is None else stun.unpack_xor_address(source, message.transaction_id).host
    return TrialResult(outcome, message.mapped, at)


def crafted_error(source: str, sender: Endpoint, destination: Endpoint, nonce: bytes) -> bytes:
    """The whole IPv4 packet: a Time Exceeded from `source` to `sender`, about a beacon that he sent from
    there, with the nonce behind the quote. As `pwnat.time_exceeded`, byte for byte, but without its import,
    for which a server would stand still."""
    beacon = Packet("udp", *sender, *destination, payload=pwnat.BEACON, ttl=1)
    error = Packet("icmp", source, 0, sender.host, 0, ip.build(beacon)[:28] + nonce)
    error.icmp_type = _TIME_EXCEEDED
    return ip.build(error)


class TrialRequest(ProvenRequest[TrialAsk, TrialResult]):
    """The client's side, up to the server's answer. Errors come to the socket that they are about."""

    method = METHOD

    def encode(self, transaction_id: bytes, cookie: bytes) -> bytes:
        return encode_request(transaction_id, self.ask, cookie)

    def decode(self, message: stun.Message) -> TrialResult:
        return decode_result(message)
