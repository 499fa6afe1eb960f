"""The simulator's routers that make port mappings, as the scenario wants them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from nattools.errors import UsageError
from nattools.lab.layout import Layout
from nattools.lab.nat.bindings import Forwards
from nattools.lab.routers.fakerouter import FakeRouter, start_router
from nattools.lab.routers.routerbehaviour import Protocols, RouterBehaviour
from nattools.lab.scenario import MapperSpec, NatSpec, Scenario
from nattools.model.endpoint import Family, family_of
from nattools.model.portmapping import MappingProtocol
from nattools.net.base import Network


class SimulatedRouters:
    """The fake routers of a simulation, by the node that they are on: one for each address family."""

    def __init__(
        self,
        scenario: Scenario,
        layout: Layout,
        network: Callable[[str], Network],
        forwards: Callable[[str, Family], Forwards | None],
    ) -> None:
        self._scenario = scenario
        self._layout = layout
        self._network = network
        self._forwards = forwards
        self.running: dict[str, list[FakeRouter]] = {}

    async def start_all(self) -> None:
        """Start those that the scenario has."""
        for router, nat in self._scenario.nat.items():
            if nat.mapper is not None:
                await self.start(router)

    async def start(self, router: str) -> None:
        """Start a router's, or switch it on again. UsageError: it is to offer no mappings."""
        if router in self.running:
            for each in self.running[router]:
                await each.start()
                each.restart()
            return
        nat = self._scenario.nat.get(router)
        if nat is None or nat.mapper is None:
            raise UsageError(f"the router {router!r} is to offer no mappings")
        self.running[router] = []
        for family in families(nat):
            self.running[router].append(await self._start(router, nat, nat.mapper, family))

    async def stop(self, router: str) -> None:
        """Switch a router off: it forgets its mappings."""
        for each in self.running.get(router, ()):
            each.table.clear()
            await each.close()

    async def _start(self, router: str, nat: NatSpec, mapper: MapperSpec, family: Family) -> FakeRouter:
        forwards = self._forwards(router, family)
        return await start_fake(self._network(router), self._layout, router, (nat, mapper), family, forwards)


_PROTOCOLS: dict[MappingProtocol, Protocols] = {"upnp-igd": "upnp", "nat-pmp": "nat-pmp", "pcp": "pcp"}
_FIREWALL = "WANIPv6FirewallControl:1"


def behaviour(nat: NatSpec, mapper: MapperSpec, *, public: bool) -> RouterBehaviour:
    """What a router does whose outside address is public, or is not: then it refuses as miniupnpd does."""
    services = [f"WANIPConnection:{mapper.igd}"]
    if mapper.igd == 2 and nat.ipv6 is not None:
        services.append(_FIREWALL)
    usual = RouterBehaviour(
        protocols=tuple(_PROTOCOLS[each] for each in mapper.protocols),
        igd_version=mapper.igd,
        services=tuple(services),
        ports=mapper.ports,
        min_lifetime_s=mapper.shortest_s,
        max_lifetime_s=mapper.longest_s,
    )
    if not public:
        usual = msgspec.structs.replace(usual, external="", upnp_error=501, natpmp_result=3, pcp_result=8)
    return msgspec.convert({**msgspec.to_builtins(usual), **mapper.faults}, RouterBehaviour)


async def start_fake(
    network: Network,
    layout: Layout,
    router: str,
    spec: tuple[NatSpec, MapperSpec],
    family: Family,
    forwards: Forwards | None,
) -> FakeRouter:
    """A fake router of one family on its node's inside address."""
    ports = layout.ports_of(router)
    inside = next(port for port in ports if not port.uplink)
    outside = next(port for port in ports if port.uplink)
    own, external = (
        next(address.ip for address in port.addresses if family_of(address.ip) == family)
        for port in (inside, outside)
    )
    manner = behaviour(*spec, public=network.is_public(external))
    if family == 6:
        external = own
        pinholes = tuple(each for each in manner.services if each == _FIREWALL)
        manner = msgspec.structs.replace(manner, services=pinholes)
    return await start_router(network, own, external, manner, forwards)


def families(nat: NatSpec) -> tuple[Family, ...]:
    """Those that a router has inside."""
    return (4,) if nat.ipv6 is None else (4, 6)
