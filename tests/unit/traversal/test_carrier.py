"""A QUIC link over ICE's pairs, which change while it is in use."""

from __future__ import annotations

import asyncio
from random import Random

from linked import both, quic_links, read_exactly
from simulated import STUN, behind_nat, pass_time

from nattools.lab.scenario import NatSpec
from nattools.lab.sim.lab import SimLab
from nattools.net.base import Network
from nattools.protocols import ice
from nattools.traversal.carrier import Carrier
from nattools.traversal.icedriver import IceDriver

DATA = Random(2).randbytes(100_000)


async def driver_of(network: Network, role: ice.Role) -> IceDriver:
    driver = IceDriver(ice.Agent(role))
    driver.add_socket(await network.open_udp(family=4))
    driver.ask(STUN)
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


def test_the_link_goes_on_over_another_driver_s_pair() -> None:
    async def main(lab: SimLab) -> None:
        first = await connected(lab)
        carriers = [Carrier(driver) for driver in first]
        ours, theirs = await quic_links(*carriers)
        ours.write(DATA)
        assert await read_exactly(theirs, len(DATA)) == DATA
        before = ours.local, ours.remote
        assert before[0] == first[0].agent.selected.path[1]  # type: ignore[union-attr]
        ours.write(DATA)
        for driver in first:
            driver.close()
        await pass_time(5)
        second = await connected(lab)
        for carrier, driver in zip(carriers, second, strict=True):
            carrier.use(driver)
        began = asyncio.get_running_loop().time()
        assert await read_exactly(theirs, len(DATA)) == DATA
        assert asyncio.get_running_loop().time() - began < 0.5
        assert (ours.local, ours.remote) != before
        await both(ours.close(), theirs.close())
        assert second[0].on_data is second[0].on_selected is None
        for driver in second:
            driver.close()

    with SimLab(behind_nat(NatSpec(), delay_ms=20)) as lab:
        lab.run(lambda: main(lab))


def test_without_a_pair_there_is_no_address_and_what_is_sent_is_lost() -> None:
    async def main(lab: SimLab) -> None:
        driver = await driver_of(lab.network("alice"), "controlling")
        carrier = Carrier()
        carrier.send(b"@nobody")
        carrier.use(driver)
        carrier.send(b"@nobody")
        assert carrier.local is carrier.remote is None
        carrier.close()
        carrier.use(driver)
        assert driver.on_data is None
        driver.close()

    with SimLab(behind_nat(NatSpec())) as lab:
        lab.run(lambda: main(lab))


def test_changes_and_quic_s_datagrams_are_told_of() -> None:
    async def main(lab: SimLab) -> None:
        one, other = await connected(lab)
        carrier, changes, got = Carrier(), [], []  # type: ignore[var-annotated]
        carrier.on_change = lambda: changes.append(carrier.remote)
        carrier.on_datagram = got.append
        carrier.use(one)
        for data in (b"\x80 not QUIC", b"@ QUIC"):
            other.send(data)
        await pass_time(1)
        assert got == [b"@ QUIC"]
        assert changes == [carrier.remote]
        other.close()
        await pass_time(60)
        assert changes[-1] is None
        one.close()

    with SimLab(behind_nat(NatSpec())) as lab:
        lab.run(lambda: main(lab))
