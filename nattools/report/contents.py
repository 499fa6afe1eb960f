"""What a report says to a person, in the order in which a person asks: can I be reached, which way is best,
what shall I do; then why; then the figures; then the evidence."""

from __future__ import annotations

from typing import Literal

from nattools.model.matrix import Matrix
from nattools.model.nat import Nat, NatByTransport, PeerKind
from nattools.model.report import CrossCheck, Report, Server, Technique
from nattools.report.document import Block, Cell, Document, Mood, Prose, Section, Table
from nattools.report.safetext import safe
from nattools.report.sections import map as mapwords
from nattools.report.sections import matrix as matrixwords
from nattools.report.sections import punch as punchwords
from nattools.report.sections.map import mapping_section
from nattools.report.sections.nat import Unknown, headline, nat_section
from nattools.report.sections.observations import describe
from nattools.wording import terms

Detail = Literal[0, 1, 2]
ROOM_FOR_ADVICE = 140
MOODS: dict[str, Mood] = {"direct": "good", "relay": "bad", "unknown": "unsure"}
AGREEMENTS: dict[bool | None, tuple[str, Mood]] = {
    True: ("yes", "good"),
    False: ("no", "bad"),
    None: ("unknown", "unsure"),
}
VERDICT_MOODS: dict[str, Mood] = {"works": "good", "fails": "bad", "unknown": "unsure", "skipped": "quiet"}
STATUS_MOODS: dict[str, Mood] = {"met": "good", "not met": "bad", "untested": "unsure"}


def contents(report: Report, *, detail: Detail = 0, columns: int = 80) -> Document:
    """The whole report. `detail`: 0 the answer and its reasons, 1 figures, servers and RFC requirements,
    2 all observations. `columns`: how much room a table has."""
    if report.command == "map":
        return Document("nattools map", tuple(_of_map(report, detail, columns)))
    if report.command == "punch":
        return Document("nattools punch", tuple(_of_punch(report, detail, columns)))
    if report.matrix is not None:
        return Document("nattools lab matrix", tuple(_of_matrix(report, report.matrix, detail, columns)))
    nats = _nats(report.nat, detail)
    verdicts = [*_techniques(report, detail, columns), *nats, *_peers(report.peers, detail, columns)]
    sections = [
        _summary(report),
        *(nats if _only_nat(report, detail) else verdicts),
        *_cross_checks(report.cross_checks),
        *_warnings(report.warnings),
        *_servers(report.servers, detail),
        *(mapping_section(report) if detail else ()),
        *(_requirements(report) if detail else ()),
        *(_host(report) if detail else ()),
        *(_observations(report) if detail == 2 else ()),
        _footer(report),
    ]
    return Document(f"nattools {report.command}", tuple(sections))


def _of_map(report: Report, detail: Detail, columns: int) -> list[Section]:
    """`nattools map` was asked about the router; the NAT is another command's."""
    return [
        _summary(report),
        *mapping_section(report),
        *_techniques(report, detail, columns),
        *_cross_checks(report.cross_checks),
        *_warnings(report.warnings),
        *mapwords.open_questions(report),
        *(_servers(report.servers, detail) if detail else ()),
        *(_host(report) if detail else ()),
        *(_observations(report) if detail == 2 else ()),
        _footer(report),
    ]


def _of_punch(report: Report, detail: Detail, columns: int) -> list[Section]:
    """`nattools punch` was asked for a connection; of the network it needs what the plan rests on."""
    punch = report.punch
    made = detail or any(each.created for each in report.mappings)
    return [
        _summary(report),
        *(punchwords.plan_section(punch.plan, punch.odds, columns) if punch else ()),
        *(punchwords.timeline_section(punch.stages) if punch else ()),
        *(_nats(report.nat, detail) if detail else punchwords.network_section(report)),
        *(mapping_section(report) if made else ()),
        *_warnings(report.warnings),
        *_servers(report.servers, detail),
        *(_host(report) if detail else ()),
        *(_observations(report) if detail == 2 else ()),
        _footer(report),
    ]


def _of_matrix(report: Report, matrix: Matrix, detail: Detail, columns: int) -> list[Section]:
    """Nothing of one machine's network."""
    answer = Section("", (Prose(matrixwords.headline(report, matrix), mood="strong"),))
    return [answer, *matrixwords.sections(matrix, columns, listed=detail > 0), _footer(report)]


def _only_nat(report: Report, detail: Detail) -> bool:
    """`nattools nat` was asked what the NAT does; what follows from it is a detail there."""
    return report.command == "nat" and not detail


def _summary(report: Report) -> Section:
    blocks: list[Block] = []
    if report.substrate != "host":
        name = f"the scenario {safe(report.scenario, 60)}" if report.scenario else "a scenario"
        how = "simulated" if report.substrate == "sim" else "network namespaces"
        blocks.append(Prose(f"Measured in {name} ({how}), not on this machine's network.", mood="quiet"))
    if report.command == "map":
        blocks.append(Prose(mapwords.headline(report), mood="strong"))
        told = list(mapwords.to_do(report))
        blocks += [Prose(safe(line), "To do" if number == 0 else "") for number, line in enumerate(told)]
        return Section("", _aligned(blocks))
    if report.command == "punch":
        answer = Prose(punchwords.headline(report.punch), mood="strong")
        return Section("", _aligned([*blocks, answer, *punchwords.answers(report.punch)]))
    if report.advice is None or report.command == "nat":
        return Section("", (*blocks, Prose(_nat_headline(report.nat), mood="strong")))
    blocks.append(Prose(safe(report.advice.headline), mood="strong"))
    if report.advice.best:
        blocks.append(Prose(safe(report.advice.best), "Best way"))
    to_do = report.advice.to_do[:10]
    blocks += [Prose(safe(line), "To do" if number == 0 else "") for number, line in enumerate(to_do)]
    return Section("", _aligned(blocks))


def _aligned(blocks: list[Block]) -> tuple[Block, ...]:
    """Further things to do stand under the first one."""
    seen_label = False
    aligned: list[Block] = []
    for block in blocks:
        assert isinstance(block, Prose)
        aligned.append(block._replace(label=" ") if seen_label and not block.label else block)
        seen_label = seen_label or bool(block.label)
    return tuple(aligned)


def transports(nat: NatByTransport) -> list[tuple[str, Nat, Nat | None]]:
    """What was measured: its name, the findings, and for TCP those of UDP on the same path."""
    named = (
        ("UDP over IPv4", nat.udp4, None),
        ("TCP over IPv4", nat.tcp4, nat.udp4),
        ("UDP over IPv6", nat.udp6, None),
        ("TCP over IPv6", nat.tcp6, nat.udp6),
    )
    return [(name, one, udp) for name, one, udp in named if one is not None]


def _nat_headline(nat: NatByTransport) -> str:
    """One sentence about the NAT: about UDP where it gets through, since TCP's is the same box."""
    measured = transports(nat)
    if not measured:
        return "Nothing could be measured."
    name, first, _ = next((one for one in measured if one[1].reachable is not False), measured[0])
    return headline(first) if name.startswith("UDP") else f"{name}: {headline(first)}"


def _techniques(report: Report, detail: Detail, columns: int) -> list[Section]:
    """Those that were tried come first. A narrow table does not say again what the summary says to do."""
    if not report.techniques:
        return []
    ordered = sorted(report.techniques, key=lambda one: one.verdict == "skipped")
    if columns >= ROOM_FOR_ADVICE and any(one.advice for one in ordered):
        rows = tuple((*_verdict(one), Cell(safe(one.advice))) for one in ordered)
        return [
            Section("Techniques", (Table(("technique", "verdict", "why", "what to do"), rows, (0, 0, 3, 2)),))
        ]
    said = report.advice.to_do if report.advice and not detail else ()
    rows = tuple(_with_advice(one, said, detail) for one in ordered)
    return [Section("Techniques", (Table(("technique", "verdict", "why"), rows, (0, 0, 1)),))]


def _verdict(technique: Technique) -> tuple[Cell, ...]:
    verdict = Cell(terms.VERDICTS[technique.verdict], VERDICT_MOODS[technique.verdict])
    return Cell(terms.TECHNIQUES[technique.id]), verdict, Cell(safe(technique.summary))


def _with_advice(technique: Technique, said: tuple[str, ...], detail: Detail) -> tuple[Cell, ...]:
    name, verdict, why = _verdict(technique)
    wanted = technique.verdict in ("fails", "unknown") or detail > 0
    if wanted and technique.advice not in said and technique.advice not in technique.summary:
        why = Cell(f"{why.text} {safe(technique.advice)}".strip())
    return name, verdict, why


def _nats(nat: NatByTransport, detail: Detail) -> list[Section]:
    said: set[Unknown] = set()
    return [
        nat_section(name, one, detail=detail, over_udp=udp, said=said) for name, one, udp in transports(nat)
    ]


def _peers(peers: tuple[PeerKind, ...], detail: Detail, columns: int) -> list[Section]:
    if not peers:
        return []
    why = detail > 0 or columns >= ROOM_FOR_ADVICE or any(one.path == "unknown" for one in peers)
    titles = ("connecting to", "way", "how", *(("why",) if why else ()))
    rows = tuple(_peer(one)[: len(titles)] for one in peers)
    return [Section("Connecting to", (Table(titles, rows, (0, 0, 1, 2)[: len(titles)]),))]


def _peer(peer: PeerKind) -> tuple[Cell, ...]:
    how = terms.STRATEGIES.get(peer.strategy) or safe(peer.strategy, 60)
    if peer.odds is not None:
        how += f", {terms.percent(peer.odds)}"
    if peer.seconds is not None:
        how += f" in {terms.seconds(peer.seconds)}"
    return Cell(safe(peer.kind, 60)), Cell(peer.path, MOODS[peer.path]), Cell(how), Cell(safe(peer.why))


def _cross_checks(checks: tuple[CrossCheck, ...]) -> list[Section]:
    if not checks:
        return []
    rows = tuple(
        (
            Cell(safe(one.tool, 40)),
            Cell(safe(one.says, 80)),
            Cell(*AGREEMENTS[one.agrees]),
            Cell(safe(one.why)),
        )
        for one in checks[:20]
    )
    return [
        Section("Second opinion", (Table(("second opinion", "says", "agrees", "why"), rows, (0, 0, 0, 1)),))
    ]


def _warnings(warnings: tuple[str, ...]) -> list[Section]:
    if not warnings:
        return []
    return [Section("Warnings", tuple(Prose(f"- {safe(text)}", mood="unsure") for text in warnings[:20]))]


def _servers(servers: tuple[Server, ...], detail: Detail) -> list[Section]:
    """Those that were asked. Without detail only if one did not answer: what else is odd is a warning."""
    if not servers or (not detail and all(server.answered for server in servers)):
        return []
    rows = tuple(_server(server, detail) for server in servers)
    return [Section("Servers", (Table(("server", "address", "what it can do"), rows, (2, 2, 3)),))]


def _server(server: Server, detail: Detail) -> tuple[Cell, ...]:
    kind = "nattools serve" if server.nattools else "STUN"
    behaviour = {True: ", RFC 5780", False: ", no RFC 5780", None: ""}[server.rfc5780]
    words = f"{kind}{behaviour}" if server.answered else "did not answer"
    if server.problem not in ("", "no answer") and (detail or not server.answered):
        words += f": {safe(server.problem)}"
    mood: Mood = "plain" if server.answered and not server.problem else "unsure"
    return Cell(safe(server.uri, 120)), Cell(safe(server.address or "", 80)), Cell(words, mood)


def _requirements(report: Report) -> list[Section]:
    sections = []
    for rfc, what in ((4787, "UDP"), (5382, "TCP"), (5508, "ICMP")):
        rows = tuple(
            (
                Cell(safe(one.number, 12)),
                Cell(safe(one.title, 120)),
                Cell(one.status, STATUS_MOODS[one.status]),
                Cell(f"{safe(one.why)} {terms.evidence(one.evidence)}".strip()),
            )
            for one in report.requirements
            if one.rfc == rfc
        )
        if rows:
            table = Table((f"RFC {rfc} ({what})", "requirement", "status", "why"), rows, (0, 2, 0, 3))
            sections.append(Section(f"RFC {rfc} ({what})", (table,), collapsed=True))
    return sections


def _host(report: Report) -> list[Section]:
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


def _observations(report: Report) -> list[Section]:
    rows = tuple(
        (Cell(f"#{one.id}"), Cell(f"{one.at_s:.3f}" if abs(one.at_s) < 1e6 else "?"), Cell(describe(one)))
        for one in report.observations
    )
    if not rows:
        return []
    table = Table(("observation", "at s", "what was sent and seen"), rows, (0, 0, 1))
    return [Section("Observations", (table,), collapsed=True)]


def _footer(report: Report) -> Section:
    interface = f" on {safe(report.host.measured_interface, 40)}" if report.host.measured_interface else ""
    answered = sum(server.answered for server in report.servers)
    count = f", {answered} of {len(report.servers)} servers answered" if report.servers else ""
    text = (
        f"{safe(report.tool.name, 40)} {safe(report.tool.version, 40)}, {safe(report.started, 40)}: "
        f"{terms.seconds(report.duration_s)}{interface}{count}."
    )
    return Section("", (Prose(text, mood="quiet"),))
