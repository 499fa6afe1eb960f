"""The way out, from this machine through all NATs, and who gets in by it: as pictures."""

from __future__ import annotations

from nattools.model.nat import Layer, Nat
from nattools.model.observation import Hop
from nattools.model.report import Report
from nattools.report.document import OutsidePeer, PathChart, PathNode, ReachChart, Section, View
from nattools.report.safetext import safe
from nattools.report.sections.overview import opening
from nattools.wording import terms

MOST_HOPS = 8
_NAMES = {"carrier-nat": "Provider's NAT", "nat": "NAT", "router": "Router"}


def path(report: Report, view: View) -> list[Section]:
    """The way out over IPv4: drawn if anything is known of it. Where nothing answered, as far as it is
    known, over IPv6 if nothing is known of IPv4."""
    if report.ended is not None:
        return [_section((_here(report), *_seen(report)))]
    nat = report.nat.over_ipv4()
    if nat is None or nat.present is None:
        return []
    outside = safe(nat.external[0], 60) if nat.external else "address not known"
    end = PathNode("Internet", f"you are {outside}" if nat.external else outside)
    hops = [_station(report, nat, each) for each in nat.layers[:MOST_HOPS] if each.role != "internet"]
    if nat.present and not any(layer.role in ("nat", "carrier-nat") for layer in nat.layers):
        hops.append(PathNode("NAT", "address not known", "unsure", _deeds(nat)))
    return [_section((_here(report), *hops, end))]


def _section(nodes: tuple[PathNode, ...]) -> Section:
    return Section("Path", (PathChart("The path to the internet", nodes),))


def _here(report: Report) -> PathNode:
    """By the address that packets leave with, else by the first that it has (reports of earlier versions)."""
    host = report.host
    leaving = [each.source for each in sorted(host.ways, key=lambda each: each.family)]
    up = [each for each in host.interfaces if each.up and each.kind != "loopback"]
    own = [one for each in up for one in each.addresses]
    address = next(iter([*leaving, *(one for one in own if "." in one), *own]), "?")
    return PathNode("This machine", safe(address, 60), "strong", (safe(host.os, 40),))


def _seen(report: Report) -> list[PathNode]:
    """The routers of one family that answered packets with a small TTL, and where it ends."""
    answered = [each for each in report.observations if isinstance(each, Hop) and each.address]
    family = min((each.family for each in answered), default=4)
    hops = {each.ttl: each for each in answered if each.family == family}
    nodes = [PathNode("Router", safe(hops[ttl].address or "", 60)) for ttl in sorted(hops)[:MOST_HOPS]]
    return [*nodes, PathNode("Internet", "did not answer", "unsure")]


def _station(report: Report, nat: Nat, layer: Layer) -> PathNode:
    name = _NAMES.get(layer.role, "Hop")
    if layer.address is None:
        return PathNode(name, "did not answer", "unsure")
    deeds = _deeds(nat) if layer.role in ("nat", "carrier-nat") else ("passes packets on",)
    if layer.role == "carrier-nat":
        deeds = ("shares one address among customers",)
    first = (opening(report),) if layer.hops == 1 and opening(report) else ()
    return PathNode(name, safe(layer.address, 60), "plain", (*deeds, *first))


def _deeds(nat: Nat) -> tuple[str, ...]:
    """What a NAT does, in short."""
    maps = "one port for all peers" if _same(nat) else "another port for each peer"
    return ("translates", maps) if nat.mapping != "unknown" else ("translates",)


def _same(nat: Nat) -> bool:
    return nat.mapping in ("none", "endpoint-independent")


def reach(report: Report, view: View) -> list[Section]:
    """Who gets in over UDP, or else over TCP, and which port each of them sees."""
    named = (("UDP", report.nat.udp4), ("UDP", report.nat.udp6), ("TCP", report.nat.tcp4))
    found = next(((name, nat) for name, nat in named if nat is not None and nat.reachable), None)
    if found is None:
        return []
    name, nat = found
    gate = "NAT" if nat.present else "Firewall" if nat.present is False else "What is between"
    if nat.present is False and nat.filtering == "endpoint-independent":
        gate = "Nothing between"
    chart = ReachChart(f"Who gets in over {name}", "This machine", gate, (*_reaching(nat), *_opened(report)))
    return [Section("Who gets in", (chart,))]


def _reaching(nat: Nat) -> tuple[OutsidePeer, ...]:
    by_port = None if nat.filtering == "unknown" else nat.filtering != "address-and-port-dependent"
    by_address = None if nat.filtering == "unknown" else nat.filtering == "endpoint-independent"
    port, host = _port_seen(nat)
    return (
        OutsidePeer("A peer that you sent to", "a port of yours", True),
        OutsidePeer("The same peer, from another port", port, by_port),
        OutsidePeer("Anybody else", host, by_address),
    )


def _port_seen(nat: Nat) -> tuple[str, str]:
    """Where another port of the same address sees this machine, and where another address does."""
    if nat.mapping == "unknown":
        return "a port that is not known", "a port that is not known"
    other = "another port"
    if nat.mapping == "address-and-port-dependent":
        return other, other
    return "the same port", other if nat.mapping == "address-dependent" else "the same port"


def _opened(report: Report) -> tuple[OutsidePeer, ...]:
    """The ports that the router opened, which all may use."""
    proven = [
        each for each in report.mappings if (each.verified_inbound or each.arrives_at) and each.external
    ][:2]
    return tuple(
        OutsidePeer(
            f"Anybody, by {terms.TECHNIQUES[each.protocol]} over {each.transport.upper()}",
            safe(each.external or "", 60),
            True,
        )
        for each in proven
    )
