"""What to expect when two measured machines connect: a page for people and JSON for programs."""

from __future__ import annotations

import msgspec

from nattools.model.report import Report
from nattools.report.document import Cell, Document, Mood, Prose, Section, Table
from nattools.report.safetext import safe
from nattools.report.terminal import plain_text
from nattools.traversal.steps import Plan, Step
from nattools.wording import sentence, terms

_NAMES = {
    "host": "directly to its address",
    "reflexive": "to the external address",
    "mapped": "to a mapped port",
    "low-ttl": "again, roles swapped",
    "prediction": "port prediction",
    "birthday": "birthday probing",
    "simultaneous-open": "simultaneous open",
    "relay": "relay",
}


def render_prediction(
    plan: Plan, files: tuple[str, str], reports: tuple[Report, Report], columns: int
) -> str:
    """Lines of at most `columns` columns (at least 40), ending in a newline."""
    document = Document("Prediction", tuple(_sections(plan, files, reports)))
    return plain_text(document, columns)


def prediction_json(plan: Plan, files: tuple[str, str]) -> str:
    """One document: the plan's fields, its odds as a whole, and the strategy that comes first."""
    answer = {
        "a": files[0],
        "b": files[1],
        "path": plan.path,
        "strategy": plan.steps[0].strategy if plan.steps else None,
        "transport": plan.steps[0].transport if plan.steps else None,
        "family": plan.family,
        "odds": round(plan.odds, 4) if plan.path == "direct" else None,
        "why": sentence(plan.steps[0].reason) if plan.steps else _unknown(plan),
        "privilege": _privilege(plan),
        "steps": [msgspec.to_builtins(step) | {"why": sentence(step.reason)} for step in plan.steps],
    }
    return msgspec.json.encode(answer).decode() + "\n"


def _sections(plan: Plan, files: tuple[str, str], reports: tuple[Report, Report]) -> list[Section]:
    ends = [
        Prose(f"{safe(file, 60)}: {_kind(report)}", name)
        for name, file, report in zip("AB", files, reports, strict=True)
    ]
    sections = [Section("", (_headline(plan),)), Section("", tuple(ends))]
    if plan.steps:
        titles = ("TRY", "OVER", "ODDS", "PACKETS A, B", "AT MOST")
        rows = tuple(_row(step, plan) for step in plan.steps)
        sections.append(Section("", (Table(titles, rows, (0, 0, 0, 0, 0)),)))
        sections.append(
            Section(
                "",
                tuple(
                    Prose(sentence(step.reason), _NAMES[step.strategy].capitalize()) for step in plan.steps
                ),
            )
        )
    if plan.privilege is not None:
        sections.append(Section("", (Prose(_privilege(plan), "Privilege"),)))
    return sections


def _headline(plan: Plan) -> Prose:
    if plan.path == "unknown":
        return Prose(f"Whether these two can connect directly is not known. {_unknown(plan)}", "", "unsure")
    if plan.path == "relay":
        return Prose("These two need a relay: no direct connection is practical.", "", "bad")
    first = plan.steps[0]
    how = f"These two can connect directly: {_NAMES[first.strategy]}, over {first.transport.upper()}"
    return Prose(f"{how}, {terms.chance(plan.odds)} if both behave as measured.", "", "good")


def _row(step: Step, plan: Plan) -> tuple[Cell, ...]:
    mood: Mood = "plain" if step.strategy != "relay" else "quiet"
    relayed = step.strategy == "relay"
    odds = "" if step.odds is None or relayed else terms.chance(step.odds)
    packets = "" if step.packets is None else f"{step.packets[0]:,}, {step.packets[1]:,}"
    seconds = "" if step.seconds is None else f"{step.seconds:.1f} s"
    over = "" if relayed else f"{step.transport.upper()} IPv{plan.family}"
    texts = (_NAMES[step.strategy], over, odds, packets, seconds)
    return tuple(Cell(text, mood) for text in texts)


def _kind(report: Report) -> str:
    """The classic name of what was measured, and when."""
    nat = report.nat.udp4 or report.nat.udp6
    name = terms.CLASSICS[nat.classic] if nat is not None else "UDP was not measured"
    return f"{name}, measured {safe(report.started, 40)}"


def _privilege(plan: Plan) -> str:
    return "" if plan.privilege is None else sentence(plan.privilege)


def _unknown(plan: Plan) -> str:
    return "" if plan.unknown is None else sentence(plan.unknown)
