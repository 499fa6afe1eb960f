"""A comparison for people, and as JSON for programs."""

from __future__ import annotations

import msgspec

from nattools.model.report import Report
from nattools.report.comparison.changes import Area, Comparison
from nattools.report.document import Document, Mood, Prose, Section
from nattools.report.safetext import safe
from nattools.wording import sentence

_TITLES: dict[Area, str] = {
    "verdicts": "What works",
    "network": "Network",
    "behaviour": "Behaviour",
    "connection": "Connection",
    "figures": "Figures",
    "warnings": "Warnings",
}


def comparison_json(found: Comparison, files: tuple[str, str]) -> str:
    """One document: is it the same, what it means, each change with its sentence, and what one of the reports
    does not know."""
    answer = {
        "a": files[0],
        "b": files[1],
        "same": found.same,
        "meaning": {"code": found.meaning.code, "text": sentence(found.meaning)},
        "changes": [
            {
                "area": each.area,
                "what": each.what,
                "before": each.before,
                "after": each.after,
                "better": each.better,
                "code": each.says.code,
                "text": sentence(each.says),
            }
            for each in found.changes
        ],
        "unknown": [sentence(each) for each in found.unknown],
        "limits": [sentence(each) for each in found.limits],
    }
    return msgspec.json.encode(answer).decode() + "\n"


def comparison_page(
    found: Comparison, files: tuple[str, str], reports: tuple[Report, Report], *, all_of_it: bool
) -> Document:
    """A comparison for people. `all_of_it`: with what only one of the reports knows."""
    mood: Mood = "good" if found.same else "strong"
    limits = (Prose(safe(sentence(each)), "", "quiet") for each in found.limits)
    sections = [
        Section("", (Prose(safe(sentence(found.meaning)), "", mood), *limits)),
        Section(
            "",
            tuple(
                Prose(f"{safe(file, 60)}: {report.command}, {safe(report.started, 40)}", name)
                for name, file, report in zip("AB", files, reports, strict=True)
            ),
        ),
    ]
    for area, title in _TITLES.items():
        lines = tuple(
            Prose(f"{_SIGNS[each.better]} {safe(sentence(each.says))}", "", _MOODS[each.better])
            for each in found.changes
            if each.area == area
        )
        if lines:
            sections.append(Section(title, lines))
    if found.unknown:
        sections.append(_unknown(found, all_of_it=all_of_it))
    return Document("Comparison", tuple(sections))


_SIGNS = {True: "+", False: "-", None: "*"}
_MOODS: dict[bool | None, Mood] = {True: "good", False: "bad", None: "plain"}


def _unknown(found: Comparison, *, all_of_it: bool) -> Section:
    if not all_of_it:
        many = len(found.unknown)
        text = f"{many} {'finding is' if many == 1 else 'findings are'} in one report only: -v lists them."
        return Section("", (Prose(text, "", "quiet"),))
    return Section("Only in one of them", tuple(Prose(f"- {safe(sentence(each))}") for each in found.unknown))
