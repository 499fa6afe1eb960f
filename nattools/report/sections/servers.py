"""The servers that were asked, and the machine that asked them."""

from __future__ import annotations

from nattools.model.observation import Binding
from nattools.model.report import Report, Server
from nattools.report.document import Bar, BarChart, Cell, Detail, Mood, Section, Table, View
from nattools.report.safetext import safe
from nattools.wording import terms

MOST_SERVERS = 20


def servers(report: Report, view: View) -> list[Section]:
    """Those that were asked. Without detail only if one did not answer: what else is odd is a warning."""
    if not report.servers or (not view.detail and all(server.answered for server in report.servers)):
        return []
    rows = tuple(_server(server, view.detail) for server in report.servers)
    return [Section("Servers", (Table(("server", "address", "what it can do"), rows, (2, 2, 3)),))]


def _server(server: Server, detail: Detail) -> tuple[Cell, ...]:
    kind = "nattools serve" if server.nattools else "STUN"
    behaviour = {True: ", RFC 5780", False: ", no RFC 5780", None: ""}[server.rfc5780]
    words = f"{kind}{behaviour}" if server.answered else "did not answer"
    if server.problem not in ("", "no answer") and (detail or not server.answered):
        words += f": {safe(server.problem)}"
    mood: Mood = "plain" if server.answered and not server.problem else "unsure"
    return Cell(safe(server.uri, 120)), Cell(safe(server.address or "", 80)), Cell(words, mood)


def round_trips(report: Report, view: View) -> list[Section]:
    """The shortest round trip over UDP to each address of a server."""
    best: dict[str, float] = {}
    for seen in report.observations:
        if not isinstance(seen, Binding) or seen.transport != "udp" or seen.rtt_s is None:
            continue
        if 0 <= seen.rtt_s < best.get(seen.asked, 1e6):
            best[seen.asked] = seen.rtt_s
    if not best:
        return []
    bars = tuple(
        Bar(safe(address, 60), rtt_s, terms.milliseconds(rtt_s * 1000))
        for address, rtt_s in sorted(best.items(), key=lambda each: each[1])[:MOST_SERVERS]
    )
    return [
        Section("Round trips", (BarChart("Round trips to servers", ("round trip to", "shortest"), bars),))
    ]


def host(report: Report, view: View) -> list[Section]:
    """This machine: system, default routes, interfaces."""
    host = report.host
    rows = [(Cell("System"), Cell(safe(f"{host.os}, Python {host.python}" if host.python else host.os)))]
    for gateway in host.gateways[:20]:
        via = gateway.address or "point to point"
        rows.append((Cell("Default route"), Cell(safe(f"IPv{gateway.family} {via} on {gateway.interface}"))))
    for interface in host.interfaces[:40]:
        state = "" if interface.up else " (down)"
        addresses = ", ".join(interface.addresses) or "no address"
        text = f"{interface.name}{state}, {interface.kind}: {addresses}"
        rows.append((Cell("Interface"), Cell(safe(text))))
    return [Section("This machine", (Table(("", ""), tuple(rows), (0, 1)),), collapsed=True)]
