"""Who else there is, as a report of `lan`, `libp2p` or `tailscale` tells of it: machines on the same network,
libp2p peers, control servers and DERP regions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from nattools.lab.redraw.drawing import Drawing
from nattools.lab.redraw.redrawnservers import shortest_trips
from nattools.model.lan import LanNeighbour
from nattools.model.libp2p import Libp2p, Libp2pPeer
from nattools.model.report import Report
from nattools.model.tailscale import DerpRegionRow, Tailnet

Place = tuple[str, str]
_MOST_MACHINES = 8
_MOST_PEERS = 16
_MOST_REGIONS = 40
_CONTROL_FAULTS = {
    "ts-control-silent": "silent",
    "ts-control-certificate-by": "inspected",
    "ts-upgrade-lost": "proxied",
    "ts-control-other": "another",
}


def draw_machines(drawing: Drawing, report: Report, inner: str | None) -> None:
    """The machines on the same network, behind the router `inner`, and what passes between them."""
    found = report.lan
    if found is None:
        return
    others = [each for each in found.neighbours if not each.gateway]
    if ("nat", inner or "") not in drawing:
        if others:
            drawing.note("The machines on the same network are not drawn: there is no router of its own.")
        return
    assert inner is not None
    lan: dict[str, Any] = {"isolated": True} if found.isolated else {}
    if found.multicast is False and found.unicast:
        lan["multicast"] = "dropped"
    if lan:
        drawing.table("nat", inner)["lan"] = lan
    if any(each.elsewhere for each in others):
        drawing.note("Machines of other networks that a reflector shows are not drawn.")
    machines = _machines([each for each in others if not each.elsewhere])
    if found.isolated and not machines:
        machines = [(LanNeighbour(address=""),)]
        drawing.table("options")["peers"] = [_first_beside(drawing, inner)]
        drawing.note("The machine that was named and not reached is drawn as one that announces nothing.")
    if len(machines) > _MOST_MACHINES:
        drawing.note(f"Of {len(machines)} machines on the same network {_MOST_MACHINES} are drawn.")
    for machine in machines[:_MOST_MACHINES]:
        _draw_machine(drawing, inner, machine)


def _machines(seen: list[LanNeighbour]) -> list[tuple[LanNeighbour, ...]]:
    """Those that are one machine: by their name, or where they have none, the nth address of each family."""
    named: dict[tuple[str, bool, int], list[LanNeighbour]] = {}
    counts: dict[tuple[bool, bool], int] = {}
    for each in seen:
        number = 0
        if not each.name:
            kind = (each.nattools, ":" in each.address)
            number = counts[kind] = counts.get(kind, 0) + 1
        named.setdefault((each.name, each.nattools and not each.name, number), []).append(each)
    return [tuple(each) for each in named.values()]


def _draw_machine(drawing: Drawing, inner: str, machine: tuple[LanNeighbour, ...]) -> None:
    name = drawing.name("other", "other")
    table = drawing.table("host", name)
    table["behind"] = inner
    services = dict.fromkeys(service for each in machine for service in each.services)
    if services:
        table["services"] = list(services)[:8]
    if any(each.nattools for each in machine):
        table["nattools_lan"] = True


def _first_beside(drawing: Drawing, inner: str) -> str:
    """The address that a second host behind that router gets, which has the ordinary network."""
    number = drawing.names("nat").index(inner) + 1
    network = str(drawing.table("nat", inner).get("address", f"10.0.{number}.0/24"))
    return f"{network.partition('/')[0].rpartition('.')[0]}.3"


def draw_peers(drawing: Drawing, report: Report, at: Mapping[str, Place]) -> None:
    """The libp2p peers that said who they are; `at`: the servers that are drawn, by their endpoints."""
    found = report.libp2p
    if found is None:
        return
    drawn: set[str] = set()
    for peer in found.peers[:_MOST_PEERS]:
        if not peer.identified:
            drawing.note("A libp2p peer that could not be asked is not drawn.")
        elif (peer.peer or peer.address) not in drawn:
            drawn.add(peer.peer or peer.address)
            _draw_peer(drawing, found, peer, at)
    if len(found.peers) > _MOST_PEERS:
        drawing.note(f"Of {len(found.peers)} libp2p peers {_MOST_PEERS} are drawn.")
    if found.names is not None:
        drawing.note("That peers were found by a name (TXT records) is not drawn.")
    if found.upgrades:
        drawing.note("Peers that were met through a relay, and how that became direct, are not drawn.")


def _draw_peer(drawing: Drawing, found: Libp2p, peer: Libp2pPeer, at: Mapping[str, Place]) -> None:
    endpoint = _endpoint_of(peer.address)
    place = at.get(endpoint) or ("server", drawing.name("peer", "peer"))
    table = drawing.table(*place)
    if place not in at.values():
        port = endpoint.rpartition(":")[2]
        if port.isdigit() and 0 < int(port) < 65535 and port != "3478":
            table["port"] = int(port)
        drawing.mark(place, "libp2p", "whether it is a STUN server too is not told: it is")
    spec: dict[str, Any] = {}
    if peer.relay is False:
        spec["relay"] = False
    elif any(each.reserved is False for each in found.relays if _endpoint_of(each.address) == endpoint):
        spec["places"] = 0
    table.setdefault("libp2p", spec)
    if not peer.autonat:
        drawing.note(f"That {place[1]} offers no AutoNAT is not drawn.")


def _endpoint_of(multiaddr: str) -> str:
    """`/ip4/192.0.2.1/tcp/4001/...` as `192.0.2.1:4001`; "" for what is none."""
    parts = multiaddr.split("/")
    if len(parts) < 5 or parts[1] not in ("ip4", "ip6"):
        return ""
    return f"[{parts[2]}]:{parts[4]}" if parts[1] == "ip6" else f"{parts[2]}:{parts[4]}"


def draw_tailnets(drawing: Drawing, report: Report, relays: Mapping[str, Place]) -> None:
    """Control servers, and the DERP regions that are not drawn yet; `relays`: those that are, by the codes of
    their regions."""
    found = report.tailscale
    if found is None:
        return
    regions: dict[str, DerpRegionRow] = {}
    for tailnet in found.tailnets:
        _draw_control(drawing, tailnet)
        regions |= {each.code: each for each in tailnet.regions if each.code not in regions}
        if tailnet.peers:
            drawing.note(
                "The peers of a tailnet are not drawn: a status that its client prints tells of them."
            )
    portal = any(notice.code == "ts-control-portal" for each in found.tailnets for notice in each.reason)
    trips = [*shortest_trips(report).values()]
    trips += [each.rtt_ms for each in regions.values() if each.rtt_ms is not None]
    for each in list(regions.values())[:_MOST_REGIONS]:
        place = relays.get(each.code) or ("server", drawing.name(each.code, "derp"))
        table = drawing.table(*place)
        spec = table.setdefault("derp", {})
        if each.rtt_ms is not None and each.rtt_ms - min(trips) >= 1:
            table["delay_ms"] = round((each.rtt_ms - min(trips)) / 2, 1)
        if each.rtt_ms is None and not portal and place not in relays.values():
            spec["fault"], spec["stun"] = "silent", False
    if len(regions) > _MOST_REGIONS:
        drawing.note(f"Of {len(regions)} DERP regions {_MOST_REGIONS} are drawn.")
    if found.conflicts or found.address_overlaps:
        drawing.note("Where tailnets on this machine stand in each other's way is not drawn.")


def _draw_control(drawing: Drawing, tailnet: Tailnet) -> None:
    if tailnet.control is None:
        return
    try:
        url = urlsplit(tailnet.control)
        host, port, tls = url.hostname or "", url.port, url.scheme != "http"
    except ValueError:
        return
    place = ("server", drawing.name(host, "control"))
    spec: dict[str, Any] = {}
    if port is not None and 0 < port != 443:
        spec["port"] = port
    if not tls:
        spec |= {"tls": False, "port": port or 80}
    codes = {each.code for each in tailnet.reason}
    fault = next((fault for code, fault in _CONTROL_FAULTS.items() if code in codes), None)
    if fault is not None:
        spec["fault"] = fault
    elif tailnet.reachable is False and "ts-control-portal" not in codes:
        spec["fault"] = "another"
        drawing.mark(
            place,
            "control",
            f"it did not answer as it should, for a reason of its own: {min(codes, default='')}",
        )
    drawing.table(*place).update(addresses=1, control=spec)
