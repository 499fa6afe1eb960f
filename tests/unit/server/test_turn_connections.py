"""TURN for TCP on the relay's side (RFC 6062), by tables."""

from __future__ import annotations

from typing import Any

import pytest
from relaysite import ALICE, BOB, PEER, PEER6, TCP, UDP, Port, RelayClient, RelaySite, error_of

from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.server.relay.turnconnections import ConnectOrder, JoinOrder
from nattools.server.relay.turnlimits import TurnLimits

LIMITS = TurnLimits(connections=3, connections_per_allocation=2, challenge_burst=1000)


def relayed(site: RelaySite, remote: Endpoint = ALICE, **options: Any) -> RelayClient:
    client = RelayClient(site, remote, "tcp", **options)
    client.allocate(TCP)
    return client


def finish(site: RelaySite, order: object, port: Port | None) -> stun.Message | None:
    assert isinstance(order, ConnectOrder)
    answer = site.server.connections.connected(order, port, site.now)
    return None if answer is None else stun.decode(answer)


def connected(site: RelaySite, client: RelayClient, peer: Endpoint = PEER) -> tuple[int, Port]:
    stream = Port(peer)
    answer = finish(site, client.connect(peer), stream)
    assert answer is not None
    assert client.login.verify(answer)
    assert answer.connection_id is not None
    return answer.connection_id, stream


def data_connection(site: RelaySite, port: int = 41000, **options: Any) -> RelayClient:
    return RelayClient(site, Endpoint(ALICE.host, port), "tcp", **options)


def test_connect_and_bind() -> None:
    site = RelaySite()
    client = relayed(site)
    number, stream = connected(site, client)
    order = data_connection(site).bind_connection(number)
    assert isinstance(order, JoinOrder)
    assert order.connection.stream is stream
    assert stun.decode(order.answer).connection_id == number
    site.pass_time(100)
    assert not stream.closed, "bound"
    site.server.connections.end(order.connection)
    assert stream.closed
    assert site.quotas.connections.taken == 0


@pytest.mark.parametrize(
    ("peer", "code"), [(PEER6, 443), (Endpoint("10.0.0.1", 5000), 403), (Endpoint(PEER.host, 80), 403)]
)
def test_connect_is_refused(peer: Endpoint, code: int) -> None:
    assert relayed(RelaySite()).connect(peer) == code


def test_connect_needs_a_tcp_allocation_and_a_peer() -> None:
    site = RelaySite()
    client = RelayClient(site, transport="tcp")
    client.allocate(UDP)
    assert client.connect(PEER) == 400
    assert error_of(relayed(site, BOB).ask(c.CONNECT)) == 400


def test_one_connection_to_a_peer() -> None:
    site = RelaySite()
    client = relayed(site)
    order = client.connect(PEER)
    assert client.connect(PEER) == 446, "it is under way"
    finish(site, order, Port())
    assert client.connect(PEER) == 446


def test_a_peer_that_is_not_there() -> None:
    site = RelaySite()
    client = relayed(site)
    answer = finish(site, client.connect(PEER), None)
    assert answer is not None
    assert error_of(answer) == 447
    assert client.login.verify(answer)
    assert isinstance(client.connect(PEER), ConnectOrder), "it may be tried again"


def test_a_connection_waits_thirty_seconds() -> None:
    site = RelaySite()
    client = relayed(site)
    number, stream = connected(site, client)
    site.pass_time(31)
    assert stream.closed
    assert data_connection(site).bind_connection(number) == 400
    assert site.quotas.connections.taken == 0


def test_who_may_bind() -> None:
    site = RelaySite()
    client = relayed(site)
    number, _ = connected(site, client)
    assert data_connection(site, user="other", password="word").bind_connection(number) == 400
    assert client.bind_connection(number) == 400, "a connection with an allocation is not for data"
    assert data_connection(site).bind_connection(number ^ 1) == 400
    over_udp = RelayClient(site, Endpoint(ALICE.host, 41000))
    over_udp.ask(c.ALLOCATE)
    assert over_udp.bind_connection(number) == 400
    assert isinstance(data_connection(site).bind_connection(number), JoinOrder)
    assert data_connection(site, 41001).bind_connection(number) == 400, "bound already"


def test_connections_are_bounded() -> None:
    site = RelaySite(LIMITS)
    clients = [relayed(site), relayed(site, BOB)]
    for client in clients:
        client.permit(PEER)
    orders = [clients[0].connect(Endpoint(PEER.host, port)) for port in (5001, 5002, 5003)]
    assert orders[2] == 508
    assert isinstance(clients[1].connect(PEER), ConnectOrder)
    assert clients[1].connect(Endpoint(PEER.host, 5001)) == 508, "three in all"
    allocation = clients[1].allocation
    assert allocation is not None
    assert site.server.connections.attempted(allocation, BOB, Port(), site.now) is None
    finish(site, orders[0], None)
    assert isinstance(clients[1].connect(Endpoint(PEER.host, 5001)), ConnectOrder)


def test_a_peer_connects() -> None:
    site = RelaySite()
    client = relayed(site)
    allocation = client.allocation
    assert allocation is not None
    stream = Port()
    assert site.server.connections.attempted(allocation, PEER, stream, site.now) is None, "no permission"
    client.permit(PEER)
    attempt = site.server.connections.attempted(allocation, PEER, stream, site.now)
    assert attempt is not None
    message = stun.decode(attempt)
    assert (message.method, message.kind) == (c.CONNECTION_ATTEMPT, "indication")
    assert message.peers == (PEER,)
    order = data_connection(site).bind_connection(message.connection_id or 0)
    assert isinstance(order, JoinOrder)
    assert order.connection.stream is stream


def test_the_end_of_an_allocation_ends_its_connections() -> None:
    site = RelaySite()
    client = relayed(site)
    _, stream = connected(site, client)
    under_way = client.connect(BOB)
    site.server.gone(client.client)
    site.close_over()
    assert stream.closed
    late = Port()
    assert finish(site, under_way, late) is None
    assert late.closed
    assert site.quotas.connections.taken == 0


def test_two_relayed_peers_connect() -> None:
    site = RelaySite()
    client = relayed(site)
    other = RelayClient(site, BOB, "tcp")
    there = other.allocate(TCP)
    assert isinstance(client.connect(there), ConnectOrder)
    assert client.connect(Endpoint(there.host, there.port + 1)) == 403, "nobody's"
    assert client.bind(0x4000, PEER) == 400, "channels are for datagrams"
    assert client.send(PEER, b"x") is None
