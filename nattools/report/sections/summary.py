"""The first lines of a report, its warnings, and its last line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nattools.model.report import Report
from nattools.report.document import Block, Prose, Section, View
from nattools.report.safetext import safe
from nattools.wording import terms


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
