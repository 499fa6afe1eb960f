"""IPv4 through a NAT64, in sockets: on the simulator, where alice has IPv6 alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nattools.lab.scenario import Scenario
from nattools.lab.scenariofiles import parse
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.addresses import FAR_AWAY
from nattools.net.base import EchoReply, IcmpError, TcpFailure, TcpStream
from nattools.net.translated import OWN, SOMEBODY, TranslatedNetwork
from nattools.protocols.nat64 import WELL_KNOWN, parse_prefix

T = TypeVar("T")
DRAWN = """
title = "t"
[nat.carrier]
ipv6 = "firewall"
nat64 = {}
[nat.dual]
ipv6 = "firewall"
[host.alice]
behind = "carrier"
[host.bob]
ipv6 = true
[host.carol]
behind = "dual"
"""
BOB = Endpoint("11.101.0.2", 5000)


def drawn() -> Scenario:
    return parse(DRAWN, "t.toml")


def on(host: str, work: Callable[[SimLab, TranslatedNetwork], Awaitable[T]]) -> T:
    with SimLab(drawn()) as lab:
        network = TranslatedNetwork(lab.network(host))
        network.prefix = WELL_KNOWN
        return lab.run(lambda: work(lab, network))


async def arrival(future: asyncio.Future[T]) -> T:
    async with asyncio.timeout(5):
        return await future


def test_datagrams_go_through_and_come_back() -> None:
    async def work(lab: SimLab, network: TranslatedNetwork) -> None:
        came: asyncio.Future[tuple[bytes, Endpoint]] = asyncio.get_running_loop().create_future()
        bob = await lab.network("bob").open_udp(family=4, port=BOB.port)
        bob.on_datagram = lambda data, source: (
            bob.send(data + b" from " + str(source).encode(), source) and None
        )
        alice = await network.open_udp(family=4)
        alice.on_datagram = lambda data, source: came.set_result((data, source))
        assert alice.local.host == OWN
        assert alice.send(b"hello", BOB) is None
        assert await arrival(came) == (f"hello from 11.1.0.2:{alice.local.port}".encode(), BOB)

    on("alice", work)


def test_icmp_errors_name_ipv4_and_a_router_without_it_is_somebody() -> None:
    async def work(lab: SimLab, network: TranslatedNetwork) -> list[tuple[str, str | None, Endpoint]]:
        errors: list[IcmpError] = []
        alice = await network.open_udp(family=4)
        alice.on_icmp = errors.append
        for ttl in (1, 2, 64):
            alice.send(b"x", BOB, ttl=ttl)
            await asyncio.sleep(1)
        return [(error.kind, error.offender, error.destination) for error in errors]

    assert on("alice", work) == [
        ("time-exceeded", SOMEBODY, BOB),
        ("time-exceeded", "11.1.0.1", BOB),
        ("port-unreachable", BOB.host, BOB),
    ]


def test_connections_both_ways() -> None:
    """Bob's SYN gets in where alice's own has gone before, from the port at which she listens."""

    async def work(lab: SimLab, network: TranslatedNetwork) -> None:
        accepted: asyncio.Future[TcpStream] = asyncio.get_running_loop().create_future()
        listener = await lab.network("bob").listen_tcp(family=4, port=5000, on_stream=accepted.set_result)
        stream = await network.connect_tcp(BOB, timeout_s=5, port=4000)
        assert not isinstance(stream, TcpFailure)
        assert (stream.local, stream.remote) == (Endpoint(OWN, 4000), BOB)
        there = await arrival(accepted)
        assert there.remote.host == "11.1.0.2"
        there.write(b"hello")
        assert await stream.read() == b"hello"
        assert not stream.over
        refused = await network.connect_tcp(Endpoint(BOB.host, 5001), timeout_s=5)
        assert isinstance(refused, TcpFailure)
        assert refused.outcome == "refused"
        listener.close()

    on("alice", work)


def test_a_listener_hears_ipv4_alone() -> None:
    async def work(lab: SimLab, network: TranslatedNetwork) -> None:
        heard: list[TcpStream] = []
        listener = await network.listen_tcp(family=4, port=4000, on_stream=heard.append)
        assert listener.local == Endpoint(OWN, 4000)
        neighbour = await lab.network("carrier").connect_tcp(Endpoint("2a10:1:0:1::2", 4000), timeout_s=5)
        assert not isinstance(neighbour, TcpFailure)
        assert await neighbour.read() == b""
        assert heard == []

    on("alice", work)


def test_echo() -> None:
    async def work(lab: SimLab, network: TranslatedNetwork) -> EchoReply:
        came: asyncio.Future[EchoReply] = asyncio.get_running_loop().create_future()
        pinging = await network.open_icmp(family=4)
        pinging.on_reply = came.set_result
        assert pinging.local == OWN
        pinging.send_echo(BOB.host, 7, b"x")
        return await arrival(came)

    reply = on("alice", work)
    assert (reply.source, reply.sequence, reply.payload) == (BOB.host, 7, b"x")


def test_names_and_routes() -> None:
    async def work(lab: SimLab, network: TranslatedNetwork) -> None:
        assert await network.resolve("carol") == await lab.network("carol").resolve("carol")
        assert await network.resolve("64:ff9b::b65:2") == (BOB.host,)
        assert await network.resolve("64:ff9b::b65:2", 6) == "64:ff9b::b65:2 has no IPv6 address"
        network.named = (parse_prefix("2a10:dead::/96"),)
        assert await network.resolve("2a10:dead::b65:2") == (BOB.host,)
        assert network.route(BOB.host) == ("eth0", OWN)
        assert network.route("10.0.1.1") is None  # a private address stands for nobody (RFC 6052 3.1)
        way = network.way(BOB.host)
        assert way is not None
        assert (way.family, way.interface, way.source, way.gateway) == (4, "eth0", OWN, None)

    on("alice", work)


def test_where_ipv4_has_a_route_of_its_own_nothing_changes() -> None:
    """As after a move into another network, with the prefix of the last one still known."""

    async def work(lab: SimLab, network: TranslatedNetwork) -> None:
        inner = lab.network("carol")
        assert network.route(FAR_AWAY[4]) == inner.route(FAR_AWAY[4])
        socket = await network.open_udp(family=4)
        assert socket.local.host == "10.0.2.2"
        assert await network.resolve("64:ff9b::b65:2") == ("64:ff9b::b65:2",)

    on("carol", work)
