"""Tailscale and headscale in plain words: are their servers reached, what would a client find, which peers
are direct, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nattools.model.report import Report
from nattools.model.tailscale import (
    Netcheck,
    PeerState,
    Tailnet,
    TailnetClash,
    TailnetPeer,
)
from nattools.report.document import Cell, Mood, Prose, Section, Table, View
from nattools.report.safetext import safe
from nattools.report.sections import summary
from nattools.report.sections.techniquetables import PATH_MOODS
from nattools.wording import terms

MOST_ROWS = 20
PEER_MOODS: dict[PeerState, Mood] = {"direct": "good", "relayed": "bad", "failed": "bad"}
PEER_WAYS: dict[bool | None, PeerState] = {True: "direct", False: "relayed", None: "unknown"}

OF_LIBP2P = ("kubo", "libp2p")
"""Programs that list addresses of their own, and no peers."""
ADDRESS_WAYS: dict[bool | None, tuple[str, Mood]] = {
    True: ("reached", "good"),
    False: ("not reached", "bad"),
    None: ("unknown", "unsure"),
}


def answer(report: Report, view: View) -> list[Section]:
    """How much is direct, and what to do."""
    found = report.tailscale
    if found is None:
        return []
    lines = [Prose(safe(headline(report)), mood="strong"), *summary.to_do(found.to_do[:6])]
    return summary.summary(report, lines)


def headline(report: Report) -> str:
    """What came of `nattools tailscale`, as a sentence or two."""
    found = report.tailscale
    if found is None:
        return "Nothing was asked."
    verdict = next((one for one in report.techniques if one.id == "tailscale"), None)
    if verdict is not None and verdict.verdict == "fails" and not _of_others(report):
        return f"Tailscale does not work here. {verdict.summary}"
    if _of_others(report):
        peers = [peer for each in found.tailnets for peer in each.peers]
        if all(peer.direct is None for peer in peers):
            return found.why
        direct = sum(peer.direct is True for peer in peers)
        return f"{direct} of {len(peers)} are reached directly now. {found.why}"
    return found.why


def _of_others(report: Report) -> bool:
    """Are these the networks of other programs than Tailscale alone?"""
    found = () if report.tailscale is None else report.tailscale.tailnets
    return bool(found) and all(each.program != "tailscale" for each in found)


def tailnets(report: Report, view: View) -> list[Section]:
    """Their servers: which answer, and at which step one does not."""
    known = () if report.tailscale is None else report.tailscale.tailnets
    found = [each for each in known if each.control is not None or each.regions or _says_alone(each)]
    if not found:
        return []
    rows = tuple(_tailnet(each) for each in found[:MOST_ROWS])
    titles = ("tailnet", "control", "home region", "relays", "why")
    return [Section("Tailnets", (Table(titles, rows, (0, 0, 0, 0, 1)),))]


def _says_alone(tailnet: Tailnet) -> bool:
    """Is there something to say of it that does not stand beside its peers?"""
    return bool(tailnet.why) and tailnet.program == "tailscale"


def _tailnet(tailnet: Tailnet) -> tuple[Cell, ...]:
    asked = tailnet.control is not None
    return (
        Cell(safe(tailnet.name, 40)),
        _yes_no(tailnet.reachable) if asked else Cell("not asked", "quiet"),
        Cell(safe(tailnet.home_region or "none", 40), "plain" if tailnet.home_region else "unsure"),
        _yes_no(tailnet.relays),
        Cell(safe(tailnet.why)),
    )


def _yes_no(value: bool | None) -> Cell:
    moods: dict[bool | None, Mood] = {True: "good", False: "bad", None: "unsure"}
    return Cell(terms.yes_no(value), moods[value])


def steps(report: Report, view: View) -> list[Section]:
    """The way to each control server."""
    found = () if report.tailscale is None else report.tailscale.tailnets
    rows = tuple(
        (
            Cell(safe(each.control or "", 60)),
            Cell(step.step, "good" if step.ok else "bad"),
            Cell(terms.known_ms(step.ms)),
            Cell(safe(step.detail, 120)),
        )
        for each in found[:MOST_ROWS]
        for step in each.steps
    )
    if not rows:
        return []
    table = Table(("control server", "step", "took", ""), rows, (0, 0, 0, 1))
    return [Section("Step by step", (table,), collapsed=True)]


def ways(report: Report, view: View) -> list[Section]:
    """How peers are reached, for each kind of network."""
    found = report.tailscale
    if found is None or all(way == "unknown" for way in found.direct_with.values()):
        return []
    rows = tuple(
        (Cell(safe(kind, 40)), Cell(way, PATH_MOODS[way])) for kind, way in found.direct_with.items()
    )
    how = "by hole punching" if _of_others(report) else "by Tailscale"
    return [Section("Connecting to", (Table(("a peer behind", how), rows, (0, 1)),))]


def netchecks(report: Report, view: View) -> list[Section]:
    """What `tailscale netcheck` would print, and what it leaves out."""
    found = report.tailscale
    if found is None:
        return []
    made = []
    many = len(found.tailnets) > 1
    for each in found.tailnets[:MOST_ROWS]:
        if each.netcheck is not None:
            rows = tuple(_netcheck(each.netcheck, each))
            made.append(
                Section(
                    f"What netcheck would say in {safe(each.name, 40)}"
                    if many
                    else "What netcheck would say",
                    (Table(("", ""), rows, (0, 1)),),
                )
            )
    if found.beyond:
        prose = tuple(Prose(f"- {safe(text)}") for text in found.beyond)
        made.append(Section("What netcheck leaves out", prose))
    return made


def _netcheck(check: Netcheck, tailnet: Tailnet) -> Iterator[tuple[Cell, ...]]:
    services = [name for name, on in (("UPnP", check.UPnP), ("NAT-PMP", check.PMP), ("PCP", check.PCP)) if on]
    asked = any(each is not None for each in (check.UPnP, check.PMP, check.PCP))
    home = next((row for row in tailnet.regions if row.id == check.PreferredDERP), None)
    nearest = "unknown"
    if home is not None and home.rtt_ms is not None:
        nearest = f"{home.name or home.code}, {terms.milliseconds(home.rtt_ms)}"
    yield Cell("UDP"), _yes_no(check.UDP)
    yield Cell("IPv4"), Cell(safe(check.GlobalV4 or "no address found", 60))
    yield Cell("IPv6"), Cell(safe(check.GlobalV6, 60) if check.GlobalV6 else _no_ipv6(check))
    yield Cell("MappingVariesByDestIP"), Cell(terms.yes_no(check.MappingVariesByDestIP))
    yield Cell("PortMapping"), Cell(", ".join(services) or ("none" if asked else "not checked"))
    if check.CaptivePortal is not None:
        yield Cell("CaptivePortal"), Cell(terms.yes_no(check.CaptivePortal))
    yield Cell("Nearest DERP"), Cell(safe(nearest, 60))


def _no_ipv6(check: Netcheck) -> str:
    return "no, but the system has it" if check.OSHasIPv6 else "no"


def regions(report: Report, view: View) -> list[Section]:
    """How far away each region is."""
    found = () if report.tailscale is None else report.tailscale.tailnets
    made = []
    for each in found[:MOST_ROWS]:
        rows = tuple(
            (
                Cell(safe(row.code or str(row.id), 20)),
                Cell(safe(row.name, 40)),
                Cell("no answer" if row.rtt_ms is None else terms.milliseconds(row.rtt_ms)),
                Cell(row.by),
            )
            for row in each.regions[:100]
        )
        if rows:
            table = Table(("region", "name", "round trip", "by"), rows, (0, 1, 0, 0))
            made.append(Section(f"DERP regions of {safe(each.name, 40)}", (table,), collapsed=True))
    return made


def peers(report: Report, view: View) -> list[Section]:
    """Each peer that is not direct now, and why; the others with detail."""
    found = () if report.tailscale is None else report.tailscale.tailnets
    made = []
    for each in found[:MOST_ROWS]:
        shown = [peer for peer in each.peers if view.detail or peer.direct is not True]
        most = 200 if view.detail else MOST_ROWS
        own = () if each.program == "tailscale" or not each.why else (Prose(safe(each.why)),)
        if not each.peers and not own:
            continue
        rows = tuple(_peers(shown[:most], each.program))
        direct = sum(peer.direct is True for peer in each.peers)
        known = any(peer.direct is not None for peer in each.peers) or (
            bool(each.peers) and each.program not in OF_LIBP2P
        )
        note = f"{direct} of {len(each.peers)} direct" if known else ""
        what = "address" if each.program in OF_LIBP2P else "peer"
        blocks = (Table((what, "now", "why"), rows, (0, 0, 1)),) if rows else _all_direct(each)
        more = (Prose(f"and {len(shown) - most} more: -v shows 200."),) if len(shown) > most else ()
        made.append(Section(f"Peers in {safe(each.name, 40)}", (*own, *blocks, *more), note))
    return made


def _all_direct(tailnet: Tailnet) -> tuple[Prose, ...]:
    return (Prose("All are direct."),) if tailnet.peers else ()


def _peers(peers: Iterable[TailnetPeer], program: str) -> Iterator[tuple[Cell, ...]]:
    """What to do stands once."""
    told = set[str]()
    for peer in peers:
        words, mood = ADDRESS_WAYS[peer.direct] if program in OF_LIBP2P else _now(peer)
        advice = "" if peer.advice in told else peer.advice
        told.add(peer.advice)
        yield Cell(safe(peer.name, 40)), Cell(words, mood), Cell(safe(f"{peer.why} {advice}".strip()))


def _now(peer: TailnetPeer) -> tuple[str, Mood]:
    """Which way its packets take; reports of earlier versions say that by `direct` alone."""
    now = PEER_WAYS[peer.direct] if peer.now == "unknown" else peer.now
    return now, PEER_MOODS.get(now, "unsure")


def clashes(report: Report, view: View) -> list[Section]:
    """What two tailnets on this machine both claim."""
    if report.tailscale is None:
        return []
    found = (*report.tailscale.address_overlaps, *report.tailscale.conflicts)
    rows = tuple(_clash(each) for each in found[:MOST_ROWS])
    return [Section("Several tailnets here", (Table(("", "what", "why"), rows, (0, 0, 1)),))] if rows else []


def _clash(clash: TailnetClash) -> tuple[Cell, ...]:
    mood: Mood = "unsure" if clash.advice else "plain"
    who = " and ".join(safe(name, 30) for name in clash.tailnets[:3])
    return Cell(who), Cell(clash.kind, mood), Cell(safe(f"{clash.why} {clash.advice}".strip()))
