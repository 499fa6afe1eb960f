"""What passed between a listener's NAT and a caller: beacons, knocks, and errors that were none."""

from __future__ import annotations

from nattools.model.pwnat import PortMoves, Pwnat
from nattools.model.report import Report
from nattools.model.statement import Statement
from nattools.report.document import Cell, Prose, Section, Table, View
from nattools.report.safetext import safe
from nattools.report.sections import punch, summary
from nattools.wording import sentence, terms


def answer(report: Report, view: View) -> list[Section]:
    """Are the two connected; or, of a test, what this machine can do."""
    found = report.pwnat
    if found is None or found.role != "test":
        return punch.answer(report, view)
    headline, *reasons = found.reasons or (None,)
    lines = [Prose(safe(found.why if headline is None else sentence(headline)), mood="strong")]
    return summary.summary(report, (*lines, *(Prose(sentence(each), _label(each)) for each in reasons)))


def _label(reason: Statement) -> str:
    """Which of the two parts it is about."""
    labels = {"pwnat-listener": "Listening", "pwnat-caller": "Calling"}
    return next((text for start, text in labels.items() if reason.code.startswith(start)), "Not known")


def figures(report: Report, view: View) -> list[Section]:
    """What was sent and what came, on this side."""
    found = report.pwnat
    if found is None or found.role == "test":
        return []
    rows = _listener(found) if found.role == "listener" else _caller(found)
    shown = tuple((Cell(name, "strong"), Cell(text)) for name, text in rows)
    return [Section("On the wire", (Table(("", ""), shown, (0, 1)),))]


def _caller(found: Pwnat) -> list[tuple[str, str]]:
    return [("Knocks sent", terms.number(found.knocks_sent)), ("Listener", safe(found.peer or "unknown", 80))]


def _listener(found: Pwnat) -> list[tuple[str, str]]:
    rows = [
        ("Beacons sent", terms.number(found.beacons_sent)),
        ("ICMP errors", f"{terms.number(found.errors_seen)} arrived"),
    ]
    if found.port_read is not None:
        rows.append(("Outside port", f"read from what routers quote; {_MOVES[found.port_read]}"))
    refused = found.refused
    if refused.forged or refused.foreign:
        rows.append(("Refused", _refused(found)))
    if found.peer is not None:
        rows.append(("Caller", safe(found.peer, 80)))
    return rows


_MOVES: dict[PortMoves, str] = {
    "not": "one for every destination",
    "predictably": "others in order for other destinations",
    "at random": "any other one for other destinations",
}


def _refused(found: Pwnat) -> str:
    refused = found.refused
    parts = []
    if refused.foreign:
        parts.append(f"{terms.number(refused.foreign)} about beacons that were no knocks")
    if refused.forged:
        seen = f", {terms.number(refused.replayed)} of them seen before" if refused.replayed else ""
        old = f", {terms.number(refused.stale)} of them too old" if refused.stale else ""
        parts.append(f"{terms.number(refused.forged)} without the secret or not fresh{seen}{old}")
    return "; ".join(parts)
