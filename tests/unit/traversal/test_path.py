"""A QUIC link over ICE's pairs, which change while it is in use."""

from __future__ import annotations

import asyncio
from random import Random

from linked import both, quic_links, read_exactly
from punching import offer
from simulated import behind_nat, pass_time

from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.net.base import Network
from nattools.protocols import ice
from nattools.traversal.icedriver import IceDriver
from nattools.traversal.path import IcePath

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
