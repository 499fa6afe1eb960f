"""Which interface is the local network's, and who was found there."""

from __future__ import annotations

from collections.abc import Container
from itertools import islice

from nattools.engine.measurement import MeasurementRun
from nattools.model.endpoint import Family, family_of
from nattools.model.host import PHYSICAL, Interface
from nattools.model.lanseen import BeaconPeer, LanLink, MdnsTrial
from nattools.net.addresses import FAR_AWAY
from nattools.probes.lan.lancontext import LanContext

MOST_NEIGHBOURS = 16


def lan_interface(run: MeasurementRun) -> Interface | None:
    """The one that is named; else that on whose network a machine is that is named; else that of the default
    route, unless it leads into a tunnel; else the first physical one that is up. None: there is no such
    interface."""
    network, wanted = run.network, run.options.interface
    able = [each for each in network.interfaces() if each.up and each.kind != "loopback" and each.addresses]
    if wanted is not None:
        return next((each for each in able if each.name == wanted), None)
    of_named = _of_named(run, [each for each in able if each.kind != "vpn"])
    routes = [network.route(FAR_AWAY[family]) for family in run.options.families]
    routed = next((route[0] for route in routes if route is not None and route[0]), None)
    of_route = [each for each in able if each.name == routed and each.kind != "vpn"]
    physical = [each for each in able if each.kind in PHYSICAL]
    with_router = {each.interface for each in network.gateways()}
    physical.sort(key=lambda each: each.name not in with_router)
    tunnel = [each for each in able if each.name == routed]
    return next(iter((*of_named, *of_route, *physical, *tunnel)), None)


def _of_named(run: MeasurementRun, able: list[Interface]) -> list[Interface]:
    """The interfaces by which packets go straight to machines that are named."""
    found = []
    for peer in run.options.peers:
        name: str | None = peer.partition("%")[2]
        if not name:
            way = run.network.way(peer)
            name = way.interface if way is not None and way.gateway is None else None
        found += [each for each in able if each.name == name and family_of(peer) in run.options.families]
    return found


def lan_context(
    run: MeasurementRun, interface: Interface, listen_s: float, *, glance: bool = False
) -> LanContext:
    """With the own addresses there, of the families that are asked for."""
    own: dict[Family, str] = {}
    families: tuple[Family, ...] = (4, 6)
    for family in families:
        of_family = [each for each in interface.addresses if family_of(each) == family]
        # a link-local address has no use for those who answer to it from elsewhere
        of_family.sort(key=lambda each: each.startswith(("fe80", "169.254")))
        if of_family and family in run.options.families:
            own[family] = of_family[0]
    return LanContext(run.network, run.recorder, interface, own, listen_s, glance)


def note_link(context: LanContext) -> list[str]:
    """Record what is looked at; the addresses of its routers."""
    gateways = [
        each.address
        for each in context.network.gateways()
        if each.interface == context.interface.name and each.address and each.family in context.own
    ]
    context.recorder.add(
        LanLink(
            probe="lan",
            interface=context.interface.name,
            type=context.interface.kind,
            mtu=context.interface.mtu,
            addresses=context.interface.addresses,
            gateways=tuple(gateways),
            glance=context.glance,
        )
    )
    return gateways


def found_on_lan(context: LanContext, asked: Container[str]) -> list[str]:
    """Who was heard of and not `asked` yet, and may be asked for an echo."""
    found: dict[str, None] = {}
    for seen in context.recorder.observations:
        if isinstance(seen, BeaconPeer):
            found[seen.address] = None
        elif isinstance(seen, MdnsTrial):
            found |= dict.fromkeys(seen.responders)
    near = (each for each in found if each not in asked and context.is_near(each))
    return list(islice(near, MOST_NEIGHBOURS))
