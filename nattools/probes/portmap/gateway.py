"""Where port mappings are asked for: a local address and its router."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from nattools.errors import UsageError
from nattools.model.endpoint import Family, family_of
from nattools.model.host import Gateway
from nattools.net.addresses import FAR_AWAY, AddressKind, carries_ipv4_over_ipv6, kind_of
from nattools.net.base import Network
from nattools.probes.ownaddress import OwnAddress
from nattools.protocols.routerurls import LocalNetwork

_NOWHERE: tuple[AddressKind | None, ...] = (
    None,
    "unspecified",
    "loopback",
    "link-local",
    "multicast",
    "reserved",
)


class GatewayContext(OwnAddress, frozen=True):
    """One interface and family with a router. `local` is the own address that mappings lead to, `address`
    the router's, with a zone if it is link-local. `path`: the addresses of those that forward what is sent to
    the internet, of either family; another default router on the link may stand by, and then does not.
    `guessed`: nothing says that there is one."""

    interface: str
    address: str
    lan: LocalNetwork
    path: frozenset[str]
    guessed: bool = False

    def forwards(self, host: str) -> bool:
        """Is it the router on the path? Zones do not matter."""
        return host.partition("%")[0] in self.path

    def outside(self, claimed: str | None) -> str | None:
        """What the router calls its outside address; None if that cannot be one: neither this machine's own
        private address nor the router's on this network is outside."""
        kind = None if claimed is None else kind_of(claimed)
        inside = claimed == self.local or self.lan.is_gateway(claimed or "")
        if claimed is not None and carries_ipv4_over_ipv6(claimed):
            return claimed  # a DS-Lite tunnel's own end, which says what lies beyond
        return None if kind in _NOWHERE or (inside and kind != "public") else claimed


def gateway_contexts(
    network: Network, *, families: Iterable[Family], interface: str | None = None
) -> tuple[GatewayContext, ...]:
    """Every router that a default route leads to, the preferred one first, IPv4 before IPv6. A tunnel's
    route names none: providers of VPNs have it at the first address of the tunnel's network."""
    wanted = tuple(families)
    routes = [
        each for each in network.gateways() if each.family in wanted and interface in (None, each.interface)
    ]
    gateways = [each for each in routes if each.address is not None]
    guesses = [guess for each in routes if each.address is None for guess in _guessed(network, each)]
    order = {each.interface: place for place, each in reversed(list(enumerate(routes)))}
    found = [
        *_places(network, gateways),
        *(msgspec.structs.replace(each, guessed=True) for each in _places(network, guesses)),
    ]
    return tuple(sorted(found, key=lambda each: (each.family, order[each.interface])))


def _guessed(network: Network, route: Gateway) -> Iterator[Gateway]:
    """Where a tunnel's router may be: only within private networks, so that no stranger is asked."""
    for own in _addresses(network, route.interface):
        if route.family == 4 and kind_of(own) in ("private", "shared"):
            first = own.rpartition(".")[0] + ".1"
            if first != own:
                yield Gateway(interface=route.interface, family=4, address=first)


def named_gateway(network: Network, address: str) -> GatewayContext:
    """A router that the user names. UsageError: no route leads there, or it is this machine."""
    family = family_of(address)
    own = any(address in each.addresses for each in network.interfaces())
    route = network.route(address)
    if own or route is None or route[0] is None:
        why = "it is this machine's own" if own else "no route leads there"
        raise UsageError(f"--gateway {address}: {why}. Name a router's address on this network or VPN")
    here = Gateway(interface=route[0], family=family, address=address)
    return next(_places(network, [here]))


def _places(network: Network, gateways: list[Gateway]) -> Iterator[GatewayContext]:
    seen: set[tuple[str, Family]] = set()
    for gateway in gateways:
        host = _own_address(network, gateway)
        if host is None or gateway.address is None or (gateway.interface, gateway.family) in seen:
            continue
        seen.add((gateway.interface, gateway.family))
        here = [each for each in gateways if each.interface == gateway.interface]
        lan = LocalNetwork(
            gateways=frozenset(each.address for each in here if each.address is not None),
            own=frozenset(_addresses(network, gateway.interface)),
            zone=gateway.interface,
            machine=frozenset(address for each in network.interfaces() for address in each.addresses),
        )
        address = _zoned(gateway.address, gateway.interface)
        path = _on_path(network, here)
        yield GatewayContext(network, gateway.interface, gateway.family, host, address, lan, path)


def _on_path(network: Network, here: list[Gateway]) -> frozenset[str]:
    """Of the routers of one interface those that forward, by family: the next hop of the route that the
    system takes, and those of its metric, among which Linux shares what it sends."""
    found = set()
    for family in {each.family for each in here}:
        known = [each for each in here if each.family == family and each.address is not None]
        way = network.way(FAR_AWAY[family], interface=known[0].interface) if known else None
        first = next((each for each in known if way is not None and each.address == way.gateway), known[0])
        same = [each for each in known if each.metric is not None and each.metric == first.metric]
        found |= {(each.address or "").partition("%")[0] for each in (first, *same)}
    return frozenset(found)


def _zoned(address: str, interface: str) -> str:
    local = "%" not in address and address.lower().startswith("fe80:")
    return f"{address}%{interface}" if local else address


def _addresses(network: Network, interface: str) -> tuple[str, ...]:
    return next((each.addresses for each in network.interfaces() if each.name == interface), ())


def _own_address(network: Network, gateway: Gateway) -> str | None:
    """The address that others would use for this machine: over IPv6 never the link-local one, which packets
    to the router itself would have."""
    towards = FAR_AWAY[6] if gateway.family == 6 else gateway.address
    route = network.route(towards) if towards is not None else None
    if route is not None and route[0] == gateway.interface:
        return route[1]
    own = [each for each in _addresses(network, gateway.interface) if family_of(each) == gateway.family]
    usable = [each for each in own if kind_of(each) not in ("link-local", "loopback")]
    return min(usable, key=lambda each: kind_of(each) != "public", default=None)


def gateways_of_host(
    network: Network, all_gateways: tuple[GatewayContext, ...], host: str
) -> tuple[GatewayContext, ...]:
    """The router of the interface that has this own address, to be asked from it."""
    family = family_of(host)
    found = [
        each
        for each in all_gateways
        if each.family == family and (each.local == host or _has(_addresses(network, each.interface), host))
    ]
    return tuple(msgspec.structs.replace(each, local=host) for each in found[:1])


def owns_address(network: Network, host: str) -> bool:
    """Has this machine that address? On whichever interface: the one that leads to the router may borrow it,
    as from the loopback interface where each address is a network of its own (/32)."""
    return any(_has(each.addresses, host) for each in network.interfaces())


def _has(addresses: Iterable[str], host: str) -> bool:
    return any(address.partition("%")[0] == host for address in addresses)
