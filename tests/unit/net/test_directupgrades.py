"""DCUtR's part of a host, with a peer that wants more than is due to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from simulated import pass_time, run

from nattools.lab.scenario import HostSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import Network, TcpFailure
from nattools.net.libp2p.directupgrades import DirectUpgrades
from nattools.net.libp2p.peerconnection import Libp2pConnection, StreamMessages
from nattools.net.libp2p.peerhost import PeerHost
from nattools.net.wrappednetwork import WrappedNetwork
from nattools.protocols.libp2p import dcutr
from nattools.protocols.libp2p.dcutr import HolePunchMessage
from nattools.protocols.libp2p.multiaddr import Multiaddr, multiaddr_at

OWN, PEER = Endpoint("11.101.0.2", 4001), Endpoint("11.102.0.2", 4001)
BYSTANDER = multiaddr_at(Endpoint("11.103.0.2", 9))
SCENARIO = Scenario(
    title="upgrades", host={"alice": HostSpec(), "bob": HostSpec(), "carol": HostSpec()}, server={}
)


class NotingNetwork(WrappedNetwork):
    """A network that keeps how connections were asked for."""

    def __init__(self, inner: Network) -> None:
        super().__init__(inner)
        self.asked: list[dict[str, Any]] = []

    async def connect_tcp(self, remote: Endpoint, **options: Any) -> Any:
        """As the network does."""
        self.asked.append({"remote": remote, **options})
        return await self.inner.connect_tcp(remote, **options)


Meeting = Callable[[DirectUpgrades, NotingNetwork, Libp2pConnection], Awaitable[None]]


def with_peer(main: Meeting, interface: str | None = None, public: str | None = None) -> None:
    """Alice's part, and bob's connection to her, which she takes for one through a relay."""

    async def work(lab: SimLab) -> None:
        network = NotingNetwork(lab.network("alice"))
        async with PeerHost(network) as alice, PeerHost(lab.network("bob")) as bob:
            local = await alice.listen(4, host=OWN.host, port=OWN.port)
            upgrades = DirectUpgrades(alice, local, [multiaddr_at(OWN)], interface, public)
            listener = await lab.network("alice").listen_tcp(
                family=4,
                host=OWN.host,
                port=4002,
                on_stream=lambda stream: alice.spawn(take(alice, stream)),
            )
            stream = await lab.network("bob").connect_tcp(Endpoint(OWN.host, 4002), timeout_s=5.0)
            assert not isinstance(stream, TcpFailure)
            made = await bob.take(stream, initiates=True, relayed=True)
            assert isinstance(made, Libp2pConnection)
            await main(upgrades, network, made)
            listener.close()

    async def take(host: PeerHost, stream: Any) -> None:
        await host.take(stream, initiates=False, relayed=True)

    run(SCENARIO, work)


async def begin(made: Libp2pConnection, *targets: Multiaddr) -> tuple[Multiaddr, ...]:
    """As the end that leads; where the other end says that it is."""
    stream = await made.open(dcutr.DCUTR, timeout_s=5.0)
    assert stream is not None
    messages = StreamMessages(stream, dcutr.MAX_DCUTR)
    messages.write(dcutr.encode_dcutr(HolePunchMessage("connect", targets)))
    answer = dcutr.decode_dcutr(await messages.expect())
    messages.write(dcutr.encode_dcutr(HolePunchMessage("sync")))
    return answer.addresses


def test_a_peer_gets_three_attempts_and_no_more() -> None:
    async def main(upgrades: DirectUpgrades, network: NotingNetwork, made: Libp2pConnection) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(begin(made, BYSTANDER))
        await pass_time(20.0)
        assert upgrades.record.attempts == dcutr.ATTEMPTS
        before = len(network.asked)
        await begin(made, BYSTANDER)
        await pass_time(10.0)
        assert len(network.asked) == before

    with_peer(main)


def test_only_where_a_peer_can_be_seen_is_called() -> None:
    async def main(upgrades: DirectUpgrades, network: NotingNetwork, made: Libp2pConnection) -> None:
        places = ("127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "10.0.0.1", "169.254.1.1")
        await begin(made, *(multiaddr_at(Endpoint(each, 80)) for each in places), multiaddr_at(PEER))
        await pass_time(1.0)
        assert upgrades.record.targets == [PEER]
        assert {each["remote"] for each in network.asked} == {PEER}

    with_peer(main)


def test_it_calls_out_of_the_interface_that_was_named() -> None:
    async def main(upgrades: DirectUpgrades, network: NotingNetwork, made: Libp2pConnection) -> None:
        await begin(made, multiaddr_at(PEER))
        await pass_time(1.0)
        assert {each["interface"] for each in network.asked} == {"eth0"}

    with_peer(main, interface="eth0")


def test_behind_no_nat_each_attempt_has_a_port_that_nobody_has_dialled() -> None:
    """A dial that failed leaves a half-open connection at the peer's own router, which spoils that port."""

    async def main(upgrades: DirectUpgrades, network: NotingNetwork, made: Libp2pConnection) -> None:
        offered = []
        for _ in range(5):
            offered.append(await begin(made, BYSTANDER))
            await pass_time(6.0)
        ports = [each.endpoint.port for (each,) in offered if each.endpoint is not None]
        assert len(set(ports[:3])) == 3
        assert OWN.port not in ports[:3]
        assert list(dict.fromkeys(each["port"] for each in network.asked)) == ports[:3]
        assert ports[3:] == [OWN.port] * 2, "a peer that begins without end gets no more of them"

    with_peer(main, public=OWN.host)


def test_behind_a_nat_the_port_is_the_one_whose_outside_is_known() -> None:
    async def main(upgrades: DirectUpgrades, network: NotingNetwork, made: Libp2pConnection) -> None:
        assert await begin(made, multiaddr_at(PEER)) == (multiaddr_at(OWN),)
        await pass_time(1.0)
        assert {each["port"] for each in network.asked} == {OWN.port}

    with_peer(main)
