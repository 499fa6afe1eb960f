"""Dial-back: asking a nattools server to send or connect to a port of the asker's own address.

It is nattools' own STUN method (no RFC), framed and retransmitted as RFC 8489 has it:

    client -> server   request     DIAL-BACK, NONCE (zeros: "I have no cookie yet")
    server -> client   error 438   NONCE (a cookie)               UDP only: proves the source address
    client -> server   request     DIAL-BACK, NONCE (the cookie)
    server -> target   indication  DIAL-BACK-NONCE                each copy, or on the new TCP connection
    server -> client   success     DIAL-BACK-RESULT, XOR-MAPPED-ADDRESS, RESPONSE-ORIGIN

The request carries ports and no address: the target is always the address that the request came from, as
the server saw it (XOR-MAPPED-ADDRESS says which). Over TCP the handshake is the proof, and no cookie is
asked.

    DIAL-BACK         16 bytes: transport (17 UDP, 6 TCP, 1 an echo request), flags (4 change address, 2
                      change port; as in RFC 5780 7.2), port, copies, spacing in milliseconds, 2 bytes for how
                      many milliseconds the server listens for what comes back, nonce (8 bytes)
    DIAL-BACK-NONCE   8 bytes
    DIAL-BACK-PORTS   in a request over UDP, if at all: 1 to 64 ports of 2 bytes, each different. One copy
                      goes to each, in this order; DIAL-BACK holds the first of them. The copy's number is
                      its place. Only servers that announce it know it
    DIAL-BACK-FORM    in a request over UDP, if at all: 1 byte, 1 for fragments, 2 for destination options.
                      Each copy leaves in that form, and is padded (PADDING, RFC 5780 7.6) where it takes that
                      to make fragments. Only an answer that repeats it says that the server has done so
    DIAL-BACK-RESULT  2 bytes: outcome, reason
    DIAL-BACK-OFFENDER  an address as in XOR-MAPPED-ADDRESS: who sent the ICMP error that came back

Only servers that announce it listen (`SERVICE_DIAL_BACK_LISTENS`), send echo requests, and say "prohibited".
"""

from __future__ import annotations

import struct
from typing import Literal, get_args

import msgspec

from nattools.chance import random_bytes
from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.model.packetform import PacketForm
from nattools.protocols import provenrequest, stun
from nattools.protocols.provenrequest import NO_COOKIE, ProvenRequest
from nattools.protocols.stun import constants as c

METHOD = 0x0DB
DIAL_BACK = 0xFF50
DIAL_BACK_NONCE = 0xFF51
DIAL_BACK_RESULT = 0xFF52
DIAL_BACK_PORTS = 0xFF53
DIAL_BACK_OFFENDER = 0xFF54
DIAL_BACK_FORM = 0xFF55
NONCE_SIZE = 8
MAX_COPIES = 8
MAX_SPACING_MS = 100
MAX_PORTS = 64
MAX_LISTEN_MS = 2500
LEAST_PORTS_SPACING_MS = 5
FRAGMENTED_SIZE = 1600
"""Of a message in fragments, in bytes: more than an Ethernet carries."""

DialTransport = Literal["udp", "tcp", "icmp"]
Outcome = Literal["sent", "connected", "refused", "timeout", "unreachable", "denied", "error", "prohibited"]
Reason = Literal[
    "",
    "too many requests",
    "the server has no such address or port",
    "the server is busy",
    "the server dials no such address",
]

_OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
_REASONS: tuple[Reason, ...] = get_args(Reason)
_ASK = struct.Struct("!BBHBBH8s")
_PROTOCOLS: dict[int, DialTransport] = {17: "udp", 6: "tcp", 1: "icmp"}
_NUMBERS = {name: number for number, name in _PROTOCOLS.items()}
_FORMS: tuple[PacketForm, ...] = get_args(PacketForm)
_CHANGE_ADDRESS = 4
_CHANGE_PORT = 2
_ATTRIBUTE_HEAD = 4


class Ask(msgspec.Struct, frozen=True):
    """What to do: send `copies` datagrams `spacing_ms` apart, or try as often to connect, to `port` of the
    asker's own address.

    `change_*` choose which of the server's own addresses and ports it comes from, counted from the one that
    was asked. Over TCP, `change_port` means a port that the server's system chooses, another for each
    attempt; without it there is one attempt, from the port that was asked. `ports`: one datagram to each of
    these instead, of which `port` is the first. Over "icmp" the copies are echo requests, and `port` means
    nothing. `form`: how the datagrams travel. `listen_ms`: how long the server waits for what comes back (the
    reply, an ICMP error) before it answers, and over TCP how long it tries; 0: not at all, and over TCP its
    usual time.
    """

    transport: DialTransport
    port: int
    nonce: bytes
    change_address: bool = False
    change_port: bool = False
    copies: int = 1
    spacing_ms: int = 10
    ports: tuple[int, ...] = ()
    listen_ms: int = 0
    form: PacketForm = "whole"

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536 or len(self.nonce) != NONCE_SIZE:
            raise ValueError("a dial-back needs a port from 1 to 65535 and a nonce of 8 bytes")
        if not (1 <= self.copies <= MAX_COPIES and 0 <= self.spacing_ms <= MAX_SPACING_MS):
            raise ValueError(f"at most {MAX_COPIES} copies, at most {MAX_SPACING_MS} ms apart")
        if not 0 <= self.listen_ms <= MAX_LISTEN_MS:
            raise ValueError(f"a server listens for {MAX_LISTEN_MS} ms at most")
        if self.form != "whole" and (self.transport != "udp" or self.ports):
            raise ValueError("a form of packets is for UDP, and for one port")
        if self.ports:
            self._check_ports()

    def _check_ports(self) -> None:
        if self.transport != "udp" or self.copies != 1 or self.spacing_ms < LEAST_PORTS_SPACING_MS:
            raise ValueError(f"a list of ports is for UDP, one copy each, {LEAST_PORTS_SPACING_MS} ms apart")
        if len(self.ports) > MAX_PORTS or len(set(self.ports)) < len(self.ports):
            raise ValueError(f"at most {MAX_PORTS} ports, none of them twice")
        if self.ports[0] != self.port or not all(0 < port < 65536 for port in self.ports):
            raise ValueError("a list of ports from 1 to 65535 begins with the port asked for")

    @property
    def datagrams(self) -> int:
        """How many datagrams or attempts that makes at most."""
        return len(self.ports) or self.copies

    @property
    def packets(self) -> int:
        """How many IP packets these are."""
        return self.datagrams * (2 if self.form == "fragments" else 1)


class Result(msgspec.Struct, frozen=True):
    """What came of it, as the server tells it. `seen` is the source that it saw the request come from (its
    host is the address that was dialled), `origin` the own endpoint that it dialled from, `offender` who sent
    it the ICMP error that `outcome` rests on, `form` the one in which it has sent."""

    outcome: Outcome
    reason: Reason = ""
    seen: Endpoint | None = None
    origin: Endpoint | None = None
    offender: str | None = None
    form: PacketForm = "whole"


class Arrival(msgspec.Struct, frozen=True):
    """A dial-back that arrived: whose it is, and which copy, counted from 0."""

    nonce: bytes
    copy: int


def new_nonce() -> bytes:
    """8 random bytes that nobody can guess who was not sent them."""
    return random_bytes(NONCE_SIZE)


def encode_request(transaction_id: bytes, ask: Ask, cookie: bytes = NO_COOKIE) -> bytes:
    """A request of 60 bytes and more, with or without a cookie: long enough for every answer to an unproven
    source."""
    flags = _CHANGE_ADDRESS * ask.change_address | _CHANGE_PORT * ask.change_port
    number = _NUMBERS[ask.transport]
    value = _ASK.pack(number, flags, ask.port, ask.copies, ask.spacing_ms, ask.listen_ms, ask.nonce)
    attributes = [(DIAL_BACK, value), (c.NONCE, cookie)]
    if ask.ports:
        attributes.append((DIAL_BACK_PORTS, struct.pack(f"!{len(ask.ports)}H", *ask.ports)))
    attributes += _of_form(ask.form)
    return _encode("request", transaction_id, *attributes)


def decode_request(message: stun.Message) -> tuple[Ask, bytes]:
    """The question and its cookie (b"" or zeros: none). ProtocolError if it cannot be meant."""
    value = _only(message, "request").get(DIAL_BACK)
    if value is None or len(value) != _ASK.size:
        raise ProtocolError("a dial-back request without a DIAL-BACK attribute of 16 bytes")
    protocol, flags, port, copies, spacing_ms, listen_ms, nonce = _ASK.unpack(value)
    transport = _PROTOCOLS.get(protocol)
    if transport is None:
        raise ProtocolError(f"dial-back over IP protocol {protocol}")
    change_address, change_port = bool(flags & _CHANGE_ADDRESS), bool(flags & _CHANGE_PORT)
    try:
        ports = _ports(message.get(DIAL_BACK_PORTS))
        listen_ms = min(listen_ms, MAX_LISTEN_MS)
        form = _form(message)
        ask = Ask(
            transport, port, nonce, change_address, change_port, copies, spacing_ms, ports, listen_ms, form
        )
    except ValueError as error:
        raise ProtocolError(str(error)) from None
    return ask, message.get(c.NONCE) or b""


def _of_form(form: PacketForm) -> list[tuple[int, bytes]]:
    return [] if form == "whole" else [(DIAL_BACK_FORM, bytes((_FORMS.index(form),)))]


def _form(message: stun.Message) -> PacketForm:
    """One of a later version is none that is known here."""
    value = message.get(DIAL_BACK_FORM)
    return _FORMS[value[0]] if value and value[0] < len(_FORMS) else "whole"


def _ports(value: bytes | None) -> tuple[int, ...]:
    if value is None:
        return ()
    if not 2 <= len(value) <= 2 * MAX_PORTS or len(value) % 2:
        raise ValueError(f"a list of ports has 1 to {MAX_PORTS} of them, 2 bytes each")
    return struct.unpack(f"!{len(value) // 2}H", value)


def encode_challenge(transaction_id: bytes, cookie: bytes) -> bytes:
    """The answer to an unproven source: error 438 with a cookie of 16 bytes; 48 bytes in all."""
    return provenrequest.encode_challenge(METHOD, transaction_id, cookie)


def decode_challenge(message: stun.Message) -> bytes | None:
    """The cookie; None if the message is no challenge. ProtocolError if its cookie or error is malformed."""
    return provenrequest.decode_challenge(METHOD, message)


def encode_result(transaction_id: bytes, result: Result) -> bytes:
    """The answer to a proven source."""
    outcome = bytes((_OUTCOMES.index(result.outcome), _REASONS.index(result.reason)))
    attributes = [(DIAL_BACK_RESULT, outcome)]
    if result.seen is not None:
        attributes.append((c.XOR_MAPPED_ADDRESS, stun.pack_xor_address(result.seen, transaction_id)))
    if result.origin is not None:
        attributes.append((c.RESPONSE_ORIGIN, stun.pack_address(result.origin)))
    if result.offender is not None:
        packed = stun.pack_xor_address(Endpoint(result.offender, 0), transaction_id)
        attributes.append((DIAL_BACK_OFFENDER, packed))
    attributes += _of_form(result.form)
    return _encode("success", transaction_id, *attributes)


def decode_result(message: stun.Message) -> Result:
    """What the server says came of it. Outcomes and reasons of later versions read as "error" and ""."""
    value = _only(message, "success").get(DIAL_BACK_RESULT)
    if value is None or len(value) < 2:
        raise ProtocolError("a dial-back answer without a result")
    outcome = _OUTCOMES[value[0]] if value[0] < len(_OUTCOMES) else "error"
    reason = _REASONS[value[1]] if value[1] < len(_REASONS) else ""
    return Result(
        outcome, reason, message.mapped, message.response_origin, _offender(message), _form(message)
    )


def _offender(message: stun.Message) -> str | None:
    value = message.get(DIAL_BACK_OFFENDER)
    return None if value is None else stun.unpack_xor_address(value, message.transaction_id).host


def encode_indication(nonce: bytes, copy: int = 0, *, padded_to: int = 0) -> bytes:
    """What is sent to the target: the nonce, and in the transaction id which copy this is. `padded_to`: how
    many bytes it is to have at least."""
    attributes = [(DIAL_BACK_NONCE, nonce)]
    missing = padded_to - c.HEADER_SIZE - 2 * _ATTRIBUTE_HEAD - NONCE_SIZE
    if missing > 0:
        attributes.append((c.PADDING, bytes(missing + 3 & ~3)))
    return _encode("indication", nonce + struct.pack("!I", copy), *attributes)


def decode_indication(message: stun.Message) -> Arrival | None:
    """None if the message is no dial-back at all. ProtocolError: it is one without a nonce."""
    if message.method != METHOD or message.kind != "indication":
        return None
    nonce = message.get(DIAL_BACK_NONCE)
    if nonce is None or len(nonce) != NONCE_SIZE or len(message.transaction_id) != 12:
        raise ProtocolError("a dial-back without a nonce of 8 bytes")
    return Arrival(nonce, int.from_bytes(message.transaction_id[8:], "big"))


def _encode(kind: stun.Kind, transaction_id: bytes, *attributes: tuple[int, bytes]) -> bytes:
    return stun.encode(stun.Message(METHOD, kind, transaction_id, attributes))


def _only(message: stun.Message, kind: stun.Kind) -> stun.Message:
    if message.method != METHOD or message.kind != kind:
        raise ProtocolError(f"not a dial-back {kind}")
    return message


class DialBackRequest(ProvenRequest[Ask, Result]):
    """The client's side of a dial-back over UDP or TCP, up to the server's answer; pure.

    The arrival itself comes to whichever socket has the port asked for: `decode_indication` there.
    """

    method = METHOD

    def encode(self, transaction_id: bytes, cookie: bytes) -> bytes:
        return encode_request(transaction_id, self.ask, cookie)

    def decode(self, message: stun.Message) -> Result:
        return decode_result(message)
