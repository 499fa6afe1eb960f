"""What passed between a listener's NAT and a caller: beacons, knocks, and errors that were none."""

from __future__ import annotations

from nattools.model.pwnat import Pwnat
from nattools.model.report import Report
from nattools.report.document import Cell, Section, Table, View
from nattools.report.safetext import safe
from nattools.wording import terms


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
    refused = found.refused
    if refused.forged or refused.foreign:
        rows.append(("Refused", _refused(found)))
    if found.peer is not None:
        rows.append(("Caller", safe(found.peer, 80)))
    return rows


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
