"""Who may take part in a punch, what it costs, and what it leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from punching import SECRET, pair
from simulated import run

from nattools.lab.scenario import NatSpec
from nattools.lab.sim.lab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import DatagramHandler, IcmpHandler, SendFailure, UdpSocket
from nattools.protocols import stun
from nattools.traversal.checks import Checks
from nattools.traversal.meeting import Meeting, Outcome
from nattools.traversal.steps import Part
from nattools.traversal.strategies.birthday import birthday
from nattools.traversal.strategies.plain import plain

OPEN = pair(None, None)
LEADER, FOLLOWER = Checks(SECRET, leads=True), Checks(SECRET, leads=False)
Peer = Callable[[SimLab, UdpSocket, Endpoint], Awaitable[None]]


class Timed:
    """A socket that notes when it sends, and to which port."""

    def __init__(self, inner: UdpSocket) -> None:
        self.inner = inner
        self.local = inner.local
        self.on_datagram: DatagramHandler | None = None
        self.on_icmp: IcmpHandler | None = None
        self.sent: list[tuple[float, int]] = []

    def send(self, data: bytes, to: Endpoint, *, ttl: int | None = None) -> SendFailure | None:
        self.sent.append((asyncio.get_running_loop().time(), to.port))
        return self.inner.send(data, to, ttl=ttl)

    def close(self) -> None:
        self.inner.close()


def against(peer: Peer, *, leads: bool = True) -> Outcome:
    """A plain punch of alice's against whatever bob's socket does."""

    async def main(lab: SimLab) -> Outcome:
        own = await lab.network("alice").open_udp(family=4)
        other = await lab.network("bob").open_udp(family=4)
        async with asyncio.TaskGroup() as group:
            ours = group.create_task(
                plain(lab.network("alice"), Meeting(SECRET, leads, own, other.local), Part())
            )
            group.create_task(peer(lab, other, own.local))
        return ours.result()

    return run(OPEN, main)


def test_only_the_peer_is_read() -> None:
    request = FOLLOWER.request(stun.new_transaction_id())
    assert LEADER.read(request) is not None
    assert FOLLOWER.read(request) is None  # its own, turned back
    assert Checks(bytes(16), leads=True).read(request) is None
    for length in range(len(request)):
        assert LEADER.read(request[:length]) is None
    for index in range(len(request) - 8):
        changed = bytearray(request)
        changed[index] ^= 1
        assert LEADER.read(bytes(changed)) is None


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Checks(b"short", leads=True)


def test_strangers_and_garbage_do_not_connect() -> None:
    async def peer(lab: SimLab, socket: UdpSocket, to: Endpoint) -> None:
        stranger = Checks(bytes(32), leads=False)
        for data in (b"", b"\0" * 20, stranger.request(stun.new_transaction_id())):
            socket.send(data, to)

    outcome = against(peer)
    assert not outcome.connected
    assert outcome.reason == "Packets arrived, but none was the peer's."
    assert (outcome.counts.seen, outcome.counts.refused, outcome.counts.answers) == (0, 3, 0)


def test_own_packets_turned_back_do_not_connect() -> None:
    async def peer(lab: SimLab, socket: UdpSocket, to: Endpoint) -> None:
        socket.on_datagram = lambda data, source: socket.send(data, source) and None

    assert against(peer).reason == "Packets arrived, but none was the peer's."


@pytest.mark.parametrize("leads", [True, False])
def test_a_replayed_check_from_elsewhere_does_not_connect(leads: bool) -> None:
    """Also one that nominates."""

    async def peer(lab: SimLab, socket: UdpSocket, to: Endpoint) -> None:
        theirs = FOLLOWER if leads else LEADER
        data = theirs.request(stun.new_transaction_id(), nominate=True)
        for _ in range(50):
            socket.send(data, to)

    outcome = against(peer, leads=leads)
    assert not outcome.connected
    assert outcome.reason == "Packets of the peer arrived, but it did not answer ours."
    assert outcome.counts.answers <= 50 + 10


def test_silence() -> None:
    async def peer(lab: SimLab, socket: UdpSocket, to: Endpoint) -> None:
        return None

    outcome = against(peer)
    assert (outcome.reason, outcome.counts.sent) == ("Nothing of the peer arrived.", Part().packets)


def test_the_announced_rate_and_total_hold() -> None:
    part = Part(aim="pool", count=300, pool=(2000, 3000), passes=2, rate_per_s=100.0, gap_s=0.5)

    async def main(lab: SimLab) -> tuple[Outcome, Timed]:
        own = Timed(await lab.network("alice").open_udp(family=4))
        meeting = Meeting(SECRET, True, own, Endpoint("11.102.0.2", 1))
        return await birthday(lab.network("alice"), meeting, part, wait_s=0.1, seed=1), own

    outcome, own = run(OPEN, main)
    assert outcome.counts.sent == len(own.sent) == part.packets == 600
    assert all(later - before >= 0.00999 for (before, _), (later, _) in pairwise(own.sent))
    assert len({to for _, to in own.sent}) == 300


def test_only_the_connected_socket_stays_open() -> None:
    async def main(lab: SimLab) -> None:
        networks = lab.network("alice"), lab.network("bob")
        sockets = [await network.open_udp(family=4) for network in networks]
        many = Part(sockets=20, fresh=True)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    plain(networks[i], Meeting(SECRET, i == 0, sockets[i], sockets[1 - i].local), part)
                )
                for i, part in enumerate((many, Part()))
            ]
        outcome = tasks[0].result()
        assert outcome.socket is not None
        assert outcome.socket is not sockets[0]
        assert {socket.local.port for socket in _open(lab)} == {
            sockets[0].local.port,
            outcome.socket.local.port,
        }
        assert tasks[1].result().remote == outcome.socket.local

    run(OPEN, main)


def _open(lab: SimLab) -> list[UdpSocket]:
    stack = lab.net.node("alice").stack
    return list(stack._udp.values())


def test_no_low_ports_left_is_a_reason() -> None:
    async def main(lab: SimLab) -> Outcome:
        network = lab.network("alice")
        own = await network.open_udp(family=4)
        for port in (600, 601):
            await network.open_udp(family=4, port=port)
        part = Part(sockets=2, fresh=True, sources=(600, 601))
        return await plain(network, Meeting(SECRET, True, own, Endpoint("11.1.0.2", 1)), part)

    outcome = run(pair(NatSpec(), NatSpec()), main)
    assert not outcome.connected
    assert "in use" in outcome.reason
