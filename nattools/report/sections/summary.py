"""What every report has: its first lines, warnings, the servers that were asked, the machine that asked
them, and its last line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nattools.model.host import Way
from nattools.model.observation import Binding
from nattools.model.report import Report, Server
from nattools.report.document import Bar, BarChart, Block, Cell, Detail, Mood, Prose, Section, Table, View
from nattools.report.safetext import safe
from nattools.wording import terms

MOST_SERVERS = 20


def summary(report: Report, lines: Iterable[Prose]) -> list[Section]:
    """The first section: where this was measured, and the lines that answer. What has no label stands under
    the one before it once there was a label."""
    labelled = False
    blocks: list[Block] = list(_where(report))
    for line in lines:
        blocks.append(line._replace(label=" ") if labelled and not line.label else line)
        labelled = labelled or bool(line.label)
    return [Section("", tuple(blocks))]


def to_do(lines: Sequence[str]) -> Iterator[Prose]:
    """Things to do, the first with a label."""
    for number, line in enumerate(lines):
        yield Prose(safe(line), "To do" if number == 0 else "")


def _where(report: Report) -> Iterator[Prose]:
    if report.substrate != "host":
        name = f"the scenario {safe(report.scenario, 60)}" if report.scenario else "a scenario"
        how = "simulated" if report.substrate == "sim" else "network namespaces"
        yield Prose(f"Measured in {name} ({how}), not on this machine's network.", mood="quiet")


def warnings(report: Report, view: View) -> list[Section]:
    """What makes the findings less certain or was odd."""
    if not report.warnings:
        return []
    return [
        Section("Warnings", tuple(Prose(f"- {safe(text)}", mood="unsure") for text in report.warnings[:20]))
    ]


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
    for way in host.ways:
        where = " ".join((way.source, "by", way.interface or "an unknown interface", *_to(way)))
        rows.append((Cell("Way out"), Cell(safe(f"IPv{way.family} from {where}"))))
    for interface in host.interfaces[:40]:
        state = "" if interface.up else " (down)"
        addresses = ", ".join(interface.addresses) or "no address"
        text = f"{interface.name}{state}, {interface.kind}: {addresses}"
        rows.append((Cell("Interface"), Cell(safe(text))))
    return [Section("This machine", (Table(("", ""), tuple(rows), (0, 1)),), collapsed=True)]


def _to(way: Way) -> tuple[str, ...]:
    return () if way.gateway is None else ("to", way.gateway)


def footer(report: Report, view: View) -> list[Section]:
    """Which version, when, how long."""
    interface = f" on {safe(report.host.measured_interface, 40)}" if report.host.measured_interface else ""
    answered = sum(server.answered for server in report.servers)
    count = f", {answered} of {len(report.servers)} servers answered" if report.servers else ""
    text = (
        f"{safe(report.tool.name, 40)} {safe(report.tool.version, 40)}, {safe(report.started, 40)}: "
        f"{terms.seconds(report.duration_s)}{interface}{count}."
    )
    return [Section("", (Prose(text, mood="quiet"),))]
