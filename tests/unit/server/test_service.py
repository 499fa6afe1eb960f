"""Whatever arrives over UDP: nothing raises, nobody else is answered, and nobody gets much."""

from __future__ import annotations

import asyncio
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from nattools.model.endpoint import Endpoint
from nattools.net.base import DatagramHandler, IcmpHandler, Network, SendFailure, UdpSocket
from nattools.protocols import dialback, stun
from nattools.server.connections import BackgroundTasks
from nattools.server.dialbackserver import Cookies, DialBackLimits, DialBackServer
from nattools.server.endpoints import Role, ServerEndpoints
from nattools.server.limits import RateLimit
from nattools.server.service import StunService
from nattools.server.stun import BindingServer

SITE = ServerEndpoints(
    tuple(tuple(Endpoint(f"11.201.0.{host}", port) for port in (3478, 3479)) for host in (2, 3))
)
SOURCE = Endpoint("11.1.0.2", 40001)


class Socket:
    """A UDP socket that notes what it was told to send."""

    def __init__(self, local: Endpoint, sent: list[tuple[bytes, Endpoint]]) -> None:
        self.local = local
        self.on_datagram: DatagramHandler | None = None
        self.on_icmp: IcmpHandler | None = None
        self._sent = sent

    def send(self, data: bytes, to: Endpoint, *, ttl: int | None = None) -> SendFailure | None:
        self._sent.append((data, to))
        return None

    def close(self) -> None:
        """Nothing is open."""


def answers_to(data: bytes, source: Endpoint = SOURCE) -> list[tuple[bytes, Endpoint]]:
    """What a server that has nothing left to give sends when this arrives."""

    async def main() -> list[tuple[bytes, Endpoint]]:
        sent: list[tuple[bytes, Endpoint]] = []
        sockets: dict[Role, UdpSocket] = {role: Socket(endpoint, sent) for role, endpoint in SITE}
        nothing = RateLimit(rate=0, burst=0, total_rate=0, total_burst=0)
        service = StunService(
            cast(Network, None),
            SITE,
            sockets,
            BackgroundTasks(),
            BindingServer(SITE, nothing, 3),
            DialBackServer(SITE, Cookies(b"secret"), DialBackLimits()),
        )
        service.receive_on((0, 0))
        on_datagram = sockets[0, 0].on_datagram
        assert on_datagram is not None
        on_datagram(data, source)
        return sent

    return asyncio.run(main())


requests = st.builds(
    lambda head, rest: head + len(rest).to_bytes(2, "big") + bytes.fromhex("2112a442") + bytes(12) + rest,
    st.sampled_from([bytes.fromhex(kind) for kind in ("0001", "0011", "0101", "0111", "029b", "0003")]),
    st.binary(max_size=60),
)


@given(st.one_of(st.binary(max_size=120), requests))
def test_an_unproven_source_gets_little_and_nobody_else_gets_anything(data: bytes) -> None:
    sent = answers_to(data)
    assert len(sent) <= 1
    for answer, to in sent:
        assert len(answer) <= 1.6 * len(data)
        assert to.host == SOURCE.host
        assert stun.decode(answer).kind in ("success", "error")


def test_the_plain_request_is_answered_on_the_short_way() -> None:
    request = stun.binding_request(bytes(12), hello=False)
    assert answers_to(request) == [(stun.binding_success(bytes(12), SOURCE), SOURCE)]
    assert answers_to(request, Endpoint("2a10:1::2", 1)) == [], "44 bytes for 20 are too many"


def test_a_first_dial_back_request_is_answered_with_less() -> None:
    request = dialback.encode_request(bytes(12), dialback.Ask("udp", 5000, b"12345678"))
    ((answer, to),) = answers_to(request)
    assert to == SOURCE
    assert len(answer) < len(request)
    assert dialback.decode_challenge(stun.decode(answer)) is not None
