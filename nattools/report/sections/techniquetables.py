"""Verdicts: on each technique, on each kind of peer, and what other tools say."""

from __future__ import annotations

from nattools.model.nat import PeerKind
from nattools.model.report import Report, Technique
from nattools.report.document import Cell, Mood, Prose, Section, Table, View
from nattools.report.safetext import safe
from nattools.report.sections import nat, summary
from nattools.wording import terms

ROOM_FOR_ADVICE = 140
PATH_MOODS: dict[str, Mood] = {"direct": "good", "relay": "bad", "unknown": "unsure"}
VERDICT_MOODS: dict[str, Mood] = {"works": "good", "fails": "bad", "unknown": "unsure", "skipped": "quiet"}
AGREEMENTS: dict[bool | None, tuple[str, Mood]] = {
    True: ("yes", "good"),
    False: ("no", "bad"),
    None: ("unknown", "unsure"),
}


def answer(report: Report, view: View) -> list[Section]:
    """Can this machine be reached, which way is best, what to do."""
    advice = report.advice
    if advice is None:
        return nat.answer(report, view)
    best = [Prose(safe(advice.best), "Best way")] if advice.best else []
    lines = [Prose(safe(advice.headline), mood="strong"), *best, *summary.to_do(advice.to_do[:10])]
    return summary.summary(report, lines)


def techniques(report: Report, view: View) -> list[Section]:
    """Those that were tried come first. A narrow table does not say again what the summary says to do."""
    if not report.techniques:
        return []
    ordered = sorted(report.techniques, key=lambda one: one.verdict == "skipped")
    titles: tuple[str, ...] = ("technique", "verdict", "why")
    if view.columns >= ROOM_FOR_ADVICE and any(one.advice for one in ordered):
        rows = tuple((*_verdict(one), Cell(safe(one.advice))) for one in ordered)
        return [Section("Techniques", (Table((*titles, "what to do"), rows, (0, 0, 3, 2)),))]
    said = report.advice.to_do if report.advice and not view.detail else ()
    rows = tuple(_with_advice(one, said, view) for one in ordered)
    return [Section("Techniques", (Table(titles, rows, (0, 0, 1)),))]


def _verdict(technique: Technique) -> tuple[Cell, ...]:
    verdict = Cell(terms.VERDICTS[technique.verdict], VERDICT_MOODS[technique.verdict])
    return Cell(terms.TECHNIQUES[technique.id]), verdict, Cell(safe(technique.summary))


def _with_advice(technique: Technique, said: tuple[str, ...], view: View) -> tuple[Cell, ...]:
    name, verdict, why = _verdict(technique)
    wanted = technique.verdict in ("fails", "unknown") or view.detail > 0
    if wanted and technique.advice not in said and technique.advice not in technique.summary:
        why = Cell(f"{why.text} {safe(technique.advice)}".strip())
    return name, verdict, why


def peers(report: Report, view: View) -> list[Section]:
    """How this machine connects to each kind of peer."""
    if not report.peers:
        return []
    unsure = any(one.path == "unknown" for one in report.peers)
    why = view.detail > 0 or view.columns >= ROOM_FOR_ADVICE or unsure
    titles = ("connecting to", "way", "how", *(("why",) if why else ()))
    rows = tuple(_peer(one)[: len(titles)] for one in report.peers)
    return [Section("Connecting to", (Table(titles, rows, (0, 0, 1, 2)[: len(titles)]),))]


def _peer(peer: PeerKind) -> tuple[Cell, ...]:
    how = terms.STRATEGIES.get(peer.strategy) or safe(peer.strategy, 60)
    if peer.odds is not None:
        how += f", {terms.percent(peer.odds)}"
    if peer.seconds is not None:
        how += f" in {terms.seconds(peer.seconds)}"
    if peer.relay_rtt_ms is not None:
        how += f", {terms.milliseconds(peer.relay_rtt_ms)} there and back"
    return Cell(safe(peer.kind, 60)), Cell(peer.path, PATH_MOODS[peer.path]), Cell(how), Cell(safe(peer.why))


def cross_checks(report: Report, view: View) -> list[Section]:
    """What other tools say of the same network."""
    if not report.cross_checks:
        return []
    rows = tuple(
        (
            Cell(safe(one.tool, 40)),
            Cell(safe(one.says, 80)),
            Cell(*AGREEMENTS[one.agrees]),
            Cell(safe(one.why)),
        )
        for one in report.cross_checks[:20]
    )
    table = Table(("second opinion", "says", "agrees", "why"), rows, (0, 0, 0, 1))
    return [Section("Second opinion", (table,))]
