"""Many reports as one page."""

from __future__ import annotations

from collections.abc import Iterator

from nattools.report.document import Bar, BarChart, Cell, Document, Prose, Section, Table
from nattools.report.fleet.fleetsummary import Fleet, GroupShare, Pairs, Share
from nattools.report.safetext import safe
from nattools.wording import terms

_MOST_ROWS = 30
_SHOWN = ("direct-ipv4", "direct-ipv6", "udp-punch", "tcp-punch")
_TITLES = {"kind": "By kind of NAT", "provider": "By provider", "country": "By country"}


def fleet_page(fleet: Fleet) -> Document:
    """The whole of it, for any renderer."""
    return Document("Reports merged", tuple(_sections(fleet)))


def _sections(fleet: Fleet) -> Iterator[Section]:
    when = f"measured from {safe(fleet.first or '?', 30)} to {safe(fleet.last or '?', 30)}"
    lines = [Prose(f"{fleet.reports:,} reports, {when}.", "", "strong")]
    if fleet.duplicates:
        lines.append(Prose(f"{fleet.duplicates:,} more were the same as one of these, to the byte."))
    if fleet.faulty:
        lines.append(Prose(f"{fleet.faulty:,} files are not reports; they are listed below.", "", "unsure"))
    yield Section("", tuple(lines))
    bars = tuple(Bar(safe(name, 40), each.share, _percent(each)) for name, each in fleet.reachable.items())
    yield Section("Reached", (BarChart("How the machines are reached", ("reached", "of all reports"), bars),))
    yield Section("Techniques", (_techniques(fleet),))
    if fleet.pairs is not None:
        yield Section("Any two of them", _pairs(fleet.pairs))
    for name, groups in fleet.groups.items():
        if any(each.name is not None for each in groups):
            yield Section(_TITLES[name], (_groups(groups),))
    if fleet.outliers:
        yield Section("Outliers", (_outliers(fleet),), collapsed=True)
    if fleet.faults:
        rows = tuple(
            (Cell(safe(each.file, 80)), Cell(safe(each.problem, 200))) for each in fleet.faults[:100]
        )
        yield Section("No reports", (Table(("file", "why not"), rows, (1, 2)),), collapsed=True)


def _percent(one: Share) -> str:
    """With its interval; a share of nothing is none."""
    if one.share is None:
        return "nothing known"
    return f"{100 * one.share:.1f}% ({100 * one.low:.1f} to {100 * one.high:.1f})"


def _techniques(fleet: Fleet) -> Table:
    rows = tuple(
        (
            Cell(terms.TECHNIQUES[each.id]),
            Cell(_percent(each.works)),
            Cell(f"{each.works.of:,}"),
            Cell(f"{each.unknown:,}", "quiet"),
            Cell(f"{each.skipped:,}", "quiet"),
        )
        for each in fleet.techniques
    )
    return Table(("technique", "works (95%)", "known of", "unknown", "skipped"), rows, (0, 1, 0, 0, 0))


def _pairs(pairs: Pairs) -> tuple[Prose | Table, ...]:
    rows = tuple(
        (
            Cell(terms.STRATEGIES.get(each.strategy, each.strategy)),
            Cell(f"{each.transport.upper()}, IPv{each.family}"),
            Cell(f"{100 * each.share:.1f}%"),
            Cell("" if each.odds is None else f"{100 * each.odds:.0f}%"),
        )
        for each in pairs.ways
    )
    unknown = f"; of {100 * pairs.unknown:.1f}% not enough is known" if pairs.unknown else ""
    others = f"{100 * pairs.relay:.1f}% need a relay{unknown}."
    covered = f"Paired were {pairs.networks} networks that differ, {100 * pairs.covered:.1f}% of the reports."
    return (
        Prose(
            f"Connected directly: {_percent(pairs.direct)} of those pairs of which enough is known.",
            "",
            "strong",
        ),
        Prose(others),
        Prose(covered, "", "quiet"),
        Table(("first way", "over", "of all pairs", "odds"), rows, (1, 0, 0, 0)),
    )


def _groups(groups: tuple[GroupShare, ...]) -> Table:
    rows = tuple(
        (
            Cell(safe(each.name, 60) if each.name is not None else "not told"),
            Cell(f"{each.reports:,}"),
            Cell(_percent(each.direct)),
            *(Cell(_short(each.techniques.get(name))) for name in _SHOWN),
        )
        for each in groups[:_MOST_ROWS]
    )
    named = (terms.TECHNIQUES[name] for name in _SHOWN if name in terms.TECHNIQUES)
    return Table(("", "reports", "without a relay (95%)", *named), rows, (1, 0, 1, 0, 0, 0, 0))


def _short(one: Share | None) -> str:
    return "" if one is None or one.share is None else f"{100 * one.share:.0f}%"


def _outliers(fleet: Fleet) -> Table:
    rows = tuple(
        (Cell(safe(each.file, 80)), Cell(each.what), Cell(f"{each.value:.3g}"), Cell(f"{each.usual:.3g}"))
        for each in fleet.outliers
    )
    return Table(("file", "what", "value", "usual at most"), rows, (1, 0, 0, 0))
