"""From a report to a scenario. Pure. Only findings and observations are used, no names or addresses of the
original, so that a redacted report gives the same network."""

from __future__ import annotations

import math
from typing import Any

from nattools.lab.redraw.drawing import Drawing
from nattools.lab.redraw.expectations import expected
from nattools.lab.redraw.redrawnmappers import draw_standby
from nattools.lab.redraw.redrawnoverlays import draw_machines, draw_peers, draw_tailnets
from nattools.lab.redraw.redrawnrouters import HOST, RouterPlan, draw_uplink
from nattools.lab.redraw.redrawnservers import draw_servers, shortest_trips
from nattools.lab.redraw.uplinks import Uplink, uplinks_of
from nattools.model.mappingseen import MapOffer
from nattools.model.observation import Idle
from nattools.model.report import Report

_MOST_MBPS = 10_000
_LONGEST_QUEUE_MS = 60_000
_COMMANDS = ("ipv6", "lan", "libp2p", "tailscale")
"""Those that a scenario can be measured with, beside diagnose."""


def redrawn(report: Report) -> Drawing:
    """A scenario whose report is the same, with what it is to say as its expectations."""
    drawing = Drawing(
        f"Drawn from a report of {report.command}, {report.started}",
        "What the report leaves open has the ordinary value, and is marked.",
    )
    uplinks = uplinks_of(report)
    plans = [draw_uplink(drawing, report, uplink) for uplink in uplinks]
    if not uplinks:
        drawing.note("The machine had no way out: it is drawn behind an ordinary router.")
        drawing.table("nat", "home")
        plans = [RouterPlan("home")]
    drawing.table("host", HOST).update(_host(drawing, report, uplinks, plans))
    _draw_neighbour(drawing, report, uplinks, plans)
    draw_standby(drawing, report, HOST, plans[0].inner)
    servers = draw_servers(drawing, report)
    draw_machines(drawing, report, plans[0].inner)
    draw_peers(drawing, report, servers.at)
    draw_tailnets(drawing, report, servers.regions)
    _options(drawing, report, uplinks)
    expected(drawing, report, HOST)
    return drawing


def _host(drawing: Drawing, report: Report, uplinks: list[Uplink], plans: list[RouterPlan]) -> dict[str, Any]:
    host: dict[str, Any] = {}
    behind = [plan.inner for plan in plans if plan.inner is not None]
    if not behind:
        host.update(_on_the_internet(report))
    elif len(behind) == 1:
        host["behind"] = behind[0]
        if uplinks and uplinks[0].six and uplinks[0].routed == (4,):
            host["default_route"] = [f"{behind[0]}/4"]
    else:
        host["behind"] = behind
        host.update(_several_ways(drawing, report, uplinks, behind))
    tunnels = [
        plan.inner for uplink, plan in zip(uplinks, plans, strict=False) if uplink.tunnel and plan.inner
    ]
    if tunnels:
        host["vpn"] = tunnels
    host.update(_ended(drawing, report, behind))
    if any(each.dropped_at == "host" for each in report.mappings):
        host["firewall"] = "drop"
    if report.ipv6 is not None and report.ipv6.has("forbidden-here"):
        pairs = zip(uplinks, plans, strict=False)
        host["lets_out"] = [plan.inner for uplink, plan in pairs if plan.inner and 4 in uplink.measured]
    if report.host.runs_in is not None:
        host["runs_in"] = report.host.runs_in
    return host | _path_quality(drawing, report)


def _draw_neighbour(drawing: Drawing, report: Report, uplinks: list[Uplink], plans: list[RouterPlan]) -> None:
    """Another machine on its own network, where one was reached at a glance."""
    if report.command != "diagnose" or report.lan is None or not report.lan.unicast:
        return
    pairs = zip(uplinks, plans, strict=False) if uplinks else ((None, plan) for plan in plans)
    own = [plan.inner for uplink, plan in pairs if plan.inner and not (uplink and uplink.tunnel)]
    if own:
        drawing.table("host", "neighbour").update(behind=own[0], services=["_http._tcp"])


def _ended(drawing: Drawing, report: Report, behind: list[str]) -> dict[str, Any]:
    """Where nothing outside answered: what the machine lacks, or what drops all that is to leave."""
    step = None if report.ended is None else report.ended.step
    if step in ("link", "address"):
        return {"lacks": step}
    if step == "dns":
        return {"lacks": "names"}
    if step == "route":
        return {"default_route": False}
    if step == "firewall":
        return {"lets_out": []}
    if step == "answer" and behind:
        place = ("firewall" if ("firewall", behind[0]) in drawing else "nat", behind[0])
        drawing.table(*place).update(udp="blocked", open_ports=[])
    return {}


def _on_the_internet(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if report.nat.udp6 is not None or report.nat.tcp6 is not None:
        found["ipv6"] = True
        if report.nat.udp4 is None and report.nat.tcp4 is None:
            found["ipv4"] = False
    return found


def _several_ways(
    drawing: Drawing, report: Report, uplinks: list[Uplink], behind: list[str]
) -> dict[str, Any]:
    """What chooses among them, as far as the report shows it."""
    routed = [
        name if uplink.routed == (4, 6) or not uplink.six else f"{name}/{family}"
        for name, uplink in zip(behind, uplinks, strict=True)
        for family in uplink.routed
        if uplink.routed != (4, 6) or family == 4
    ]
    found: dict[str, Any] = {}
    whole = all(4 in uplink.routed for uplink in uplinks)
    if not whole:
        found["default_route"] = routed
    measured = uplinks[0]
    if measured.overrides is not None:
        found["routing"] = measured.overrides
    elif not whole:
        found["routing"] = "by-metric"
    if any(
        isinstance(seen, MapOffer) and seen.replies not in (None, seen.interface)
        for seen in report.observations
    ):
        found.setdefault("routing", "by-rule")
    if "routing" not in found:
        drawing.mark(("host", HOST), "behind", "what chooses among them is not told: the source address")
    return found


def _path_quality(drawing: Drawing, report: Report) -> dict[str, Any]:
    """Half of the shortest round trip, the loss of one direction, and what a relay was seen to carry."""
    found: dict[str, Any] = {}
    trips = shortest_trips(report)
    if trips and min(trips.values()) >= 1:
        found["delay_ms"] = round(min(trips.values()) / 2, 1)
    udp = report.nat.udp4 or report.nat.udp6
    if udp is not None and udp.loss and udp.loss < 1:
        found["loss"] = round(1 - (1 - min(udp.loss, 0.5)) ** 0.5, 4)
        drawing.note("Whether packets are lost in bursts is not measured: each is lost by itself.")
    return found | _rate(drawing, report)


def _rate(drawing: Drawing, report: Report) -> dict[str, Any]:
    """What a connection carried to a peer, or else the best relay, and how long packets then waited."""
    place = ("host", HOST)
    punched = report.connection.throughput if report.connection is not None else None
    if punched is not None and all(map(_is_drawable, (punched.down_mbps, punched.up_mbps))):
        found: dict[str, Any] = {"rate_mbps": round(punched.down_mbps, 2)}
        if found["rate_mbps"] != round(punched.up_mbps, 2):
            found["rate_up_mbps"] = round(punched.up_mbps, 2)
        drawing.mark(place, "rate_mbps", "what the connection carried: the link may carry more")
        waited_ms = (punched.loaded_rtt_ms or 0.0) - (punched.idle_rtt_ms or math.inf)
        if waited_ms >= 1:
            found["queue_ms"] = round(min(waited_ms, _LONGEST_QUEUE_MS), 1)
            drawing.mark(place, "queue_ms", "how much longer a round trip took meanwhile")
        return found
    carried = [one.throughput_mbps for one in report.relays if one.throughput_mbps]
    if carried and _is_drawable(max(carried)):
        drawing.mark(place, "rate_mbps", "what the best relay carried: the link may carry more")
        return {"rate_mbps": round(max(carried), 2)}
    drawing.note("How much the link carries is not measured: it has no bound, and no queue.")
    return {}


def _is_drawable(mbps: float) -> bool:
    return 0.01 <= mbps < _MOST_MBPS


def _options(drawing: Drawing, report: Report, uplinks: list[Uplink]) -> None:
    options: dict[str, Any] = {}
    if report.command in _COMMANDS:
        options["command"] = report.command
    idle = [seen.idle_s for seen in report.observations if isinstance(seen, Idle)]
    if idle:
        options["lifetime"] = True
        if max(idle) > 300:
            options["max_lifetime_s"] = float(round(max(idle)))
    families = sorted({way.family for way in report.host.ways})
    if len(families) == 1 and any(each.family not in families for each in report.host.gateways):
        options["families"] = families
    chosen = report.host.measured_interface
    first = next((each for each in uplinks if not families or families[0] in each.routed), None)
    if first is not None and first.interface.name != chosen and not any(each.overrides for each in uplinks):
        for number, uplink in enumerate(uplinks):
            if uplink.interface.name == chosen:
                options["interface"] = f"{'tun' if uplink.tunnel else 'eth'}{number}"
    if options:
        drawing.table("options").update(options)
