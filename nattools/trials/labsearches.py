"""The relays, libp2p peers and tailnets of a lab, as what a command looks for: imported with a command that
does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from nattools.engine.measureoptions import MeasureOptions
    from nattools.engine.peersearch import PeerSearch
    from nattools.engine.relaysearch import RelaySearch
    from nattools.engine.tailnetsearch import TailnetSearch
    from nattools.lab.backend import Lab


def with_searches(options: MeasureOptions, lab: Lab) -> MeasureOptions:
    """The options, with what the lab has of what this command looks for."""
    if options.command in ("diagnose", "relay"):
        return replace(options, relays=relays_of_lab(lab))
    if options.command == "libp2p":
        return replace(options, libp2p=_peers_of_lab(lab))
    if options.command == "tailscale":
        return replace(options, tailnets=_tailnets_of_lab(lab))
    return options


def relays_of_lab(lab: Lab) -> RelaySearch | None:
    """None: its scenario has none."""
    servers = lab.scenario.server.values()
    if all(spec.relay is None and spec.derp is None for spec in servers):
        return None
    from nattools.lab.labrelay import relays_of

    found = relays_of(lab.scenario, lab.layout)
    if found is None:
        return None
    from nattools.engine.relaysearch import RelaySearch, read_user

    user = read_user(found.user) if found.user else None
    return RelaySearch(turn=found.turn, derp=found.derp, pinned=found.pinned, user=user)


def _peers_of_lab(lab: Lab) -> PeerSearch | None:
    """A lab's libp2p peers. None: its scenario has none."""
    from nattools.engine.peersearch import PeerSearch
    from nattools.lab.labpeers import peers_of

    found = peers_of(lab.scenario, lab.layout)
    return PeerSearch(found) if found else None


def _tailnets_of_lab(lab: Lab) -> TailnetSearch:
    """One for each control server of its scenario, or one for the map alone; all have the same map."""
    from nattools.engine.tailnetsearch import TailnetAsk, TailnetSearch
    from nattools.lab.labtailnet import tailnet_of
    from nattools.model.controlurl import parse_control
    from nattools.protocols.overlays import parse_status

    found = tailnet_of(lab.scenario, lab.layout)
    asks = []
    for url, data in zip(found.controls, found.statuses, strict=True):
        control, status = parse_control(url), parse_status(data) if data else None
        name = (status.name if status is not None else "") or control.host
        asks.append(TailnetAsk(name=name, control=control, regions=found.map, status=status, source=url))
    if not asks and found.map is not None:
        asks = [TailnetAsk(name="lab", regions=found.map)]
    return TailnetSearch(tailnets=tuple(asks), pinned=found.pinned)
