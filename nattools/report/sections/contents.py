"""What a report says to a person, in the order in which a person asks: can I be reached, which way is best,
what shall I do; then why; then the figures; then the evidence.

Each command has its sections, in order. A section is a function from a report and a `View` to the sections
that there is something to say in. Its module is imported when it is made for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

from nattools.model.report import Report
from nattools.report.document import Detail, Document, Section, View, bounded
from nattools.report.sections import facts

Make = Callable[[Report, View], Sequence[Section]]


class SectionModule:
    """A module of sections, as if it were imported."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, section: str) -> Make:
        def make(report: Report, view: View) -> Sequence[Section]:
            made: Sequence[Section] = getattr(import_module(self._name), section)(report, view)
            return made

        return make


ipv6 = SectionModule("nattools.report.sections.ipv6")
lan = SectionModule("nattools.report.sections.lan")
libp2p = SectionModule("nattools.report.sections.libp2p")
mapped = SectionModule("nattools.report.sections.map")
matrix = SectionModule("nattools.report.sections.matrix")
nat = SectionModule("nattools.report.sections.nat")
observations = SectionModule("nattools.report.sections.observations")
diagnosispage = SectionModule("nattools.report.sections.diagnosispage")
punch = SectionModule("nattools.report.sections.punch")
pwnat = SectionModule("nattools.report.sections.pwnat")
relays = SectionModule("nattools.report.sections.relays")
summary = SectionModule("nattools.report.sections.summary")
tailscale = SectionModule("nattools.report.sections.tailscale")
techniquetables = SectionModule("nattools.report.sections.techniquetables")
natpath = SectionModule("nattools.report.sections.natpath")


class Entry(NamedTuple):
    """A section of a command's report. `least`: it is shown from this level of detail on."""

    make: Make
    least: Detail = 0


_EVIDENCE = (Entry(summary.host, 1), Entry(observations.observations, 2))
_END = (*_EVIDENCE, Entry(summary.footer))
_OPEN_AND_END = (Entry(summary.warnings), Entry(mapped.open_questions), Entry(summary.servers, 1), *_END)
_FIGURES = (
    Entry(summary.round_trips, 1),
    Entry(mapped.mappings, 1),
    Entry(relays.relays, 1),
    Entry(relays.failures, 1),
    Entry(nat.requirements, 1),
)
_MEASURED = (
    Entry(techniquetables.cross_checks),
    Entry(summary.warnings),
    Entry(summary.servers),
    *_FIGURES,
    *_END,
)
GENERAL = (
    Entry(diagnosispage.page),
    Entry(techniquetables.cross_checks),
    Entry(natpath.path, 1),
    Entry(natpath.reach, 2),
    Entry(techniquetables.techniques, 1),
    Entry(nat.behaviour, 1),
    Entry(techniquetables.peers, 1),
    Entry(ipv6.line, 1),
    Entry(summary.servers, 1),
    *_FIGURES,
    *_EVIDENCE,
)
"""Of `diagnose`, and of a command that has no list of its own."""
SECTIONS: dict[str, Sequence[Entry]] = {
    "nat": (
        Entry(nat.answer),
        Entry(natpath.path, 1),
        Entry(natpath.reach, 2),
        Entry(techniquetables.techniques, 1),
        Entry(nat.behaviour),
        Entry(techniquetables.peers, 1),
        *_MEASURED,
    ),
    "ipv6": (
        Entry(ipv6.answer),
        Entry(ipv6.explained),
        Entry(ipv6.addresses),
        Entry(ipv6.figures),
        Entry(techniquetables.techniques, 1),
        Entry(ipv6.behaviour, 1),
        Entry(summary.warnings),
        Entry(summary.servers),
        Entry(summary.round_trips, 1),
        Entry(mapped.mappings, 1),
        *_END,
    ),
    "map": (
        Entry(mapped.answer),
        Entry(mapped.mappings),
        Entry(techniquetables.techniques),
        Entry(techniquetables.cross_checks),
        *_OPEN_AND_END,
    ),
    "relay": (
        Entry(relays.answer),
        Entry(relays.relays),
        Entry(relays.chart),
        Entry(relays.failures),
        Entry(relays.figures, 1),
        Entry(relays.steps, 1),
        Entry(summary.warnings),
        Entry(mapped.open_questions),
        *_END,
    ),
    "libp2p": (
        Entry(libp2p.answer),
        Entry(libp2p.addresses),
        Entry(libp2p.peers),
        Entry(libp2p.relays),
        Entry(libp2p.upgrades),
        Entry(libp2p.kinds),
        Entry(nat.behaviour, 1),
        *_OPEN_AND_END,
    ),
    "punch": (
        Entry(punch.answer),
        Entry(punch.plan),
        Entry(punch.timeline),
        Entry(punch.network),
        Entry(nat.behaviour, 1),
        Entry(mapped.mappings_made),
        Entry(summary.warnings),
        Entry(summary.servers),
        *_END,
    ),
    "pwnat": (
        Entry(pwnat.answer),
        Entry(pwnat.figures),
        Entry(punch.timeline),
        Entry(punch.network),
        Entry(nat.behaviour, 1),
        Entry(summary.warnings),
        Entry(summary.servers),
        *_END,
    ),
    "lan": (
        Entry(lan.answer),
        Entry(lan.passing),
        Entry(lan.neighbours),
        Entry(lan.programs),
        Entry(summary.warnings),
        *_END,
    ),
    "tailscale": (
        Entry(tailscale.answer),
        Entry(tailscale.tailnets),
        Entry(tailscale.peers),
        Entry(tailscale.clashes),
        Entry(tailscale.ways),
        Entry(tailscale.netchecks),
        Entry(tailscale.regions, 1),
        Entry(tailscale.steps, 1),
        Entry(relays.failures, 1),
        Entry(summary.warnings),
        Entry(summary.servers, 1),
        *_END,
    ),
    "lab": (
        Entry(matrix.answer),
        Entry(matrix.pairs),
        Entry(matrix.failures),
        Entry(matrix.all_pairs),
        Entry(summary.footer),
    ),
}
TITLES = {"lab": "nattools lab matrix"}


def contents(report: Report, *, detail: Detail = 0, columns: int = 80) -> Document:
    """The whole report: `detail` and `columns` as in `View`."""
    view = View(detail, columns)
    entries = SECTIONS.get(report.command, GENERAL)
    wanted = [each for each in entries if each.least <= detail]
    made = [bounded(section) for each in wanted for section in each.make(report, view)]
    title = TITLES.get(report.command, f"nattools {report.command}")
    return Document(title, tuple(made), facts.facts(report), facts.mood(report))
