"""Answers to STUN Binding requests: RFC 8489, RFC 5780 and, to requests without the cookie, RFC 3489. Pure.

RFC 5780 6 and 7, and where this deviates:
- With two addresses and two ports all of CHANGE-REQUEST is served, and every answer has OTHER-ADDRESS.
- With one address there is no OTHER-ADDRESS, as section 6 says; a request to change the address gets error
  420. Section 6 wants 420 for a request to change only the port too; if there is a second port it is served
  here all the same: the answer truly comes from there, and says more about a filter than an error does.
- A CHANGE-REQUEST that asks for no change is an ordinary request (vovida's client sends it always).
- RESPONSE-PORT together with PADDING is error 400 (6.1). PADDING is answered with as much, at
  most 1,500 bytes.
- Over TCP nothing can be sent from elsewhere: CHANGE-REQUEST and RESPONSE-PORT get error 420.

Reflection: the source of a UDP datagram may be forged. An answer of more than 1.6 times the request (IPv4's
XOR-MAPPED-ADDRESS alone in answer to an empty request) is sent only within a rate limit; beyond it the answer
is cut to XOR-MAPPED-ADDRESS, and where even that is too long there is none. Errors keep to both limits.
RFC 3489's RESPONSE-ADDRESS, which names a third party, is not understood on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final, NamedTuple

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.message import Attribute
from nattools.server.endpoints import Role, ServerEndpoints
from nattools.server.limits import RateLimit

HELLO_VERSION: Final = 1
MAX_PADDING: Final = 1500

PLAIN_REQUEST: Final = bytes.fromhex("0001 0000 2112a442")
"""How a Binding request without attributes begins; its transaction id follows, and it has 20 bytes."""

_CREDENTIALS: Final = frozenset(
    {
        c.USERNAME,
        c.MESSAGE_INTEGRITY,
        c.MESSAGE_INTEGRITY_SHA256,
        c.REALM,
        c.NONCE,
        c.USERHASH,
        c.PASSWORD_ALGORITHM,
    }
)
UNDERSTOOD: Final = _CREDENTIALS | {c.CHANGE_REQUEST, c.RESPONSE_PORT, c.PADDING}
"""Comprehension-required attributes of requests. Credentials are not asked for and not checked."""
UNDERSTOOD_LEGACY: Final = frozenset({c.CHANGE_REQUEST, c.USERNAME, c.MESSAGE_INTEGRITY})
UNDERSTOOD_OVER_TCP: Final = _CREDENTIALS | {c.PADDING}


_MAX_UNKNOWN: Final = 32


class Reply(NamedTuple):
    """A datagram to send: from which of the own endpoints, and where to."""

    data: bytes
    role: Role
    to: Endpoint


def _hello(site: ServerEndpoints, flags: int) -> bytes:
    """Version, flags, and the second port of the only address, of which RFC 5780 has no way to tell; with
    two addresses OTHER-ADDRESS tells of it."""
    ports = [endpoint.port for endpoint in site.endpoints[0]]
    second = ports[1].to_bytes(2, "big") if len(site.endpoints) == 1 and len(ports) > 1 else b""
    return bytes((HELLO_VERSION, flags)) + second


class BindingServer:
    """Answers Binding requests in one address family. `flags` are NATTOOLS-HELLO's; None: no such answer."""

    def __init__(self, site: ServerEndpoints, limit: RateLimit, flags: int | None = 0) -> None:
        self._site = site
        self._limit = limit
        self._repeats: dict[tuple[Role, bool], Repeats] = {}
        self._hello = None if flags is None else _hello(site, flags)
        self._ready = PreparedAnswers(site, self._hello)

    def answer_plain(self, request: bytes, source: Endpoint, role: Role, now: float) -> bytes | None:
        """The answer to 20 bytes that begin with PLAIN_REQUEST: by far the most common request, read without
        decoding it. It goes back the way the request came."""
        ipv6, ready = ":" in source[0], self._ready
        if not self._limit.refuses(source, now) and self._limit.take(source, now):
            transaction_id = request[8:]
            if ipv6:
                return _success(transaction_id, self._modern(source, transaction_id, role, role))
            return ready.start(transaction_id, source, ready.tail(role, role, hello=False))
        return None if ipv6 else ready.shortest(request, source)  # 44 bytes would be 2.2 times the request

    def repeats(self, role: Role, *, stream: bool = False) -> Repeats:
        """The cache to look in first for requests that come to `role`, over TCP if `stream`."""
        found = self._repeats.get((role, stream))
        if found is None:
            found = self._repeats[role, stream] = Repeats(self._ready)
        return found

    def answer(self, request: stun.Message, source: Endpoint, role: Role, now: float) -> Reply | None:
        """The answer to a Binding request over UDP; None if it deserves none."""
        try:
            ordinary = self._ordinary(request, source, role)
            if ordinary is not None:
                return ordinary
            data, origin, to = self._answer(request, source, role)
        except ProtocolError:
            return None
        fits = len(data) * 5 <= len(request.raw) * 8
        if _is_error(data):
            return Reply(data, origin, to) if fits and self._limit.take(source, now) else None
        if fits or self._limit.take(source, now):
            return Reply(data, origin, to)
        short = stun.binding_success(request.transaction_id, source)
        return Reply(short, origin, to) if len(short) * 5 <= len(request.raw) * 8 else None

    def answer_stream(self, request: stun.Message, source: Endpoint, role: Role) -> bytes | None:
        """The answer to a Binding request over TCP, whose handshake has proven the source."""
        ordinary = self._ordinary(request, source, role, stream=True)
        if ordinary is not None:
            return ordinary.data
        if not _fingerprint_is_right(request):
            return None
        unknown = request.unknown_required(UNDERSTOOD_OVER_TCP)
        if unknown == (c.CHANGE_REQUEST,) and not _wants_change(request):
            unknown = ()
        if unknown:
            return _error(request, 420, unknown)
        return _success(request.transaction_id, self._attributes(request, source, role, role), request)

    def _ordinary(
        self, request: stun.Message, source: Endpoint, role: Role, *, stream: bool = False
    ) -> Reply | None:
        """The answer to an IPv4 client whose request holds nothing but NATTOOLS-HELLO and (not over TCP)
        CHANGE-REQUEST, if it amplifies nothing; None for all others, and where the change cannot be made."""
        if len(request.transaction_id) != 12 or ":" in source[0]:
            return None
        hello, origin = False, None
        for number, _ in request.attributes:
            if number == c.NATTOOLS_HELLO:
                hello = True
            elif number == c.CHANGE_REQUEST and not stream:
                change_address, change_port = request.change_request or (False, False)
                origin = self._site.changed(role, change_address, change_port)
                if origin is None:
                    return None
            else:
                return None
        origin = role if origin is None else origin
        tail = self._ready.tail(role, origin, hello=hello)
        data = self._ready.start(request.transaction_id, source, tail)
        if not stream and len(data) * 5 > len(request.raw) * 8:
            return None
        self.repeats(role, stream=stream).learn(request.raw, origin, tail)
        return Reply(data, origin, source)

    def _answer(self, request: stun.Message, source: Endpoint, role: Role) -> tuple[bytes, Role, Endpoint]:
        """The whole answer, the role it comes from, and where to; ProtocolError: none is deserved."""
        if not _fingerprint_is_right(request):
            raise ProtocolError("a wrong FINGERPRINT")
        unknown = request.unknown_required(UNDERSTOOD_LEGACY if request.legacy else UNDERSTOOD)
        if unknown:
            return _error(request, 420, unknown), role, source
        change_address, change_port = request.change_request or (False, False)
        origin = self._site.changed(role, change_address, change_port)
        if origin is None:
            return _error(request, 420, (c.CHANGE_REQUEST,)), role, source
        port = None if request.legacy else request.response_port
        if port == 0:
            raise ProtocolError("RESPONSE-PORT 0")
        if port is not None and request.get(c.PADDING) is not None:
            return _error(request, 400), role, source
        to = source if port is None else Endpoint(source.host, port)
        attributes = self._attributes(request, source, role, origin)
        return _success(request.transaction_id, attributes, request), origin, to

    def _attributes(
        self, request: stun.Message, source: Endpoint, role: Role, origin: Role
    ) -> list[Attribute]:
        if request.legacy:
            return self._legacy(source, role, origin)
        attributes = self._modern(source, request.transaction_id, role, origin)
        if self._hello is not None and request.get(c.NATTOOLS_HELLO) is not None:
            attributes.append((c.NATTOOLS_HELLO, self._hello))
        padding = request.get(c.PADDING)
        if padding is not None:
            attributes.append((c.PADDING, bytes(min(len(padding), MAX_PADDING))))
        return attributes

    def _modern(self, source: Endpoint, transaction_id: bytes, role: Role, origin: Role) -> list[Attribute]:
        """RFC 5780 6.1: both mapped addresses, where the answer comes from, and the other address."""
        attributes = [
            (c.XOR_MAPPED_ADDRESS, stun.pack_xor_address(source, transaction_id)),
            (c.MAPPED_ADDRESS, stun.pack_address(source)),
            (c.RESPONSE_ORIGIN, stun.pack_address(self._site.at(origin))),
        ]
        other = self._site.other(role)
        if other is not None:
            attributes.append((c.OTHER_ADDRESS, stun.pack_address(other)))
        return attributes

    def _legacy(self, source: Endpoint, role: Role, origin: Role) -> list[Attribute]:
        """RFC 3489 8.1. CHANGED-ADDRESS is mandatory there; without another address it is left out, so that
        no client takes one address for two."""
        attributes = [
            (c.MAPPED_ADDRESS, stun.pack_address(source)),
            (c.SOURCE_ADDRESS, stun.pack_address(self._site.at(origin))),
        ]
        other = self._site.other(role)
        if other is not None:
            attributes.append((c.CHANGED_ADDRESS, stun.pack_address(other)))
        return attributes


def _fingerprint_is_right(request: stun.Message) -> bool:
    """RFC 8489 6.3: a message with a wrong FINGERPRINT is silently dropped."""
    return request.get(c.FINGERPRINT) is None or stun.verify_fingerprint(request)


def _wants_change(request: stun.Message) -> bool:
    try:
        return any(request.change_request or ())
    except ProtocolError:
        return True


def _success(
    transaction_id: bytes, attributes: Iterable[Attribute], request: stun.Message | None = None
) -> bytes:
    message = stun.Message(c.BINDING, "success", transaction_id, tuple(attributes))
    return stun.encode(message, fingerprint=_has_fingerprint(request))


def _error(request: stun.Message, code: int, unknown: tuple[int, ...] = ()) -> bytes:
    """An error without a reason phrase: it keeps to the size rule, since every unknown attribute that takes
    two bytes here took four there."""
    attributes: list[Attribute] = [(c.ERROR_CODE, stun.pack_error_code(code, ""))]
    if unknown:
        named = unknown[:_MAX_UNKNOWN]
        if request.legacy and len(named) % 2:
            named = (*named, named[-1])  # RFC 3489 11.2.10 pads with a type again, not with zeros
        attributes.append((c.UNKNOWN_ATTRIBUTES, stun.pack_types(named)))
    message = stun.Message(c.BINDING, "error", request.transaction_id, tuple(attributes))
    return stun.encode(message, fingerprint=_has_fingerprint(request))


def _has_fingerprint(request: stun.Message | None) -> bool:
    return request is not None and request.get(c.FINGERPRINT) is not None


def _is_error(data: bytes) -> bool:
    return data[:2] == b"\x01\x11"


_MOST_HOSTS: Final = 4096
_MOST_REQUESTS: Final = 256
_LONGEST: Final = 256  # bytes of a request that is remembered
# header, XOR-MAPPED-ADDRESS and MAPPED-ADDRESS, each address as type, length, family, port and 4 octets
_pack_start: Final = Struct(">HHI12sIHH4sIHH4s").pack
_pack_shortest: Final = Struct(">I16sIHH4s").pack
_XOR_MAPPED: Final = c.XOR_MAPPED_ADDRESS << 16 | 8
_MAPPED: Final = c.MAPPED_ADDRESS << 16 | 8
_START_BODY: Final = 24

Octets = tuple[bytes, bytes]
"""An IPv4 address with the magic cookie on it, and as it is."""


class PreparedAnswers:
    """What RFC 5780 6.1 has a server say to an IPv4 client: both mapped addresses, RESPONSE-ORIGIN,
    OTHER-ADDRESS if there is one and, where the client said it too, NATTOOLS-HELLO (`hello`)."""

    def __init__(self, site: ServerEndpoints, hello: bytes | None) -> None:
        self._site = site
        self._hello = b"" if hello is None else stun.pack_attribute(c.NATTOOLS_HELLO, hello)
        self._tails: dict[tuple[Role, Role, bool], bytes] = {}
        self._octets: dict[str, Octets] = {}

    def shortest(self, request: bytes, source: Endpoint) -> bytes:
        """XOR-MAPPED-ADDRESS alone, to a plain request."""
        host, port = source
        masked, _ = self._octets.get(host) or self._remember(host)
        return _pack_shortest(0x0101000C, request[4:], _XOR_MAPPED, 1, port ^ 0x2112, masked)

    def start(self, transaction_id: bytes, source: Endpoint, tail: bytes) -> bytes:
        """A whole answer that ends in `tail`."""
        host, port = source
        masked, octets = self._octets.get(host) or self._remember(host)
        return (
            _pack_start(
                0x0101, _START_BODY + len(tail), 0x2112A442, transaction_id,
                _XOR_MAPPED, 1, port ^ 0x2112, masked, _MAPPED, 1, port, octets,
            ) + tail
        )  # fmt: skip

    def tail(self, role: Role, origin: Role, *, hello: bool) -> bytes:
        """What comes behind the mapped addresses."""
        found = self._tails.get((role, origin, hello))
        if found is None:
            found = self._tails[role, origin, hello] = self._make_tail(role, origin, hello)
        return found

    def _make_tail(self, role: Role, origin: Role, hello: bool) -> bytes:
        tail = stun.pack_attribute(c.RESPONSE_ORIGIN, stun.pack_address(self._site.at(origin)))
        other = self._site.other(role)
        if other is not None:
            tail += stun.pack_attribute(c.OTHER_ADDRESS, stun.pack_address(other))
        return tail + self._hello if hello else tail

    def _remember(self, host: str) -> Octets:
        endpoint = Endpoint(host, 0)
        octets = stun.pack_xor_address(endpoint, b"")[4:], stun.pack_address(endpoint)[4:]
        if len(self._octets) >= _MOST_HOSTS:
            self._octets.clear()
        self._octets[host] = octets
        return octets


class Repeats:
    """Requests of IPv4 clients to one endpoint that differ from an earlier one in the transaction id alone.
    Most do, and are answered from here. Nothing stored may depend on the client."""

    def __init__(self, ready: PreparedAnswers) -> None:
        self._ready = ready
        self._known: dict[bytes, tuple[Role, bytes]] = {}

    def answer(self, request: bytes, source: Endpoint) -> tuple[Role, bytes] | None:
        """Where the answer comes from, and the answer; None: the request is new."""
        known = self._known.get(request[:8] + request[20:])
        if known is None or ":" in source[0]:
            return None
        origin, tail = known
        return origin, self._ready.start(request[8:20], source, tail)

    def learn(self, request: bytes, origin: Role, tail: bytes) -> None:
        """Such a request gets a success response from `origin` that ends in `tail`, whoever asks."""
        if len(request) <= _LONGEST:
            if len(self._known) >= _MOST_REQUESTS:
                self._known.clear()
            self._known[request[:8] + request[20:]] = origin, tail
