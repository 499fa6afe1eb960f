"""The servers that a report tells of, as a scenario has them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from nattools.lab.redraw.drawing import Drawing
from nattools.model.observation import Binding, Connection
from nattools.model.relay import Relay
from nattools.model.report import Report, Server

_USER = {"user": "password"}
_OVERLOADED = "server-overloaded"
_OUTVOTED = "external-address-outvoted"
_LIARS = {
    "server-origin-differs": "fake-other",
    "server-same-address": "fake-other",
    "server-no-change": "drops-change",
    "server-names-itself": "fake-other",
}
"""What is wrong with a server, as a kind of server."""


class DrawnServers(NamedTuple):
    """Where the servers stand: by their endpoints, and DERP servers by the code of their region."""

    at: dict[str, tuple[str, str]]
    regions: dict[str, tuple[str, str]]


def draw_servers(drawing: Drawing, report: Report) -> DrawnServers:
    """Each once, by its URI; and the relays that are none of them."""
    by_uri: dict[str, list[Server]] = {}
    for server in report.servers:
        by_uri.setdefault(server.uri, []).append(server)
    places: dict[str, tuple[str, str]] = {}
    for uri, found in by_uri.items():
        host, port = _host_and_port(uri, 3478)
        place = ("server", drawing.name(host, "server"))
        places[host] = place
        drawing.table(*place).update(_server(drawing, report, found, port, place))
    regions = {}
    for relay in report.relays:
        place = _relay(drawing, relay, places)
        if relay.kind == "derp" and relay.region:
            regions[relay.region] = place
    if not by_uri and not report.relays:
        drawing.note("The report names no server: there is one nattools serve.")
    if not by_uri and report.relays and all(relay.kind == "derp" for relay in report.relays):
        drawing.note("The report names no server but DERP's: there is one nattools serve beside them.")
        drawing.table("server", drawing.name("stun", "server"))
    at = {each.address: places[_host_and_port(each.uri, 3478)[0]] for each in report.servers if each.address}
    return DrawnServers(at, regions)


def _host_and_port(uri: str, default: int) -> tuple[str, int]:
    """Host and port of a `stun:`, `turn:` or `derp:` URI."""
    rest = uri.partition("?")[0]
    for scheme in ("stuns:", "stun:", "turns:", "turn:", "derp:"):
        rest = rest.removeprefix(scheme)
    rest = rest.strip("/")
    if rest.startswith("["):
        host, _, port = rest[1:].partition("]")
        port = port.removeprefix(":")
    elif rest.count(":") > 1:
        host, port = rest, ""
    else:
        host, _, port = rest.partition(":")
    number = _number(port)
    return host, number if 0 < number < 65535 else default


def _number(text: str) -> int:
    """The number of a port; 0: it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0


def _server(
    drawing: Drawing, report: Report, found: list[Server], port: int, place: tuple[str, ...]
) -> dict[str, Any]:
    table: dict[str, Any] = {}
    if port != 3478:
        table["port"] = port
    heard = [seen for seen in report.observations if isinstance(seen, Binding) and _is_at(seen, found)]
    kind = "rfc3489" if _is_old(heard, found) else _kind(report, found)
    if kind != "nattools":
        table["kind"] = kind
    if kind == "nattools":
        answered = [each for each in found if each.answered]
        if answered and not any(each.rfc5780 for each in answered):
            table["addresses"] = 1
        if not answered:
            drawing.note(f"The server {place[1]} did not answer: it is drawn as an ordinary one.")
    if all(":" not in (each.address or "").rpartition(":")[0] for each in found):
        table["ipv6"] = False
    over = {seen.transport for seen in heard if seen.received}
    if over == {"udp"} and any(seen.transport == "tcp" for seen in heard):
        table["tcp"] = False
    table.update(_says(heard, found))
    trips = shortest_trips(report)
    own = [trips[host] for host in {_host_of(seen.asked) for seen in heard} if host in trips]
    if own and min(own) - min(trips.values()) >= 1:
        table["delay_ms"] = round((min(own) - min(trips.values())) / 2, 1)
    lost = [each.values["lost"] for one in found for each in one.problems if each.code == _OVERLOADED]
    if lost and isinstance(lost[0], float) and 0 < lost[0] < 1:
        table["loss"] = round(1 - (1 - lost[0]) ** 0.5, 4)
    errors = [seen.error_code for seen in heard if seen.error_code and not seen.change_address]
    if kind == "refuses" and errors:
        table["error"] = errors[0]
    return table


def _is_old(heard: list[Binding], found: list[Server]) -> bool:
    """Does it answer nothing but what RFC 3489 wrote? Then it names no XOR-MAPPED-ADDRESS."""
    answered = [seen for seen in heard if seen.mapped is not None]
    plain = all(seen.unmasked == seen.mapped and seen.transport == "udp" for seen in answered)
    return bool(answered) and plain and any(each.rfc5780 for each in found)


def _says(heard: list[Binding], found: list[Server]) -> dict[str, Any]:
    """What it says of its clients where that cannot be true, and what a gateway makes of it."""
    if not any(problem.code == "server-impossible-address" for each in found for problem in each.problems):
        rewritten = next((seen.unmasked for seen in heard if seen.unmasked not in (None, seen.mapped)), None)
        return (
            {"rewritten": "10.0.1.2" if rewritten.startswith("10.") else _host_of(rewritten)}
            if rewritten
            else {}
        )
    said = next((seen.mapped for seen in heard if seen.mapped is not None), None)
    if said is None:
        return {}
    host = _host_of(said)
    if any(seen.local is not None and host == _host_of(seen.local) for seen in heard):
        return {"kind": "rfc3489", "rewritten": "10.0.1.2"}
    if any(seen.mapped == seen.asked for seen in heard):
        return {"says": "own"}
    return {"says": "mapped" if host.startswith("::ffff:") else host}


def _is_at(seen: Binding, found: list[Server]) -> bool:
    asked = _host_of(seen.asked)
    return any(each.address is not None and asked in (each.address, _host_of(each.address)) for each in found)


def ports_let_out(report: Report) -> tuple[str, ...]:
    """The ports that the network lets out, where a server at another port is mute over UDP and TCP alike,
    while others answer: as "udp/443". Empty: it does not look so."""
    mute = {each.address for each in report.servers if not each.answered and each.address}
    answered = {each.address for each in report.servers if each.answered and each.address}
    met = [seen for seen in report.observations if isinstance(seen, Connection)]
    met_at = {seen.remote for seen in met if seen.outcome in ("answered", "refused")}
    ports = {_port_of(each) for each in answered}
    if not (mute and answered and met_at) or mute & met_at or {_port_of(each) for each in mute} & ports:
        return ()
    udp = {
        _port_of(seen.asked)
        for seen in report.observations
        if isinstance(seen, Binding) and seen.transport == "udp" and seen.received
    }
    tcp = {_port_of(each) for each in met_at}
    return (*(f"tcp/{port}" for port in sorted(tcp)), *(f"udp/{port}" for port in sorted(udp)))


def _port_of(endpoint: str) -> int:
    return _number(endpoint.rpartition(":")[2])


def _host_of(endpoint: str) -> str:
    """Without the port, and without brackets."""
    return endpoint.rpartition(":")[0].strip("[]")


def shortest_trips(report: Report) -> dict[str, float]:
    """By the address of a server: the shortest round trip to it in milliseconds; over TCP a connection alone
    takes one."""
    found: dict[str, float] = {}
    for seen in report.observations:
        if isinstance(seen, Binding) and seen.rtt_s is not None and seen.transport == "udp":
            host = _host_of(seen.asked)
            found[host] = min(found.get(host, math.inf), seen.rtt_s * 1000)
    return found


def _kind(report: Report, found: list[Server]) -> str:
    codes = {problem.code for each in found for problem in each.problems}
    accused = [notice.values.get("server") for notice in report.notices if notice.code == _OUTVOTED]
    if any(each.address in accused for each in found):
        return "wrong-address"
    for code, kind in _LIARS.items():
        if code in codes:
            return kind
    if not any(each.answered for each in found):
        if "server-refused" in codes:
            return "refuses"
        return "silent" if _others_answer(report) and not ports_let_out(report) else "nattools"
    if any(each.nattools for each in found):
        return "nattools"
    return "rfc5780" if any(each.rfc5780 for each in found) else "plain"


def _others_answer(report: Report) -> bool:
    """Where nothing at all answers it is the network that is silent."""
    return any(each.answered for each in report.servers)


def _relay(drawing: Drawing, relay: Relay, places: dict[str, tuple[str, str]]) -> tuple[str, str]:
    host, port = _host_and_port(relay.uri, 443 if relay.kind == "derp" else 3478)
    place = places.get(host)
    if place is None:
        place = ("server", drawing.name(host, "relay"))
        places[host] = place
        table = drawing.table(*place)
        if relay.kind == "turn" and port != 3478:
            table["port"] = port
    table = drawing.table(*place)
    kind = "derp" if relay.kind == "derp" else "relay"
    spec = table.setdefault(kind, {} if kind == "derp" else {"users": _USER})
    if kind == "derp":
        if port != 443:
            spec["port"] = port
        _derp_fault(spec, relay)
        return place
    if relay.transport == "tls":
        spec["tls"] = True
    fault = _turn_fault(relay)
    if fault is not None:
        spec["fault"] = fault
    if relay.error is not None and relay.error.name == "credentials expired":
        drawing.table("options")["turn_user"] = "1700000000:user:c2VjcmV0"
        spec.pop("users", None)
        spec["secret"] = "secret"
    return place


def _turn_fault(relay: Relay) -> str | None:
    names = {
        "relays nothing": "drops",
        "private address": "private-address",
        "not reached from outside": "not-reached",
        "wrong address": "other-address",
    }
    return None if relay.error is None else names.get(relay.error.name)


def _derp_fault(spec: dict[str, Any], relay: Relay) -> None:
    if relay.error is None:
        return
    if relay.error.name == "verifies clients":
        spec["verifies"] = True
    elif relay.error.name == "captive portal":
        spec["fault"] = "portal"
        spec["stun"] = relay.direct_rtt_ms is not None
    elif relay.error.name == "relays nothing":
        spec["fault"] = "drops"
