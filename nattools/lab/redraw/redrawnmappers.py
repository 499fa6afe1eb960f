"""What the routers of a report offer to those who want port mappings, and how they err."""

from __future__ import annotations

from typing import Any

from nattools.lab.redraw.drawing import Drawing
from nattools.model.mappingseen import MapOffer
from nattools.model.report import Report

_OUTSIDE = "11.1.0.2"
"""The outside address of the only way out of a drawing."""


def draw_mapper(
    drawing: Drawing, report: Report, interface: str, place: tuple[str, ...], table: dict[str, Any]
) -> None:
    """Of the router at `place`, to which that interface leads; nothing where it offers nothing."""
    offers = [
        seen
        for seen in report.observations
        if isinstance(seen, MapOffer) and seen.interface == interface and not _stands_by(report, seen)
    ]
    spoken = [protocol for protocol in ("upnp-igd", "nat-pmp", "pcp") if _offered(offers, protocol)]
    if not spoken:
        return
    if spoken[-1] == "pcp" and not any(seen.protocol == "nat-pmp" for seen in offers):
        spoken.insert(-1, "nat-pmp")
        drawing.note(f"Whether {place[1]} speaks NAT-PMP was not asked: it does, as most that speak PCP do.")
    mapper: dict[str, Any] = {}
    if len(spoken) < 3:
        mapper["protocols"] = spoken
    if any("IGD:1" in seen.version for seen in offers):
        mapper["igd"] = 1
    faults = _faults(report, offers)
    if ("nat-pmp" in spoken) != ("pcp" in spoken):  # miniupnpd speaks both or neither: not that router, then
        faults["announces"] = False
    if faults:
        mapper["faults"] = faults
    table["mapper"] = mapper
    drawing.mark(place, "mapper", "its limits are not known: the ordinary ones")


def draw_standby(drawing: Drawing, report: Report, host: str, behind: str | None) -> None:
    """The router on the same link that a default route leads to and packets do not take, if it offers port
    mappings: another machine `behind` the host's router."""
    offers = [seen for seen in report.observations if isinstance(seen, MapOffer) and _stands_by(report, seen)]
    spoken = [protocol for protocol in ("upnp-igd", "nat-pmp", "pcp") if _offered(offers, protocol)]
    if not spoken or behind is None:
        return
    name = drawing.name("spare", "spare")
    mapper: dict[str, Any] = {"protocols": spoken}
    if any("IGD:1" in seen.version for seen in offers):
        mapper["igd"] = 1
    drawing.table("host", name).update(behind=behind, mapper=mapper)
    drawing.table("host", host)["standby"] = name


def _stands_by(report: Report, seen: MapOffer) -> bool:
    """Does a default route lead to who offered it, that is not the one that packets take?"""
    where = seen.server.rpartition("://")[2].partition("/")[0].rpartition(":")[0].strip("[]")
    return seen.other and any(each.address == where for each in report.host.gateways)


def _offered(offers: list[MapOffer], protocol: str) -> bool:
    return any(seen.protocol == protocol and seen.outcome == "answered" for seen in offers)


def _faults(report: Report, offers: list[MapOffer]) -> dict[str, Any]:
    """It calls another router's address its own, or forwards to the port of the outside one's number."""
    faults: dict[str, Any] = {}
    nat = report.nat.udp4
    claimed = {seen.external for seen in offers if seen.external is not None}
    if nat is not None and (nat.double_nat or nat.cgnat) and claimed & set(nat.external):
        faults["external"] = _OUTSIDE
    elsewhere = [each for each in report.mappings if each.arrives_at not in (None, each.internal)]
    if elsewhere and all(_port(each.arrives_at) == _port(each.external) for each in elsewhere):
        faults["to_own_number"] = True
    return faults


def _port(endpoint: str | None) -> str:
    return (endpoint or "").rpartition(":")[2]
