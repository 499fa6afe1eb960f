"""Success responses to ordinary requests, put together from parts that are made once. Pure.

All but the transaction id and the mapped address is the same for every client that asks at one endpoint:
an answer is one packing of a header and two addresses in front of a ready tail.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.server.site import Role, Site

_MOST_HOSTS: Final = 4096
_MOST_REQUESTS: Final = 256
_LONGEST: Final = 256  # bytes of a request that is remembered
# header, XOR-MAPPED-ADDRESS and MAPPED-ADDRESS, each address as type, length, family, port and 4 octets
_pack_start: Final = Struct(">HHI12sIHH4sIHH4s").pack
_XOR_MAPPED: Final = c.XOR_MAPPED_ADDRESS << 16 | 8
_MAPPED: Final = c.MAPPED_ADDRESS << 16 | 8
_START_BODY: Final = 24

Octets = tuple[bytes, bytes]
"""An IPv4 address with the magic cookie on it, and as it is."""


class ReadyAnswers:
    """What RFC 5780 6.1 has a server say to an IPv4 client: both mapped addresses, RESPONSE-ORIGIN,
    OTHER-ADDRESS if there is one and, where the client said it too, NATTOOLS-HELLO (`hello`)."""

    def __init__(self, site: Site, hello: bytes | None) -> None:
        self._site = site
        self._hello = b"" if hello is None else stun.pack_attribute(c.NATTOOLS_HELLO, hello)
        self._tails: dict[tuple[Role, Role, bool], bytes] = {}
        self._octets: dict[str, Octets] = {}

    def success(
        self, transaction_id: bytes, source: Endpoint, role: Role, origin: Role, *, hello: bool
    ) -> bytes:
        """To a request that came to `role`, from `origin`; the id has 12 bytes, the source is IPv4."""
        return self.start(transaction_id, source, self.tail(role, origin, hello=hello))

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
    Most do, and their answers need no second thought. What it is told must not depend on the client."""

    def __init__(self, ready: ReadyAnswers) -> None:
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
