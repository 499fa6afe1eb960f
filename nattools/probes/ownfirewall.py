"""Is it this machine's own firewall that stops what comes in, where nobody may look at its interface? A
packet that no router passes on opens no other one."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from nattools.net.base import Network
from nattools.probes.dialbacks import InboundTrial
from nattools.probes.layers import HERE, walk
from nattools.protocols import stun


async def opened_here(trial: InboundTrial) -> bool | None:
    """Over UDP: does a second trial get in, once the port that nothing came to has sent such packets to where
    the server sends from? None: that cannot be told, as where it is not known that the next router lowers
    TTLs. The port has then written to somebody, and is of no use for other trials."""
    context, target, listener = trial.context, trial.target, trial.listener
    hops = await walk(context, target.endpoint)
    first = hops[0].address if hops else None
    if first is None or not _is_next_router(context.network, first, trial.place.local):
        return None
    towards = trial.origin or target.other or target.endpoint
    for _ in range(context.estimate.copies()):
        listener.send(stun.binding_indication(), towards, ttl=HERE)
    again = InboundTrial(context, trial.place, target, listener, trial.port)
    await again.run()
    return {"arrived": True, "silent": False, "refused": False}.get(again.outcome)


def _is_next_router(network: Network, address: str, own: str) -> bool:
    """A default router, or a neighbour: routers of IPv6 are known by a link-local address, and answer from
    another one."""
    if address in {each.address for each in network.gateways()}:
        return True
    length = 64 if ":" in own else 24
    return ip_address(address) in ip_network(f"{own.partition('%')[0]}/{length}", strict=False)
