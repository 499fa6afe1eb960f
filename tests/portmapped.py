"""What the tests of port mappings share: a simulated home with a router of a given behaviour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from nattools.lab.routers.fakerouter import FakeRouter, start_router
from nattools.lab.routers.routerbehaviour import RouterBehaviour
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.probes.portmap import Granted, MappingRequest, Refused, gateway_contexts
from nattools.probes.portmap.discover import Discovery, discover

T = TypeVar("T")

ROUTER = "10.0.1.1"
OUTSIDE = "11.1.0.2"
ALICE = "10.0.1.2"
ROUTER6 = "2a10:1:0:1::1"
ALICE6 = "2a10:1:0:1::2"
NONCE = bytes(range(12))


class Home:
    """Alice and carol behind a router, bob on the internet."""

    def __init__(self, lab: SimLab) -> None:
        self.lab = lab
        self.alice = lab.network("alice")
        self.bob = lab.network("bob")
        self.routers: list[FakeRouter] = []

    async def router(self, behaviour: RouterBehaviour | None = None, *, family: Family = 4) -> FakeRouter:
        """Start the home's own router."""
        address, external = (ROUTER, OUTSIDE) if family == 4 else (ROUTER6, ROUTER6)
        forwards = self.lab.forwards("home", family)
        router = await start_router(self.lab.network("home"), address, external, behaviour, forwards)
        self.routers.append(router)
        return router

    async def discover(self, *families: Family) -> Discovery:
        """What alice finds."""
        return await discover(gateway_contexts(self.alice, families=families or (4,)))

    async def reaches(self, granted: Granted) -> bool:
        """Can bob send through a mapping to alice?"""
        came = []
        here = await self.alice.open_udp(
            family=granted.internal.family, host=granted.internal.host, port=granted.internal.port
        )
        here.on_datagram = lambda data, source: came.append(data)
        there = await self.bob.open_udp(family=granted.internal.family)
        target = Endpoint(granted.external_host or OUTSIDE, granted.external_port)
        there.send(b"knock", target)
        await _settle()
        here.close()
        there.close()
        return came == [b"knock"]


async def _settle() -> None:
    from simulated import pass_time

    await pass_time(1.0)


def at_home(main: Callable[[Home], Awaitable[T]], *, nat: NatSpec | None = None, ipv6: bool = False) -> T:
    """Run `main` in a fresh home."""
    scenario = Scenario(
        title="home",
        nat={"home": nat or NatSpec(ipv6="firewall" if ipv6 else None)},
        host={"alice": HostSpec(behind="home"), "carol": HostSpec(behind="home"), "bob": HostSpec(ipv6=ipv6)},
    )

    async def whole(lab: SimLab) -> T:
        home = Home(lab)
        try:
            return await main(home)
        finally:
            for router in home.routers:
                await router.close()

    with SimLab(scenario, start_servers=False) as lab:
        return lab.run(lambda: whole(lab))


def wanted(
    internal_port: int = 4000,
    *,
    transport: Transport = "udp",
    host: str = ALICE,
    external_port: int | None = None,
    exact: bool = False,
    lifetime_s: int = 600,
) -> MappingRequest:
    """A mapping for alice."""
    return MappingRequest(
        transport=transport,
        internal=Endpoint(host, internal_port),
        nonce=NONCE,
        external_port=external_port,
        exact=exact,
        lifetime_s=lifetime_s,
    )


def granted(result: Granted | Refused | None) -> Granted:
    """It was."""
    assert isinstance(result, Granted), result
    return result


def refused(result: Granted | Refused | None) -> Refused:
    """It was not."""
    assert isinstance(result, Refused), result
    return result
