"""A home router that passes requests for ports on to its provider's NAT (RFC 6970)."""

from __future__ import annotations

from math import inf

import msgspec
from mapped import OUTSIDE, call, home
from routerkinds import UDP_5000, made

from nattools.engine.portmap import commands
from nattools.lab.nat.bindings import Forwards
from nattools.lab.routers.fakerouter import start_router
from nattools.lab.routers.routerbehaviour import RouterBehaviour
from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.report import Report

ROUTER, WAN = "10.0.2.1", "100.64.0.2"


class ThroughBoth(Forwards):
    """What is opened at the home's router is opened at the provider's."""

    def __init__(self, provider: Forwards, router: Forwards) -> None:
        super().__init__()
        self._provider, self._router = provider, router

    def open(self, protocol: str, outside: Endpoint, inside: Endpoint, expires: float = inf) -> None:
        between = Endpoint(WAN, outside.port)
        self._provider.open(protocol, outside, between, expires)
        self._router.open(protocol, between, inside, expires)

    def close(self, protocol: str, outside: Endpoint) -> None:
        self._provider.close(protocol, outside)
        self._router.close(protocol, Endpoint(WAN, outside.port))


def test_a_mapping_that_is_proven_is_not_called_useless_for_the_second_nat() -> None:
    nats = {"isp": NatSpec(address="100.64.0.0/24"), "home": NatSpec(behind="isp")}
    behaviour = RouterBehaviour(protocols=("upnp",), external=WAN)

    async def main(lab: SimLab) -> Report:
        both = ThroughBoth(lab.forwards("isp"), lab.forwards("home"))
        router = await start_router(lab.network("home"), ROUTER, OUTSIDE, behaviour, both)
        report = await call(lab, commands.add, UDP_5000, families=(4,))
        await router.close()
        return report

    with SimLab(msgspec.structs.replace(home(), nat=nats)) as lab:
        report = lab.run(lambda: main(lab))
    assert (made(report).external, made(report).verified_inbound) == ("11.1.0.2:5000", True)
    codes = {each.code for each in report.notices}
    assert "second-nat-of-provider" in codes
    assert "mappings-not-reached" not in codes
