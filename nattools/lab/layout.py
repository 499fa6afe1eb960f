"""Addresses and wiring of a scenario: pure, and one for both backends, so that they cannot differ.

The k-th router that stands directly on the internet has the outside network 11.k.0.0/24 (itself .2, the
internet .1) and 2a10:k::/64; the k-th router in the file has the inside network 10.0.k.0/24 unless the file
says otherwise (itself .1) and 2a10:k:0:1::/64. Hosts on the internet get 11.(100+k).0.2, servers
11.(200+k).0.2 and .3. These ranges are ones that software takes for public.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network

import msgspec

from nattools.lab.impairment import Impairment
from nattools.lab.scenario import (
    INTERNET,
    LOCAL_INSIDE,
    HostSpec,
    LanSpec,
    NatSpec,
    NodeKind,
    RouterSpec,
    Routing,
    Scenario,
    has_ipv6,
    host_behind,
    inside_network,
    inside_network6,
    nodes_by_kind,
    outside_network6,
    routers,
)
from nattools.lab.validation import check_wiring


class Address(msgspec.Struct, frozen=True):
    """An address with its prefix length."""

    ip: str
    prefix: int

    @property
    def network(self) -> str:
        """The network it is in, as `a.b.c.d/n`."""
        return str(ip_network(f"{self.ip}/{self.prefix}", strict=False))


class Port(msgspec.Struct, frozen=True):
    """A node's interface on a segment. `uplink`: a default route leaves here, of the families of `gateways`;
    `standby` is the address of another router, to which a default route leads that is not taken; `routing` is
    a host's, and `lets_out` False where its own firewall lets nothing out. `link` False: its
    cable is out."""

    node: str
    interface: str
    addresses: tuple[Address, ...]
    gateways: tuple[str, ...] = ()
    standby: str | None = None
    uplink: bool = False
    vpn: bool = False
    routing: Routing = "by-source"
    lets_out: bool = True
    link: bool = True

    @property
    def unnamed_gateway(self) -> bool:
        """Does the route name no router, as wg-quick's do not: a tunnel has but one other end?"""
        return self.vpn and self.routing == "by-rule"


class Segment(msgspec.Struct, frozen=True):
    """A broadcast domain: ports that reach each other directly. `impairments` by the node whose uplink has
    them: a packet suffers them when it passes between that node and the others, in both directions. `lan`:
    what passes between ports other than the first, which is the router's."""

    name: str
    ports: tuple[Port, ...]
    impairments: dict[str, Impairment] = msgspec.field(default_factory=dict)
    lan: LanSpec = LanSpec()


class Route(msgspec.Struct, frozen=True):
    """A static route of a node towards a network that is reached through a neighbour."""

    node: str
    network: str
    via: str


class Layout(msgspec.Struct, frozen=True):
    """All nodes with their kinds, all segments, and the routes beyond directly connected networks and the
    default route along uplinks."""

    nodes: dict[str, NodeKind]
    segments: tuple[Segment, ...]
    routes: tuple[Route, ...]

    def ports_of(self, node: str) -> tuple[Port, ...]:
        """A node's interfaces: of a router with its uplink last, of a host in the order of `behind`."""
        found = [port for segment in self.segments for port in segment.ports if port.node == node]
        if self.nodes.get(node) == "host":
            found.sort(key=lambda port: int(port.interface[3:]))  # eth0, tun1
        return tuple(found)

    def outside_address(self, scenario: Scenario, host: str) -> str:
        """The IPv4 address at which a host is seen from the internet, by its first way out; that of the last
        NAT on the way, or its own."""
        node, router = host, next(iter(host_behind(scenario, host)), None)
        while router is not None:
            spec = routers(scenario)[router]
            node = router if isinstance(spec, NatSpec) else node
            router = spec.behind
        port = self.ports_of(node)[-1 if node != host else 0]
        return next(address.ip for address in port.addresses if ":" not in address.ip)

    def dmz_address(self, scenario: Scenario, nat: str) -> str | None:
        """Where a NAT forwards everything that belongs to nothing; None: nowhere."""
        spec = scenario.nat.get(nat)
        if spec is None or spec.dmz is None:
            return None
        inside = next(segment for segment in self.segments if segment.name == f"{nat}-lan")
        host = next(port for port in inside.ports if port.node == spec.dmz)
        return next(address.ip for address in host.addresses if ":" not in address.ip)


class _Draft(msgspec.Struct):
    scenario: Scenario
    nodes: dict[str, NodeKind]
    segments: list[Segment] = msgspec.field(default_factory=list)
    routes: list[Route] = msgspec.field(default_factory=list)
    public_sites: int = 0

    def scenario_router(self, name: str) -> RouterSpec:
        """The router of that name."""
        return routers(self.scenario)[name]

    def inside6(self, name: str) -> str | None:
        """The IPv6 network on the inside of a router."""
        return inside_network6(self.scenario, name)


def plan(scenario: Scenario) -> Layout:
    """Give every node its interfaces, addresses and routes. UsageError if the drawing cannot be built."""
    check_wiring(scenario)
    nodes: dict[str, NodeKind] = {INTERNET: "internet"}
    for kind, named in nodes_by_kind(scenario).items():
        nodes.update(dict.fromkeys(named, kind))
    draft = _Draft(scenario, nodes)
    for name in routers(scenario):
        _inside(draft, name)
    for name in routers(scenario):
        _outside(draft, name)
    _hosts_on_the_internet(draft)
    _servers(draft)
    return Layout(nodes, tuple(draft.segments), tuple(draft.routes))


STANDBY_METRIC = 1000
"""Of a default route that is not taken as long as there is another."""
_HOST_PART = 0xA5C1_7E09_33D4_0000
"""What the last half of hosts' addresses begins with where it is to be told from a router's outside one."""


def _inside(draft: _Draft, name: str) -> None:
    """The segment on a router's inside: the router, its hosts, and the routers behind it."""
    scenario = draft.scenario
    network4 = ip_network(inside_network(scenario, name))
    network6 = draft.inside6(name)
    base6 = ip_network(network6) if network6 else None
    nat = scenario.nat.get(name)
    local = routers(scenario)[name].ipv6 in LOCAL_INSIDE
    taken = 1

    def addresses(index: int) -> tuple[Address, ...]:
        """Behind a NAT64 nobody but the router itself has IPv4."""
        only6 = nat is not None and nat.nat64 is not None and index > 1
        four = () if only6 else (Address(str(network4[index]), network4.prefixlen),)
        six = index if index == 1 or not local else index + _HOST_PART
        return four + ((Address(str(base6[six]), base6.prefixlen),) if base6 else ())

    ports = [Port(name, "lan0", addresses(1))]
    gateways = tuple(each.ip for each in addresses(1) if ":" in each.ip or nat is None or nat.nat64 is None)
    impairments: dict[str, Impairment] = {}
    for inner, spec in routers(scenario).items():
        if spec.behind == name:
            taken += 1
            ports.append(Port(inner, "wan0", addresses(taken), gateways, uplink=True))
            impairments[inner] = spec
            for network in _inside_networks(draft, inner):
                draft.routes.append(Route(name, network, _same_family(addresses(taken), network)))
    for host, host_spec in scenario.host.items():
        behind = host_behind(scenario, host)
        if name in behind:
            taken += 1
            own = addresses(taken) if host_spec.addressed else ()
            ports.append(_port_inside(host, host_spec, behind, name, own, gateways))
            impairments[host] = host_spec
    ports = [msgspec.structs.replace(port, standby=_standby(scenario, port, ports)) for port in ports]
    lan = LanSpec() if nat is None else nat.lan
    draft.segments.append(Segment(f"{name}-lan", tuple(ports), impairments, lan))


def _port_inside(
    host: str,
    spec: HostSpec,
    behind: Sequence[str],
    router: str,
    own: tuple[Address, ...],
    gateways: tuple[str, ...],
) -> Port:
    """A host's port on the inside of one of the routers that it is behind."""
    position, vpn = behind.index(router), router in spec.vpn
    routed = tuple(gateway for gateway in gateways if _is_routed(spec, router, gateway))
    return Port(
        host,
        f"tun{position}" if vpn else f"eth{position}",
        own,
        routed if own else (),
        uplink=bool(routed and own),
        vpn=vpn,
        routing=spec.routing,
        lets_out=spec.lets_out is None or router in spec.lets_out,
        link=spec.lacks != "link",
    )


def _standby(scenario: Scenario, port: Port, ports: list[Port]) -> str | None:
    """The IPv4 address of the host that would forward if the router did not."""
    spec = scenario.host.get(port.node)
    named = None if spec is None or not port.uplink else spec.standby
    return next((a.ip for each in ports if each.node == named for a in each.addresses[:1]), None)


def _is_routed(spec: HostSpec, router: str, gateway: str) -> bool:
    """Has the host a default route to this address of a router?"""
    if isinstance(spec.default_route, bool):
        return spec.default_route
    family = 6 if ":" in gateway else 4
    return router in spec.default_route or f"{router}/{family}" in spec.default_route


def _inside_networks(draft: _Draft, router: str) -> list[str]:
    """Networks that the outside must route to this router: all IPv6, and IPv4 behind a mere firewall."""
    networks = [] if router in draft.scenario.nat else [inside_network(draft.scenario, router)]
    six = outside_network6(draft.scenario, router) or draft.inside6(router)
    if six and draft.scenario_router(router).ipv6 not in ("nat66", "ula"):
        networks.append(six)
    for inner, spec in routers(draft.scenario).items():
        if spec.behind == router:
            inner_networks = _inside_networks(draft, inner)
            networks += [n for n in inner_networks if ":" in n or router not in draft.scenario.nat]
    return networks


def _same_family(addresses: tuple[Address, ...], network: str) -> str:
    return next(a.ip for a in addresses if (":" in a.ip) == (":" in network))


def _outside(draft: _Draft, name: str) -> None:
    """The segment between the internet and a router that stands on it."""
    spec = routers(draft.scenario)[name]
    if spec.behind is not None:
        return
    draft.public_sites += 1
    site = draft.public_sites
    six = has_ipv6(draft.scenario, name)
    count = spec.pool if isinstance(spec, NatSpec) else 1
    _attach(draft, name, "wan0", f"11.{site}.0", f"2a10:{site:x}::" if six else None, count, spec)
    outside = draft.segments[-1].ports[0].addresses
    for network in _inside_networks(draft, name):
        draft.routes.append(Route(INTERNET, network, _same_family(outside, network)))


def _attach(
    draft: _Draft, node: str, interface: str, four: str | None, six: str | None, count: int, spec: Impairment
) -> None:
    """Join a node to the internet by a segment of its own."""

    def at(index: int) -> tuple[Address, ...]:
        found = (Address(f"{four}.{index}", 24),) if four else ()
        return found + ((Address(f"{six}{index}", 64),) if six else ())

    own = tuple(address for index in range(2, 2 + count) for address in at(index))
    gateways = tuple(address.ip for address in at(1))
    ports = (
        Port(node, interface, own, gateways, uplink=True),
        Port(INTERNET, f"to-{node}"[:15], at(1)),
    )
    draft.segments.append(Segment(f"{node}-wan", ports, {node: spec}))


def _hosts_on_the_internet(draft: _Draft) -> None:
    index = 0
    for host, spec in draft.scenario.host.items():
        if not host_behind(draft.scenario, host):
            index += 1
            four = f"11.{100 + index}.0" if spec.ipv4 else None
            six = f"2a10:{100 + index:x}::" if spec.ipv6 else None
            _attach(draft, host, "eth0", four, six, 1, spec)


def _servers(draft: _Draft) -> None:
    for index, (name, spec) in enumerate(draft.scenario.server.items(), start=1):
        six = f"2a10:{200 + index:x}::" if spec.ipv6 else None
        _attach(draft, name, "eth0", f"11.{200 + index}.0", six, spec.addresses, spec)
