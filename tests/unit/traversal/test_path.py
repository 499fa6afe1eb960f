"""A QUIC link over ICE's pairs, which change while it is in use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from linked import SECRET, both, quic_links, read_exactly
from links import Pair
from punching import offer
from simulated import behind_nat, pass_time

from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import Network
from nattools.protocols import ice
from nattools.traversal.icedriver import IceDriver
from nattools.traversal.links.link import DatagramPath, Link, Receive
from nattools.traversal.links.quicopening import quic_link
from nattools.traversal.path import SECURE_S, IcePath, SelectedPath
from nattools.traversal.tunnel.measure import echoes

DATA = Random(2).randbytes(100_000)


async def driver_of(network: Network, role: ice.Role) -> IceDriver:
    driver = IceDriver(ice.Agent(role))
    await offer(driver, network)
    return driver


async def connected(lab: SimLab) -> tuple[IceDriver, IceDriver]:
    """Alice and Bob, with a pair that works."""
    one = await driver_of(lab.network("alice"), "controlling")
    other = await driver_of(lab.network("bob"), "controlled")
    await pass_time(0.5)
    for driver, peer in ((one, other), (other, one)):
        driver.set_peer(*peer.agent.credentials)
        for candidate in peer.agent.local_candidates:
            driver.add_peer_candidate(ice.encode(candidate))
    assert None not in await both(one.connected(10), other.connected(10))
    return one, other


def path_over(driver: IceDriver) -> IcePath:
    assert driver.agent.selected is not None
    return IcePath(driver, driver.agent.selected, "reflexive", 0.1)


def test_the_link_goes_on_over_another_driver_s_pair() -> None:
    async def main(lab: SimLab) -> None:
        first = [path_over(driver) for driver in await connected(lab)]
        links = await quic_links(*first)
        ours, theirs = links
        ours.write(DATA)
        assert await read_exactly(theirs, len(DATA)) == DATA
        before = ours.local, ours.remote
        assert before == (first[0].local, first[0].remote)
        ours.write(DATA)
        for path in first:
            path.close()
        await pass_time(5)
        second = [path_over(driver) for driver in await connected(lab)]
        for link, path in zip(links, second, strict=True):
            assert link.move(path)
        began = asyncio.get_running_loop().time()
        assert await read_exactly(theirs, len(DATA)) == DATA
        assert asyncio.get_running_loop().time() - began < 0.5
        assert (ours.local, ours.remote) != before
        await both(ours.close(), theirs.close())
        assert second[0].driver.on_data is second[0].driver.on_selected is None
        assert not ours.move(first[0])
        for path in second:
            path.close()

    with SimLab(behind_nat(NatSpec(), delay_ms=20)) as lab:
        lab.run(lambda: main(lab))


def test_changes_and_quic_s_datagrams_are_told_of() -> None:
    async def main(lab: SimLab) -> None:
        one, other = await connected(lab)
        path, changes, got = path_over(one), [], []  # type: ignore[var-annotated]
        path.attach(lambda data, size: got.append((data, size)), lambda: changes.append(one.agent.usable))
        for data in (b"\x80 not QUIC", b"@ QUIC"):
            other.send(data)
        await pass_time(1)
        assert got == [(b"@ QUIC", 6)]
        assert changes == [one.agent.usable]
        other.close()
        await pass_time(60)
        assert changes[-1] is None
        path.send([b"@nobody"])
        path.close()
        path.detach()
        assert one.on_data is None

    with SimLab(behind_nat(NatSpec())) as lab:
        lab.run(lambda: main(lab))


class RelayedPath(SelectedPath):
    """A kind of path that nattools does not have: what one end sends, somebody passes on to the other."""

    def __init__(self, own: Endpoint) -> None:
        super().__init__("relay", "udp", 0.2)
        self._own = own
        self.other: RelayedPath | None = None
        self.receive: Receive | None = None

    @property
    def local(self) -> Endpoint:
        return self._own

    @property
    def remote(self) -> Endpoint:
        assert self.other is not None
        return self.other.local

    @property
    def datagrams(self) -> DatagramPath:
        return self

    async def secure(self, secret: bytes, *, leads: bool, timeout_s: float = SECURE_S) -> Link | str:
        return await quic_link(self, secret, leads=leads, timeout_s=timeout_s)

    def attach(self, receive: Receive, changed: Callable[[], None]) -> None:
        self.receive = receive
        changed()

    def detach(self) -> None:
        self.receive = None

    def send(self, datagrams: list[bytes]) -> None:
        for data in datagrams:
            asyncio.get_running_loop().call_later(0.01, self.pass_on, data)

    def pass_on(self, data: bytes) -> None:
        if self.other is not None and self.other.receive is not None:
            self.other.receive(data, len(data))

    def close(self) -> None:
        self.detach()


def test_another_kind_of_path_carries_a_tunnel() -> None:
    async def main(lab: SimLab) -> None:
        one, other = RelayedPath(Endpoint("11.9.0.1", 1)), RelayedPath(Endpoint("11.9.0.1", 2))
        one.other, other.other = other, one
        links = await both(one.secure(SECRET, leads=True), other.secure(SECRET, leads=False))
        pair = Pair()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each.run()) for each in (pair.one, pair.other)]
            for tunnel, link in zip((pair.one, pair.other), links, strict=True):
                assert not isinstance(link, str), link
                tunnel.attach(link)
            got = await echoes(pair.one, 3)
            for task in tasks:
                task.cancel()
        assert (got.sent, got.received) == (3, 3)
        assert (one.relayed, one.spares, one.silent_s(), one.rtt_ms) == (True, (), None, None)

    with SimLab(behind_nat(NatSpec())) as lab:
        lab.run(lambda: main(lab))
