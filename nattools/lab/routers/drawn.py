"""A fake router as a scenario draws it."""

from __future__ import annotations

import msgspec

from nattools.lab.layout import Layout
from nattools.lab.nat.bindings import Forwards
from nattools.lab.routers.behaviour import Behaviour, Protocols
from nattools.lab.routers.router import FakeRouter, start_router
from nattools.lab.scenario import MapperSpec, NatSpec
from nattools.model.endpoint import Family, family_of
from nattools.model.portmapping import MappingProtocol
from nattools.net.base import Network

_PROTOCOLS: dict[MappingProtocol, Protocols] = {"upnp-igd": "upnp", "nat-pmp": "nat-pmp", "pcp": "pcp"}
_FIREWALL = "WANIPv6FirewallControl:1"


def behaviour(nat: NatSpec, mapper: MapperSpec, *, public: bool) -> Behaviour:
    """What a router does whose outside address is public, or is not: then it refuses as miniupnpd does."""
    services = [f"WANIPConnection:{mapper.igd}"]
    if mapper.igd == 2 and nat.ipv6 is not None:
        services.append(_FIREWALL)
    usual = Behaviour(
        protocols=tuple(_PROTOCOLS[each] for each in mapper.protocols),
        igd_version=mapper.igd,
        services=tuple(services),
        ports=mapper.ports,
        min_lifetime_s=mapper.shortest_s,
        max_lifetime_s=mapper.longest_s,
    )
    if not public:
        usual = msgspec.structs.replace(usual, external="", upnp_error=501, natpmp_result=3, pcp_result=8)
    return msgspec.convert({**msgspec.to_builtins(usual), **mapper.faults}, Behaviour)


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
