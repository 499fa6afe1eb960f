"""What to expect when two measured machines connect: a page for people and JSON for programs."""

from __future__ import annotations

import msgspec

from nattools.model.punch import PlannedStep
from nattools.model.report import Report
from nattools.report.document import Document, Prose, Section
from nattools.report.safetext import safe
from nattools.report.sections.punch import BY, plan_section
from nattools.traversal.plan.steps import Plan, Step
from nattools.wording import sentence, terms


def prediction_page(
    plan: Plan, files: tuple[str, str], reports: tuple[Report, Report], columns: int
) -> Document:
    """A prediction for people, with tables of at most `columns` columns."""
    return Document("Prediction", tuple(_sections(plan, files, reports, columns)))


def prediction_json(plan: Plan, files: tuple[str, str]) -> str:
    """One document: the plan's fields, its odds as a whole, and the strategy that comes first."""
    answer = {
        "a": files[0],
        "b": files[1],
        "path": plan.path,
        "strategy": plan.steps[0].strategy if plan.steps else None,
        "transport": plan.steps[0].transport if plan.steps else None,
        "family": plan.family,
        "odds": None if plan.path != "direct" or plan.odds is None else round(plan.odds, 4),
        "why": sentence(plan.steps[0].reason) if plan.steps else _unknown(plan),
        "privilege": _privilege(plan),
        "steps": [msgspec.to_builtins(step) | {"why": sentence(step.reason)} for step in plan.steps],
    }
    return msgspec.json.encode(answer).decode() + "\n"


def _sections(
    plan: Plan, files: tuple[str, str], reports: tuple[Report, Report], columns: int
) -> list[Section]:
    ends = [
        Prose(f"{safe(file, 60)}: {_kind(report)}", name)
        for name, file, report in zip("AB", files, reports, strict=True)
    ]
    sections = [Section("", (_headline(plan),)), Section("", tuple(ends))]
    steps = [_planned(step) for step in plan.steps]
    sections += plan_section(steps, None, columns, sides="A, B")
    if plan.privilege is not None:
        sections.append(Section("", (Prose(_privilege(plan), "Privilege"),)))
    return sections


def _planned(step: Step) -> PlannedStep:
    return PlannedStep(
        strategy=step.strategy,
        transport=step.transport,
        family=step.family,
        why=sentence(step.reason),
        reason=(step.reason,),
        odds=step.odds,
        packets=step.packets,
        seconds=step.seconds,
    )


def _headline(plan: Plan) -> Prose:
    if plan.path == "unknown":
        return Prose(f"Whether these two can connect directly is not known. {_unknown(plan)}", "", "unsure")
    first = plan.steps[0]
    if plan.path == "relay":
        why = sentence(first.reason)
        return Prose(f"These two need a relay: no direct connection is practical. {why}", "", "bad")
    over = f"over {first.transport.upper()} and IPv{plan.family}{BY[first.strategy]}"
    if plan.odds is None:
        return Prose(
            f"Whether these two can connect directly is not known. {sentence(first.reason)}", "", "unsure"
        )
    odds = terms.chance(plan.odds)
    return Prose(f"These two can connect directly {over}: {odds} if both behave as measured.", "", "good")


def _kind(report: Report) -> str:
    """The classic name of what was measured, and when."""
    nat = report.nat.udp4 or report.nat.udp6
    name = terms.CLASSICS[nat.classic] if nat is not None else "UDP was not measured"
    return f"{name}, measured {safe(report.started, 40)}"


def _privilege(plan: Plan) -> str:
    return "" if plan.privilege is None else sentence(plan.privilege)


def _unknown(plan: Plan) -> str:
    return "" if plan.unknown is None else sentence(plan.unknown)
