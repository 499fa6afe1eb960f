"""Which routers are asked for port mappings."""

from __future__ import annotations

from nattools.engine.options import MeasureOptions
from nattools.net.base import Network
from nattools.probes.portmap import GatewayContext, gateway_contexts, gateways_of_host, named_gateway


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
