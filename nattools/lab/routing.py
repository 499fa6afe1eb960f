"""What a userspace router must know of its surroundings: pure, from the layout and the wiring."""

from __future__ import annotations

from nattools.lab.layout import Address, Layout, Port, host_behind
from nattools.lab.nft import LAN, WAN
from nattools.lab.router import EngineRouter, Hop, Interface
from nattools.lab.scenario import NatSpec, RouterSpec, Scenario, routers
from nattools.lab.wiring import Wiring


def inside_nodes(scenario: Scenario, router: str) -> int:
    """How many hosts and routers stand directly behind a router."""
    hosts = sum(router in host_behind(scenario, host) for host in scenario.host)
    return hosts + sum(spec.behind == router for spec in routers(scenario).values())


def engine_router(layout: Layout, wiring: Wiring, name: str, spec: RouterSpec) -> EngineRouter:
    """The description of one router for `lab.router.Forwarder`."""
    ports = {port.interface: port for port in layout.ports_of(name)}
    lan, wan = _ipv4(ports[LAN]), _ipv4(ports[WAN])
    hops = [Hop(lan.network, "inside"), Hop(wan.network, "outside")]
    hops += [Hop("0.0.0.0/0", "outside", via) for via in ports[WAN].gateways if ":" not in via]
    hops += [
        Hop(route.network, "inside", route.via)
        for route in layout.routes
        if route.node == name and ":" not in route.network
    ]
    return EngineRouter(
        inside=_interface(wiring, name, LAN, lan.ip),
        outside=_interface(wiring, name, WAN, wan.ip),
        inside_network=lan.network,
        hops=tuple(hops),
        answers_ttl=not isinstance(spec, NatSpec) or spec.answers_ttl,
    )


def _ipv4(port: Port) -> Address:
    return next(address for address in port.addresses if ":" not in address.ip)


def _interface(wiring: Wiring, node: str, name: str, address: str) -> Interface:
    device = next(device for device in wiring.devices(node) if device.name == name)
    neighbours = {n.ip: n.mac for n in wiring.neighbours if (n.node, n.device) == (node, name)}
    return Interface(address, device.mac, neighbours, device.mtu)
