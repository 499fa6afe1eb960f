"""libp2p in plain words: can peers connect to a node here, whom does it meet directly, and who says so."""

from __future__ import annotations

from nattools.model.libp2p import DcutrKind, Libp2p, Libp2pAddress, Libp2pPeer, Libp2pRelay, Libp2pUpgrade
from nattools.model.report import Report
from nattools.model.statement import statement
from nattools.report.document import Cell, Mood, Prose, Section, Table, View
from nattools.report.safetext import safe
from nattools.report.sections import summary
from nattools.report.sections.techniquetables import AGREEMENTS, PATH_MOODS, VERDICT_MOODS
from nattools.wording import terms
from nattools.wording.sentences import sentence

_MOST = 20


def answer(report: Report, view: View) -> list[Section]:
    """The verdict, how a node here meets others behind NATs, and what to do."""
    if report.libp2p is None:
        return []
    verdict = next((each for each in report.techniques if each.id == "libp2p"), None)
    lines = [Prose(_headline(report), mood="strong")]
    if verdict is not None and not any(each.code == "libp2p-upgraded" for each in verdict.reason):
        lines.append(Prose(safe(verdict.summary), mood=VERDICT_MOODS[verdict.verdict]))
    lines.append(Prose(safe(report.libp2p.why), "DCUtR"))
    lines += _why_unknown(report.libp2p)
    if report.libp2p.names is False:
        lines.append(Prose(sentence(statement("libp2p-names-lost")), "Names", mood="bad"))
    actions = (verdict.advice,) if verdict is not None and verdict.advice else ()
    return summary.summary(report, (*lines, *summary.to_do(actions)))


def _headline(report: Report) -> str:
    """What came of it, as a sentence."""
    found = report.libp2p
    assert found is not None
    if any(row.reachable for row in found.autonat):
        return "Other libp2p peers can connect to a node here."
    if any(row.false_positive for row in found.autonat):
        return "AutoNAT would call a node here reachable, but only peers that it has written to can connect."
    if found.autonat and all(row.reachable is False for row in found.autonat):
        return "Other libp2p peers cannot connect to a node here by themselves."
    if not found.peers:
        return "No libp2p peer was asked."
    if not any(row.identified for row in found.peers):
        return "No libp2p peer answered."
    return "Whether other libp2p peers can connect to a node here is not known."


def _why_unknown(found: Libp2p) -> list[Prose]:
    """Why no peer could be asked to connect to a node here, where that is by the peers."""
    known = [row for row in found.peers if row.identified]
    able = [row for row in known if row.autonat]
    if found.autonat or not known or any(row.observed for row in able):
        return []
    code = "libp2p-not-seen" if able else "libp2p-without-autonat"
    return [Prose(sentence(statement(code)), "Not known", mood="unsure")]


def addresses(report: Report, view: View) -> list[Section]:
    """What AutoNAT v2 says of each address, and what that is worth."""
    rows = report.libp2p.autonat if report.libp2p is not None else ()
    if not rows:
        return []
    table = Table(("address", "reachable", "why"), tuple(map(_address, rows[:_MOST])), (1, 0, 2))
    return [Section("Addresses", (table,))]


def _address(row: Libp2pAddress) -> tuple[Cell, ...]:
    text, mood = AGREEMENTS[row.reachable]
    if row.false_positive:
        text = "no (false positive)"
    return Cell(safe(row.address, 120)), Cell(text, mood), Cell(safe(row.why))


def peers(report: Report, view: View) -> list[Section]:
    """The peers that were asked: who they are, and from where they see this machine."""
    rows = report.libp2p.peers if report.libp2p is not None else ()
    if not rows:
        return []
    titles = ("peer", "program", "ping", "AutoNAT", "relay", "sees us as")
    table = Table(titles, tuple(map(_peer, rows[:_MOST])), (1, 1, 0, 0, 0, 2))
    return [Section("Peers", (table,))]


def _peer(row: Libp2pPeer) -> tuple[Cell, ...]:
    name = Cell(safe(_short(row.address), 120), "plain" if row.identified else "bad")
    if not row.identified:
        return name, Cell(""), Cell(""), Cell(""), Cell(""), Cell(safe(row.why), "unsure")
    return (
        name,
        Cell(safe(row.agent, 60)),
        Cell(terms.known_ms(row.rtt_ms)),
        _offered(row.autonat),
        _offered(row.relay),
        Cell(safe(_seen_as(row), 200)),
    )


def _seen_as(row: Libp2pPeer) -> str:
    """The addresses without their ports, of which every connection has another."""
    hosts = dict.fromkeys("/".join(each.split("/")[2:3]) for each in row.observed)
    return ", ".join(filter(None, hosts)) or "it does not say"


def _short(address: str) -> str:
    """A peer's id is 52 characters, of which people read the last."""
    before, mark, peer = address.rpartition("/p2p/")
    return f"{before}{mark}...{peer[-6:]}" if mark and len(peer) > 12 and "/" not in peer else address


def _offered(value: bool | None) -> Cell:
    text, mood = AGREEMENTS[value]
    return Cell(text, "quiet" if value is False else mood)


def relays(report: Report, view: View) -> list[Section]:
    """The relays that were asked for a place."""
    rows = report.libp2p.relays if report.libp2p is not None else ()
    if not rows:
        return []
    titles = ("relay", "reservation", "carries", "round trip", "limit of a connection")
    return [Section("Relays", (Table(titles, tuple(map(_relay, rows[:_MOST])), (1, 0, 0, 0, 1)),))]


def _relay(row: Libp2pRelay) -> tuple[Cell, ...]:
    reserved, reserved_mood = AGREEMENTS[row.reserved]
    carries, mood = AGREEMENTS[row.carries]
    return (
        Cell(safe(_short(row.address), 120)),
        Cell(reserved, reserved_mood),
        Cell(carries if row.reserved else "", mood),
        Cell(terms.known_ms(row.rtt_ms)),
        Cell(safe(row.why) if row.why else _limit(row)),
    )


def _limit(row: Libp2pRelay) -> str:
    parts = [terms.seconds(row.limit_s)] if row.limit_s else []
    if row.limit_bytes:
        size = (row.limit_bytes, "bytes") if row.limit_bytes < 1024 else (row.limit_bytes // 1024, "KiB")
        parts.append(f"{terms.number(size[0])}{terms.TIE}{size[1]} each way")
    return ", ".join(parts) or "none"


def upgrades(report: Report, view: View) -> list[Section]:
    """Peers that were met through a relay: did the connection become direct?"""
    rows = report.libp2p.upgrades if report.libp2p is not None else ()
    if not rows:
        return []
    titles = ("peer", "called by", "relayed", "direct", "round trip", "why")
    table = Table(titles, tuple(map(_upgrade, rows[:_MOST])), (0, 0, 0, 0, 0, 1))
    return [Section("Connections through a relay", (table,))]


def _upgrade(row: Libp2pUpgrade) -> tuple[Cell, ...]:
    relayed, relayed_mood = AGREEMENTS[row.relayed]
    direct, mood = AGREEMENTS[row.direct]
    trips = [terms.milliseconds(each) for each in (row.relayed_rtt_ms, row.rtt_ms) if each is not None]
    return (
        Cell(f"...{safe(row.peer[-6:])}"),
        Cell("us" if row.role == "caller" else "them"),
        Cell(relayed, relayed_mood),
        Cell(direct if row.relayed else "", mood),
        Cell(", then ".join(trips)),
        Cell(safe(row.why)),
    )


def kinds(report: Report, view: View) -> list[Section]:
    """How libp2p by itself connects to each kind of peer."""
    rows = report.libp2p.dcutr_with if report.libp2p is not None else ()
    if not rows:
        return []
    table = Table(("connecting to", "way", "why"), tuple(map(_kind, rows)), (0, 0, 1))
    return [Section("Connecting by libp2p", (table,))]


def _kind(row: DcutrKind) -> tuple[Cell, ...]:
    mood: Mood = PATH_MOODS[row.path]
    return Cell(safe(row.kind, 60)), Cell(row.path, mood), Cell(safe(row.why))
