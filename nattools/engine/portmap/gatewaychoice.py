"""Which routers are asked for port mappings."""

from __future__ import annotations

from nattools.engine.measureoptions import MeasureOptions
from nattools.net.base import Network
from nattools.probes.portmap import GatewayContext, gateway_contexts, gateways_of_host, named_gateway
from nattools.probes.portmap.discover import Discovery


def chosen_gateways(
    network: Network, options: MeasureOptions, named: str | None, host: str | None
) -> tuple[GatewayContext, ...]:
    """The one that is `named`; those of the interface asked for, or else of the one that the preferred route
    leads to; and what was guessed before that. `host`: those that can map for that machine."""
    if named is not None:
        return (named_gateway(network, named),)
    interface, families = options.interface, options.subject
    all_gateways = gateway_contexts(network, families=families, interface=interface)
    if host is not None:
        return gateways_of_host(network, all_gateways, host)
    chosen: list[GatewayContext] = []
    for family in families:
        of_family = [each for each in all_gateways if each.family == family]
        known = next((place for place, each in enumerate(of_family) if not each.guessed), len(of_family))
        chosen += of_family[: known + 1]
    return tuple(chosen)


def without_guesses(gateways: tuple[GatewayContext, ...], discovery: Discovery) -> tuple[GatewayContext, ...]:
    """A guess that answered is the router of its family; of one that did not nothing is said, which goes for
    `discovery` too."""
    guesses = [each for each in gateways if each.guessed]
    found = [each for each in guesses if any(m.gateway == each for m in discovery.mappers)]
    dropped = [each for each in guesses if each not in found]
    families = {each.family for each in found}
    dropped += [each for each in gateways if not each.guessed and each.family in families]
    gone = {(each.interface, each.local) for each in dropped}
    discovery.offers = [o for o in discovery.offers if (o.interface, o.local) not in gone]
    discovery.mappers = [m for m in discovery.mappers if m.gateway not in dropped]
    return tuple(each for each in gateways if each not in dropped)


def hardware_of(network: Network, interface: str, address: str) -> str:
    """The hardware address of who has an address on an interface's link, as far as the system tells; "": it
    does not, or there is no link."""
    here = [each for each in network.link_neighbours() if each.interface == interface]
    known = (each.hardware for each in here if each.address == address)
    return next((each for each in known if each.strip(":0")), "")
