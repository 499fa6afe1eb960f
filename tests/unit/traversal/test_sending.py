"""Who may take part in a punch, what it costs, and what it leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from random import Random

import pytest
from punching import acquainted, pair
from simulated import pass_time, run

from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.statement import statement
from nattools.net.base import DatagramHandler, IcmpHandler, SendFailure, UdpSocket
from nattools.protocols import ice, stun
from nattools.protocols.ice.checkmessages import Check, Credentials, build_check
from nattools.traversal.icedriver import IceDriver
from nattools.traversal.plan.steps import SendSchedule
from nattools.traversal.sending import ProbeOutcome, send_schedule
from nattools.wording import sentence

OPEN = pair(None, None)
PEER = Credentials("peer", "p" * 24)
Peer = Callable[[SimLab, UdpSocket, Endpoint, IceDriver], Awaitable[None]]


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


def agent_of(*, leads: bool = True) -> IceDriver:
    driver = IceDriver(ice.Agent("controlling" if leads else "controlled"))
    driver.set_peer(*PEER)
    return driver


def check_by(peer: Credentials, driver: IceDriver, *, leads: bool, nominate: bool = False) -> bytes:
    """What a peer with these credentials would send."""
    said = Check("controlling" if leads else "controlled", 1, 1, nominate, None, "")
    return build_check(stun.new_transaction_id(), said, peer.ufrag, driver.agent.credentials)


def against(peer: Peer, *, leads: bool = True) -> tuple[ProbeOutcome, int]:
    """A plain punch of alice's against whatever bob's socket does; and how many packets the checks took that
    answer the peer's."""

    async def main(lab: SimLab) -> tuple[ProbeOutcome, int]:
        own = await lab.network("alice").open_udp(family=4)
        other = await lab.network("bob").open_udp(family=4)
        driver = agent_of(leads=leads)
        driver.listen(own)
        async with asyncio.TaskGroup() as group:
            ours = group.create_task(
                send_schedule(lab.network("alice"), driver, own, other.local, SendSchedule())
            )
            group.create_task(peer(lab, other, own.local, driver))
        driver.close()
        return ours.result(), driver.agent.checks_sent

    return run(OPEN, main)


def test_strangers_and_garbage_do_not_connect() -> None:
    async def peer(lab: SimLab, socket: UdpSocket, to: Endpoint, driver: IceDriver) -> None:
        stranger = Credentials(PEER.ufrag, "another secret, of 24 c/")
        forged = bytearray(check_by(PEER, driver, leads=False))
        forged[-9] ^= 1
        unknown = build_check(bytes(12), Check("controlled", 1, 1, False, None, ""), PEER.ufrag, stranger)
        for data in (b"", b"\0" * 20, bytes(forged), unknown):
            socket.send(data, to)

    outcome, checks = against(peer)
    assert not outcome.connected
    assert outcome.reason == statement("others-heard-only")
    assert (outcome.counts.seen, outcome.counts.refused, checks) == (0, 4, 0)


def test_own_packets_turned_back_do_not_connect() -> None:
    async def peer(lab: SimLab, socket: UdpSocket, to: Endpoint, driver: IceDriver) -> None:
        socket.on_datagram = lambda data, source: socket.send(data, source) and None

    assert against(peer)[0].reason == statement("others-heard-only")


@pytest.mark.parametrize("leads", [True, False])
def test_a_replayed_check_from_elsewhere_does_not_connect(leads: bool) -> None:
    """Also one that nominates."""

    async def peer(lab: SimLab, socket: UdpSocket, to: Endpoint, driver: IceDriver) -> None:
        data = check_by(PEER, driver, leads=not leads, nominate=True)
        for _ in range(50):
            socket.send(data, to)

    outcome, checks = against(peer, leads=leads)
    assert not outcome.connected
    assert outcome.reason == statement("peer-heard-only")
    assert checks <= 10


def test_silence() -> None:
    async def peer(lab: SimLab, socket: UdpSocket, to: Endpoint, driver: IceDriver) -> None:
        return None

    outcome, _ = against(peer)
    packets = SendSchedule().packets
    assert (outcome.reason, outcome.counts.sent) == (statement("nothing-heard"), packets)


def test_the_announced_rate_and_total_hold() -> None:
    schedule = SendSchedule(ports="pool", count=300, pool=(2000, 3000), passes=2, rate_per_s=100.0, gap_s=0.5)

    async def main(lab: SimLab) -> tuple[ProbeOutcome, Timed]:
        own, driver = Timed(await lab.network("alice").open_udp(family=4)), agent_of()
        driver.listen(own)
        nobody = Endpoint("11.102.0.2", 1)
        return await send_schedule(lab.network("alice"), driver, own, nobody, schedule, seed=1), own

    outcome, own = run(OPEN, main)
    assert outcome.counts.sent == len(own.sent) == schedule.packets == 600
    assert all(later - before >= 0.00999 for (before, _), (later, _) in pairwise(own.sent))
    assert len({to for _, to in own.sent}) == 300


def test_only_the_connected_socket_stays_open() -> None:
    async def main(lab: SimLab) -> None:
        networks, drivers = (lab.network("alice"), lab.network("bob")), acquainted()
        sockets = [await network.open_udp(family=4) for network in networks]
        for driver, socket in zip(drivers, sockets, strict=True):
            driver.listen(socket)
        many = SendSchedule(sockets=20, fresh=True)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    send_schedule(networks[i], drivers[i], sockets[i], sockets[1 - i].local, schedule)
                )
                for i, schedule in enumerate((many, SendSchedule()))
            ]
        await pass_time(2.5)  # the others are closed a little later
        pair = tasks[0].result().pair
        assert pair is not None
        working = {each.path[1].port for each in drivers[0].agent.pairs if each.valid}
        assert pair.path[1].port in working
        assert {socket.local.port for socket in _open(lab)} == {sockets[0].local.port} | working
        other = tasks[1].result().pair
        assert other is not None
        assert other.remote_endpoint == pair.path[1]

    run(OPEN, main)


def _open(lab: SimLab) -> list[UdpSocket]:
    stack = lab.net.node("alice").stack
    return list(stack._udp.values())


def test_no_low_ports_left_is_a_reason() -> None:
    async def main(lab: SimLab) -> ProbeOutcome:
        network, driver = lab.network("alice"), agent_of()
        own = await network.open_udp(family=4)
        driver.listen(own)
        for port in (600, 601):
            await network.open_udp(family=4, port=port)
        schedule = SendSchedule(sockets=2, fresh=True, sources=(600, 601))
        return await send_schedule(network, driver, own, Endpoint("11.1.0.2", 1), schedule)

    outcome = run(pair(NatSpec(), NatSpec()), main)
    assert not outcome.connected
    assert outcome.reason is not None
    assert "in use" in sentence(outcome.reason)


def test_a_peer_whose_credentials_are_none_is_sent_nothing() -> None:
    async def main(lab: SimLab) -> ProbeOutcome:
        network, driver = lab.network("alice"), IceDriver(ice.Agent("controlling", rng=Random(1)))
        own = await network.open_udp(family=4)
        driver.listen(own)
        return await send_schedule(network, driver, own, Endpoint("11.1.0.2", 1), SendSchedule())

    outcome = run(OPEN, main)
    assert (outcome.counts.sent, outcome.reason) == (0, statement("peer-credentials-unknown"))
