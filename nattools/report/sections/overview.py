"""One line for each part of the network: UDP, TCP, IPv6, the router, latency and loss, the local network."""

from __future__ import annotations

from collections.abc import Iterator

from nattools.model.nat import Nat
from nattools.model.report import Report, Technique
from nattools.report.document import Cell, Mood
from nattools.report.safetext import safe, width
from nattools.report.sections.nat import FINDINGS
from nattools.wording import terms
from nattools.wording.sentences import joined

SLOW_MS = 150.0
"""A round trip of twice the one-way delay that ITU-T G.114 asks of a call would be 300 ms; players feel
half of that."""
LOSSY = 0.02
ALL_OUTSIDE = "all that takes an answer from outside"
_PORT_PROTOCOLS = ("upnp-igd", "nat-pmp", "pcp")
_FILTERINGS = {
    "endpoint-independent": "anybody gets in",
    "address-dependent": "addresses that you sent to get in",
    "address-and-port-dependent": "only peers you sent to get in",
    "unknown": "who gets in is not known",
}
_FIREWALLS = {
    "endpoint-independent": "no NAT, and nothing keeps packets out",
    "address-dependent": "no NAT; a firewall lets in addresses that you sent to",
    "address-and-port-dependent": "no NAT; a firewall lets in only peers you sent to",
    "unknown": "no NAT; whether a firewall filters is not known",
}
_ALLOCATIONS = {
    "preserving": " (predictable)",
    "sequential": " (predictable)",
    "random": " (random)",
    "unknown": "",
}
_NAMES = {
    "relay-turn": "relays",
    "relay-derp": "relays",
    "pwnat": "pwnat",
    "lan": "the local network",
}

Line = tuple[str, Cell]


def lines(report: Report, room: int) -> list[Line]:
    """Labels with what they say, each in `room` columns as far as it can be. What two lines say alike is said
    once."""
    udp, tcp = (_transport(nat, room) for nat in (report.nat.udp4, report.nat.tcp4))
    both = [("UDP and TCP", udp)] if udp == tcp else [("UDP", udp), ("TCP", tcp)]
    return [
        *both,
        ("IPv6", _ipv6(report, room)),
        ("Router", _router(report, room)),
        ("Latency", _latency(report, room)),
        ("Local", _local(report, room)),
    ]


def fitted(phrases: list[str], room: int) -> str:
    """The first phrase, and of the others as many as there is room for on the line."""
    text = ""
    for phrase in filter(None, phrases):
        longer = f"{text}; {phrase}" if text else phrase
        if text and width(longer) > room:
            continue
        text = longer
    return text


def _transport(nat: Nat | None, room: int) -> Cell:
    if nat is None:
        return Cell("not measured", "unsure")
    if nat.reachable is False:
        return Cell("blocked: nothing came back", "bad")
    kept = _kept_from(nat)
    mood: Mood = "unsure" if nat.present is None or kept else "plain"
    return Cell(fitted([kept, *_behaviour(nat)], room), mood)


def _kept_from(nat: Nat) -> str:
    """Of the ports that were tried, which get out and which do not; "" if all do."""
    if not nat.blocked_ports:
        return ""
    if not nat.open_ports:
        return f"does not get out to {_ports(nat.blocked_ports)}"
    return f"gets out to {_ports(nat.open_ports)}, not to {_ports(nat.blocked_ports)}"


def _ports(ports: tuple[int, ...]) -> str:
    return f"port{'s' if len(ports) > 1 else ''} {safe(', '.join(map(str, ports[:4])), 30)}"


def _behaviour(nat: Nat) -> list[str]:
    if nat.present is None:
        return ["gets out; whether there is a NAT is not known" if nat.reachable else "not known"]
    if nat.present is False:
        return [_FIREWALLS[nat.filtering]]
    if nat.mapping in ("none", "endpoint-independent"):
        return ["one external port for all peers", _FILTERINGS[nat.filtering], _lifetime(nat)]
    if nat.mapping == "unknown":
        return ["a NAT; how it gives ports is not known", _FILTERINGS[nat.filtering], _lifetime(nat)]
    how = " (from a block)" if nat.port_block else _ALLOCATIONS[nat.port_allocation]
    words = f"another port for each peer{how}"
    if nat.shows_addresses:
        words = "one port, at another address for each peer"
    if nat.filtering == "address-and-port-dependent":
        return [f"{words}, open to it alone", _lifetime(nat)]
    return [words, _FILTERINGS[nat.filtering], _lifetime(nat)]


def _lifetime(nat: Nat) -> str:
    if nat.binding_lifetime_s is None:
        return ""
    return f"unused it closes after {terms.seconds(nat.binding_lifetime_s)}"


def _ipv6(report: Report, room: int) -> Cell:
    """With the support code where there is IPv6, and the outside address where there is room."""
    phrases, mood = _ipv6_behaviour(report)
    found, nat = report.ipv6, report.nat.over_ipv6()
    if found is not None and found.capable and found.code:
        phrases.append(f"code {safe(found.code, 40)}")
    if nat is not None and nat.reachable is not False and nat.external:
        phrases.append(safe(nat.external[0], 60))
    return Cell(fitted(phrases, room), mood)


def _ipv6_behaviour(report: Report) -> tuple[list[str], Mood]:
    nat = report.nat.over_ipv6()
    verdict = next((one for one in report.techniques if one.id == "direct-ipv6"), None)
    if nat is None:
        return [_why_none(verdict)], "unsure"
    if nat.reachable is False:
        return ["blocked: nothing came back"], "unsure"
    if verdict is not None and verdict.verdict == "works":
        return ["everybody with IPv6 can connect"], "good"
    stopped = report.ipv6.dropped_at if report.ipv6 is not None else None
    behaviour = _behaviour(nat)[:2]
    if stopped in _STOPPED:
        # more than the behaviour says, which is that of its firewall
        behaviour = [*(behaviour[:1] if nat.present else ()), _STOPPED[stopped]]
    if report.nat.udp6 is not None and nat is not report.nat.udp6:
        return [f"TCP alone: {behaviour[0]}", *behaviour[1:]], "unsure"
    return behaviour, "plain"


_STOPPED = {
    "host": "this machine's own firewall lets nobody in",
    "router": "the router's firewall lets nobody in",
    "beyond": "a firewall beyond the router lets nobody in",
}


def _why_none(verdict: Technique | None) -> str:
    codes = {why.code for why in verdict.reason} if verdict is not None else set()
    if "no-address" in codes:
        return "none: this machine has no IPv6 address"
    if verdict is None or not verdict.summary or "direct-not-measured" in codes:
        return "not measured"
    return safe(verdict.summary, 120).partition(". ")[0].rstrip(".")


def _router(report: Report, room: int) -> Cell:
    way = next((each for each in report.host.ways if each.family == 4), None)
    there = way.interface if way is not None else report.host.measured_interface
    beside = [each for each in report.host.gateways if there in (None, each.interface) and each.address]
    of_ipv4 = [each.address for each in beside if each.family == 4]
    # where IPv4 is translated, or is not there, IPv6's is the router
    known = of_ipv4 or [each.address for each in beside]
    address = (way.gateway if way is not None else None) or next(iter(known), None)
    if address is None and not report.host.gateways:
        return Cell("none: there is no default route", "bad")
    where = safe(address, 60) if address else "no address of its own"
    return Cell(fitted([f"{where}{_standing(report)}", opening(report)], room))


def _standing(report: Report) -> str:
    nat = report.nat.over_ipv4()
    if nat is None or nat.present is None:
        return ""
    if not nat.present:
        return ", no NAT"
    if nat.cgnat:
        return " behind your provider's NAT (CGNAT)"
    if nat.double_nat:
        return " behind a second NAT"
    return ", the only NAT" if nat.double_nat is False else ", a NAT"


def opening(report: Report) -> str:
    """Whether the router opens ports when it is asked; "" where it has none to open."""
    found = [one for one in report.techniques if one.id in _PORT_PROTOCOLS and one.verdict != "skipped"]
    working = [terms.TECHNIQUES[one.id] for one in found if one.verdict == "works"]
    if working:
        return f"opens ports by {joined(working, 'and')}"
    unsure = [terms.TECHNIQUES[one.id] for one in found if one.verdict == "unknown"]
    if unsure:
        return f"opens ports by {joined(unsure, 'and')}, not verified"
    if any(one.dropped_at == "host" for one in report.mappings):
        return "opens ports, which this machine closes"
    nat = report.nat.over_ipv4()
    lets_all_in = nat is not None and nat.present is False and nat.filtering == "endpoint-independent"
    return "opens no ports" if found and not lets_all_in else ""


def _latency(report: Report, room: int) -> Cell:
    measured = [report.nat.udp4, report.nat.udp6, report.nat.tcp4, report.nat.tcp6]
    rtt_ms = next((nat.rtt_ms for nat in measured if nat is not None and nat.rtt_ms is not None), None)
    loss = next((nat.loss for nat in measured if nat is not None and nat.loss is not None), None)
    if rtt_ms is None:
        return Cell("not measured", "unsure")
    slow, lossy = rtt_ms > SLOW_MS, loss is not None and loss >= LOSSY
    there = f"{terms.milliseconds(rtt_ms)} there and back"
    lost = "" if loss is None else "no loss" if not loss else f"{terms.percent(loss)} of packets lost"
    if lossy:
        return Cell(fitted([f"{there}; {lost}: calls and games stutter"], room), "unsure")
    if slow:
        return Cell(fitted([f"{there}: slow for calls and fast games", lost], room), "unsure")
    return Cell(fitted([there, lost], room))


def _local(report: Report, room: int) -> Cell:
    host = report.host
    name = next((way.interface for way in host.ways if way.interface), None) or host.measured_interface
    interface = next((each for each in host.interfaces if each.name == name), None)
    if interface is None:
        up = [each for each in host.interfaces if each.up and each.kind != "loopback"]
        interface = up[0] if up else None
    if interface is None:
        return Cell("no network is connected", "bad")
    address = next((way.source for way in host.ways if way.interface == name), None)
    address = address or next(iter(interface.addresses), "no address")
    within = {"container": ", in a container", "wsl": ", in WSL", "cloud": ", in a cloud", None: ""}
    kind = "" if interface.kind == "unknown" else f" ({interface.kind})"
    here = f"{safe(address, 60)} on {safe(interface.name, 30)}{kind}{within[host.runs_in]}"
    trouble = _trouble(report)
    mood: Mood = "unsure" if trouble else "plain"
    return Cell(fitted([here, trouble, _outside(report, address), _beside(report)], room), mood)


def _trouble(report: Report) -> str:
    """What keeps machines on the same network from each other."""
    found = report.lan
    if found is None:
        return ""
    if found.isolated:
        return "machines are kept apart"
    return "no multicast passes" if found.multicast is False and found.unicast else ""


def _beside(report: Report) -> str:
    """How many other machines were seen there."""
    found = report.lan
    if found is None:
        return ""
    others = {each.name or each.address for each in found.neighbours if not each.gateway}
    if not others:
        return ""
    return "1 other machine seen" if len(others) == 1 else f"{len(others)} other machines seen"


def _outside(report: Report, own: str) -> str:
    measured = [nat for nat in (report.nat.udp4, report.nat.tcp4) if nat is not None and nat.external]
    seen = measured[0].external[0] if measured else own
    return "" if seen == own else f"from outside you are {safe(seen, 60)}"


def not_measured(report: Report) -> list[str]:
    """The names of what is not known, each once, the most telling first."""
    if report.ended is not None:
        return [ALL_OUTSIDE]
    return list(dict.fromkeys(_not_measured(report)))


def _not_measured(report: Report) -> Iterator[str]:
    for nat in (report.nat.udp4, report.nat.udp6):
        if nat is not None and nat.reachable is not False:
            moot = {"hairpinning"} if nat.present is False else set()
            yield from (FINDINGS[name] for name in nat.unknowns if name in FINDINGS and name not in moot)
    for one in report.techniques:
        if one.verdict == "unknown" or (one.verdict == "skipped" and not one.evidence):
            yield _NAMES.get(one.id) or terms.TECHNIQUES[one.id]
