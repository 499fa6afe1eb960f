"""Datagrams of ours that expire on the way, and which checksums the errors about them quote.

They are built here and sent whole, so that the checksum in them is right as they leave: one that is left to
the network card is not there yet where a router of the same machine, as of virtual ones, quotes it. The
quotes are read from a raw socket: Linux's error queue gives what stands behind the quoted header alone.
"""

from __future__ import annotations

from typing import NamedTuple

from nattools.chance import random_bytes
from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.base import IcmpSocket, Network, QuotedError, SendFailure
from nattools.protocols import ip
from nattools.protocols.outsidesum import MARK
from nattools.protocols.packet import Packet

CONTENTS = 2
"""Datagrams with so many contents, `content` 0 and 1, for each flow and TTL."""


class ExpiryQuote(NamedTuple):
    """`checksum`: of the datagram `sent`, as a router at `offender` quotes it."""

    sent: Packet
    offender: str
    checksum: int


class _Flow(NamedTuple):
    source: Endpoint
    destination: Endpoint


class ExpiringDatagrams:
    """`await ExpiringDatagrams.open(network)`, within `with`. `quotes`: the first quote of each datagram, by
    where it was going, its TTL and its content. CannotRun: no privilege for raw sockets."""

    def __init__(self, network: Network, icmp: IcmpSocket) -> None:
        self._network, self._icmp = network, icmp
        self._sent: dict[tuple[_Flow, int], tuple[Packet, int, int]] = {}
        self.quotes: dict[tuple[Endpoint, int, int], ExpiryQuote] = {}
        icmp.on_quote = self._heard

    @classmethod
    async def open(cls, network: Network) -> ExpiringDatagrams:
        """Listen from now on."""
        return cls(network, await network.open_icmp(family=4, raw=True))

    def __enter__(self) -> ExpiringDatagrams:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        self._icmp.close()

    def send(self, port: int, to: Endpoint, ttl: int, content: int) -> SendFailure | None:
        """One from this port of ours; again the same one if it was sent before, until it is forgotten."""
        route = self._network.route(to.host)
        if route is None:
            return "unreachable"
        flow = _Flow(Endpoint(route[1], port), to)
        size = len(MARK) + CONTENTS * ttl + content  # tells them apart, also where only the header is quoted
        if (flow, size) not in self._sent:
            payload = MARK + random_bytes(size - len(MARK))
            self._sent[flow, size] = (Packet("udp", route[1], port, *to, payload, ttl), ttl, content)
        return self._network.send_packet(ip.build(self._sent[flow, size][0]))

    def forget(self) -> None:
        """Of what was sent and quoted so far: the next ones have other contents."""
        self._sent.clear()
        self.quotes.clear()

    def _heard(self, error: QuotedError) -> None:
        if error.kind != "time-exceeded":
            return
        try:
            about = ip.parse_quoted(error.quote)
        except ProtocolError:
            return
        if about.protocol != "udp" or about.checksum is None or ":" in about.source:
            return
        flow = _Flow(
            Endpoint(about.source, about.source_port), Endpoint(about.destination, about.destination_port)
        )
        length = 4 * (error.quote[0] & 15) + 4
        size = int.from_bytes(error.quote[length : length + 2], "big") - 8
        found = self._sent.get((flow, size))
        if found is not None:
            sent, ttl, content = found
            key = (flow.destination, ttl, content)
            self.quotes.setdefault(key, ExpiryQuote(sent, error.offender, about.checksum))
