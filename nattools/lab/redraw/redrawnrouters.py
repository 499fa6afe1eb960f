"""The routers between a machine and the internet, as its report shows them."""

from __future__ import annotations

from typing import Any

import msgspec

from nattools.lab.redraw.drawing import Drawing
from nattools.lab.redraw.redrawnerrors import draw_errors
from nattools.lab.redraw.redrawnmappers import draw_mapper
from nattools.lab.redraw.redrawnservers import ports_let_out
from nattools.lab.redraw.uplinks import Uplink
from nattools.model.errortrialseen import ErrorTrial
from nattools.model.nat import Nat
from nattools.model.observation import Nat64, Portal, Resolution
from nattools.model.observed import Observation
from nattools.model.report import Report
from nattools.net.addresses import is_public, is_squatted
from nattools.protocols.pwnat.beacon import TARGETS

Place = tuple[str, ...]
HOST = "here"
"""How the machine is called."""
_NOT_MEASURED = "not measured: the ordinary value"
_BLOCK = 512
_MOST_NATS = 16
_MOST_ADDRESSES = 8


class RouterPlan(msgspec.Struct, frozen=True):
    """`inner`: the name of the router that the machine is behind; None: it is on the internet itself."""

    inner: str | None


def draw_uplink(drawing: Drawing, report: Report, uplink: Uplink) -> RouterPlan:
    """All routers on one way out."""
    if not uplink.measured and uplink.interface.name != report.host.measured_interface:
        return _unmeasured(drawing, report, uplink)
    four, six = _main(report, uplink)
    if uplink.has_ipv4 and four is not None and (four.present is False or _own_is_public(uplink, four)):
        return _without_nat(drawing, uplink, four)
    if four is None and six is not None and _nat64(report) is None and not uplink.has_ipv4:
        return _ipv6_alone(drawing, six)
    return _with_nat(drawing, report, uplink, four, six)


def _own_is_public(uplink: Uplink, nat: Nat) -> bool:
    """Where nothing is known of a NAT: has the machine an address of the internet itself?"""
    return nat.present is None and any(
        ":" not in each and is_public(each) for each in uplink.interface.addresses
    )


def _main(report: Report, uplink: Uplink) -> tuple[Nat | None, Nat | None]:
    """What was measured through it over IPv4 and IPv6: over UDP where that gets out, else over TCP."""
    nat = report.nat
    four = nat.udp4 if nat.udp4 is not None and nat.udp4.reachable is not False else nat.tcp4 or nat.udp4
    six = nat.udp6 if nat.udp6 is not None and nat.udp6.reachable is not False else nat.tcp6 or nat.udp6
    measured = uplink.measured or (4, 6)
    return four if 4 in measured else None, six if 6 in measured else None


def _unmeasured(drawing: Drawing, report: Report, uplink: Uplink) -> RouterPlan:
    """A way out that nothing was asked through: an ordinary router."""
    name = drawing.name("other", "other")
    place = ("nat", name)
    table = drawing.table(*place)
    drawing.note(f"Nothing was measured through {name}: it is an ordinary router.")
    if uplink.six:
        table["ipv6"] = "dead" if _gets_no_answer(report, uplink) else "firewall"
    draw_mapper(drawing, report, uplink.interface.name, place, table)
    return RouterPlan(name)


def _gets_no_answer(report: Report, uplink: Uplink) -> bool:
    """Does nobody answer to what is sent from an IPv6 address there, though other addresses are answered?"""
    addresses = () if report.ipv6 is None else report.ipv6.addresses
    return any(each.answered is False and each.interface == uplink.interface.name for each in addresses)


def _without_nat(drawing: Drawing, uplink: Uplink, nat: Nat) -> RouterPlan:
    if nat.filtering == "endpoint-independent":
        return RouterPlan(None)
    name = drawing.name("firewall", "firewall")
    place = ("firewall", name)
    table = drawing.table(*place)
    _known(drawing, place, table, "filtering", nat.filtering, "address-and-port-dependent")
    if uplink.six:
        table["ipv6"] = "firewall"
    return RouterPlan(name)


def _ipv6_alone(drawing: Drawing, nat: Nat) -> RouterPlan:
    if nat.filtering == "endpoint-independent":
        return RouterPlan(None)
    name = drawing.name("firewall", "firewall")
    drawing.table("firewall", name)["ipv6"] = "firewall"
    return RouterPlan(name)


def _with_nat(
    drawing: Drawing, report: Report, uplink: Uplink, four: Nat | None, six: Nat | None
) -> RouterPlan:
    nat = four or Nat()
    names = _chain(drawing, nat, hidden=_is_no_hop(report, uplink, nat))
    outer = ("nat", names[-1])
    _behaviour(drawing, report, outer, nat)
    if four is report.nat.udp4:
        draw_errors(drawing, report, outer, nat)
    _addresses(drawing, report, uplink, names, nat)
    ipv6 = _ipv6(report, uplink, six)
    drawing.table("nat", names[0]).update(_forms(report))
    for number, name in enumerate(names):
        table = drawing.table("nat", name)
        if number + 1 < len(names):
            table["behind"] = names[number + 1]
            table["filtering"] = drawing.table(*outer)["filtering"]
        if ipv6 is not None:
            table["ipv6"] = ipv6
    if [layer.address is None for layer in nat.layers[:3]] == [False, True, False] and nat.cgnat is None:
        _silent_carrier(drawing, names[-1])
    inner = ("nat", names[0])
    draw_mapper(drawing, report, uplink.interface.name, inner, drawing.table(*inner))
    _special(drawing, report, inner)
    direct = next((each.verdict for each in report.techniques if each.id == "direct-ipv4"), "unknown")
    if direct == "works" and nat.present:
        for name in names:
            drawing.table("nat", name)["dmz"] = HOST
    return RouterPlan(names[0])


def _silent_carrier(drawing: Drawing, router: str) -> None:
    """A second hop that keeps silent may be a NAT that lets everybody in: then nobody knows."""
    name = drawing.name("isp", "nat")
    drawing.table("nat", name).update(filtering="endpoint-independent", answers_ttl=False)
    drawing.table("nat", router)["behind"] = name
    drawing.mark(("nat", name), "answers_ttl", "a hop that keeps silent: it may be no NAT")


def _ipv6(report: Report, uplink: Uplink, six: Nat | None) -> str | None:
    """What the routers do with IPv6; None: there is none."""
    told = report.ipv6
    if _gets_no_answer(report, uplink):
        return "dead"
    if told is not None and 6 in uplink.routed:
        problems = {each.code for each in told.problems}
        if told.translation in ("nat66", "nptv6"):
            return told.translation
        if problems & {"ula-only", "no-answer", "router-silent", "vpn-silent"}:
            return "ula" if "ula-only" in problems else "dead"
    if six is None and not uplink.six:
        return None
    if told is not None and told.inbound.udp in ("rejected", "prohibited"):
        return "rejecting" if told.inbound.udp == "rejected" else "prohibiting"
    return "open" if six is not None and six.filtering == "endpoint-independent" else "firewall"


def _forms(report: Report) -> dict[str, str]:
    """Packets of other forms that do not pass."""
    told = report.ipv6
    if told is None:
        return {}
    cut = (told.fragments.ipv4, told.fragments.ipv6)
    tried = {"fragments": cut, "extension_headers": (told.extension_headers,)}
    return {
        key: "dropped"
        for key, passages in tried.items()
        if any(each is not None and False in (each.outbound, each.inbound) for each in passages)
    }


def _is_no_hop(report: Report, uplink: Uplink, nat: Nat) -> bool:
    """Is the router next to the machine none of the hops? Then the first one that answers has an address of
    another network."""
    routers = [
        each.address
        for each in report.host.gateways
        if each.interface == uplink.interface.name and each.family == 4
    ]
    first = next(iter(nat.layers), None)
    known = first is not None and first.address is not None and first.role == "nat"
    return (
        known and first is not None and bool(routers) and first.address not in routers and None not in routers
    )


def _chain(drawing: Drawing, nat: Nat, *, hidden: bool) -> list[str]:
    """Names of the NATs, the nearest first. `hidden`: the first one is none of the hops."""
    translating = [layer for layer in nat.layers if layer.role in ("nat", "carrier-nat")]
    many = max(min(len(translating), _MOST_NATS), 2 if nat.double_nat else 1) + hidden
    if len(translating) > _MOST_NATS:
        drawing.note(f"Of {len(translating)} NATs on the way the nearest {_MOST_NATS} are drawn.")
    if nat.distance_hops is None and nat.double_nat is None and len(translating) < 2:
        drawing.note("Whether a second NAT stands behind the first is not known: there is one.")
    named = ["home", *(f"isp{'' if number == 0 else number + 1}" for number in range(many - 1))]
    if many == 1 and nat.cgnat:
        named = ["isp"]
    made = []
    for wanted in named:
        made.append(drawing.name(wanted, "nat"))
        drawing.table("nat", made[-1])
    if hidden:
        drawing.table("nat", made[0])["ttl"] = "kept"
    return made


def _behaviour(drawing: Drawing, report: Report, place: Place, nat: Nat) -> None:
    table = drawing.table(*place)
    mapping = None if nat.mapping in ("unknown", "none") else nat.mapping
    _known(drawing, place, table, "mapping", mapping, _likely_mapping(nat))
    filtering = None if nat.filtering == "unknown" else nat.filtering
    _known(drawing, place, table, "filtering", filtering, "address-and-port-dependent")
    _allocation(drawing, place, table, nat)
    if nat.hairpinning:
        table["hairpinning"] = True
    _lifetime(drawing, place, table, nat)
    if nat.refreshed_by_inbound is False:
        table["refreshed_by"] = "outbound"
    if len(nat.external) > 1:
        table["pool"] = min(len(nat.external), _MOST_ADDRESSES)
        table["pooling"] = nat.pooling if nat.pooling in ("arbitrary", "per-destination") else "arbitrary"
    _blocks(drawing, place, report, table)
    _hops(report, table, nat)


def _likely_mapping(nat: Nat) -> str:
    return "address-and-port-dependent" if nat.port_allocation == "random" else "endpoint-independent"


def _known(
    drawing: Drawing, place: Place, table: dict[str, Any], key: str, value: str | None, ordinary: str
) -> None:
    """What was measured, or the ordinary value with a mark."""
    table[key] = ordinary if value in (None, "unknown") else value
    if value in (None, "unknown"):
        drawing.mark(place, key, _NOT_MEASURED)


def _allocation(drawing: Drawing, place: Place, table: dict[str, Any], nat: Nat) -> None:
    if nat.port_allocation == "unknown":
        symmetric = str(table["mapping"]).startswith("address")
        table["allocation"] = "random" if symmetric else "preserving"
        drawing.mark(place, "allocation", _NOT_MEASURED)
        return
    table["allocation"] = nat.port_allocation
    if nat.port_allocation == "sequential" and nat.port_step not in (None, 0, 1):
        table["step"] = nat.port_step
    if nat.port_mask is not None:
        table["port_set"] = list(nat.port_mask)
        table["range"] = [4096, 65535]
    elif nat.port_block and nat.port_allocation == "random":
        table["allocation"] = "block"
        table["block"] = _block_size(nat)


def _block_size(nat: Nat) -> int:
    """The power of two that the ports seen would fit into."""
    if nat.port_range is None:
        return _BLOCK
    size = 64
    while size < nat.port_range[1] - nat.port_range[0] + 1 and size < 4096:
        size *= 2
    return size


def _lifetime(drawing: Drawing, place: Place, table: dict[str, Any], nat: Nat) -> None:
    low, high = nat.binding_lifetime_bounds_s or (None, None)
    if nat.binding_lifetime_s is not None:
        table["lifetime_s"] = float(nat.binding_lifetime_s)
    elif low is not None:
        table["lifetime_s"] = round((low + high) / 2, 1) if high is not None else float(max(low * 2, 180.0))
    elif high is not None:
        table["lifetime_s"] = float(high) / 2
    else:
        table["lifetime_s"] = 180.0
        drawing.mark(place, "lifetime_s", _NOT_MEASURED)


def _blocks(drawing: Drawing, place: Place, report: Report, table: dict[str, Any]) -> None:
    """What does not get out."""
    udp, tcp = report.nat.udp4, report.nat.tcp4
    silent = udp is not None and udp.reachable is False and (tcp is None or tcp.reachable is not False)
    if silent and not any(isinstance(seen, Portal) for seen in report.observations):
        table["udp"] = "blocked"
    lanes = [(lane, name) for lane, name in ((udp, "udp"), (tcp, "tcp")) if lane is not None]
    if any(lane.blocked_ports and lane.open_ports for lane, _ in lanes):
        table["open_ports"] = [f"{name}/{port}" for lane, name in lanes for port in lane.open_ports]
        drawing.mark(place, "open_ports", "those that were tried: others may get out too")
    elif ports := ports_let_out(report):
        table["open_ports"] = list(ports)
        drawing.mark(place, "open_ports", "or the server that did not answer is down")
    if "open_ports" in table and any(_is_heard_about(seen) for seen in report.observations):
        table["open_ports"] = sorted({*table["open_ports"], f"udp/{TARGETS[0].port}"})


def _is_heard_about(seen: Observation) -> bool:
    """Has an error about a beacon of pwnat got in? Then the beacon has got out."""
    return isinstance(seen, ErrorTrial) and (seen.direction, seen.quotes, seen.outcome) == (
        "in",
        "beacon",
        "arrived",
    )


def _hops(report: Report, table: dict[str, Any], nat: Nat) -> None:
    """What the hops show of TTLs: a NAT that is none, hides those behind it, or is silent."""
    roles = [layer.role for layer in nat.layers]
    if roles == ["internet"]:
        table["ttl"] = "kept"
    elif nat.distance_hops is None and roles == ["router"] and nat.present:
        table["ttl"] = "reset"
    elif nat.layers and nat.layers[0].address is None:
        table["answers_ttl"] = False


def _addresses(drawing: Drawing, report: Report, uplink: Uplink, names: list[str], nat: Nat) -> None:
    """The networks that mean something: a carrier's, a container's, 464XLAT's."""
    own = next((address for address in uplink.interface.addresses if ":" not in address), "")
    if uplink.translates_to_ipv6:
        drawing.table("nat", names[0])["address"] = "192.0.0.0/29"
    elif own.startswith("172."):
        second = own.split(".")[1]
        drawing.table("nat", names[0])["address"] = f"172.{second}.0.0/16"
    elif report.host.runs_in == "container" and own.startswith(("10.88.", "10.0.2.")):
        drawing.table("nat", names[0])["address"] = f"{own.rpartition('.')[0]}.0/24"
    elif own.startswith("100."):
        drawing.table("nat", names[0])["address"] = "100.64.0.0/10"
    translating = [layer.address for layer in nat.layers if layer.role in ("nat", "carrier-nat")]
    inside = next((each for each in reversed(translating) if each is not None and is_squatted(each)), None)
    if inside is not None and len(names) > 1:
        drawing.table("nat", names[-1])["address"] = f"{'.'.join(inside.split('.')[:2])}.0.0/16"
    elif nat.cgnat and not own.startswith("100."):
        drawing.table("nat", names[-1])["address"] = "100.64.0.0/10"


def _special(drawing: Drawing, report: Report, inner: Place) -> None:
    table = drawing.table(*inner)
    prefixes = _nat64(report)
    if prefixes is not None:
        table["nat64"] = prefixes
        table.setdefault("ipv6", "firewall")
        table.pop("mapper", None)
    portal = next((seen for seen in report.observations if isinstance(seen, Portal)), None)
    if portal is not None:
        named = [seen for seen in report.observations if isinstance(seen, Resolution) and seen.addresses]
        lies = any(not is_public(address) for seen in named for address in seen.addresses)
        table["portal"] = "tcp" if portal.udp_passes else "names" if lies else "connections"
        table.pop("mapper", None)
        table.pop("ipv6", None)


def _nat64(report: Report) -> dict[str, Any] | None:
    """None: there is none, or the machine has IPv4 beside it."""
    if report.nat.udp4 is not None and any(way.family == 4 and way.gateway for way in report.host.ways):
        return None
    seen = [each for each in report.observations if isinstance(each, Nat64)]
    if not seen:
        return None
    used = next((each for each in seen if each.used), None)
    told = next((each for each in seen if each.dns64 or each.learnt == "dns"), None)
    found: dict[str, Any] = {}
    prefix = used.prefix if used is not None else "2a10:64::/96"
    if prefix != "64:ff9b::/96":
        found["prefix"] = prefix
    if told is None:
        found["dns64"] = False
    elif told.prefix != prefix:
        found["says"] = told.prefix
    if any(each.learnt == "router" for each in seen):
        found["advertised"] = True
    return found
