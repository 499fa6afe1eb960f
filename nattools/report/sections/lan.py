"""The local network in plain words: what passes, who is here, and for which programs that is enough."""

from __future__ import annotations

from nattools.model.lan import Lan, LanNeighbour, LanReadiness
from nattools.model.report import Report
from nattools.report.document import Cell, Mood, Prose, Section, Table, View
from nattools.report.safetext import safe
from nattools.report.sections import summary
from nattools.wording import terms

MOST_ROWS = 40
MOODS: dict[bool | None, Mood] = {True: "good", False: "bad", None: "unsure"}


def answer(report: Report, view: View) -> list[Section]:
    """What passes, and what to do."""
    found = report.lan
    if found is None:
        return []
    lines = (Prose(safe(found.why), mood="strong"), *summary.to_do(found.to_do[:4]))
    return summary.summary(report, lines)


def passing(report: Report, view: View) -> list[Section]:
    """Between machines here."""
    found = report.lan
    if found is None:
        return []
    rows = (
        ("To one machine", found.unicast, "unicast"),
        ("To all", found.broadcast, "broadcast"),
        ("To a group over IPv4", found.multicast4, "multicast"),
        ("To a group over IPv6", found.multicast6, "multicast"),
        ("Names and services", found.mdns.works, "multicast DNS, asked from port 5353"),
    )
    table = Table(
        ("between machines here", "passes", ""),
        tuple(
            (Cell(name), Cell(terms.yes_no(value), MOODS[value]), Cell(what)) for name, value, what in rows
        ),
        (0, 0, 1),
    )
    return [Section("Passing", (table,), f"on {safe(found.interface, 20)}")]


def neighbours(report: Report, view: View) -> list[Section]:
    """Who is here."""
    found = report.lan
    if found is None or not found.neighbours:
        return []
    shown = found.neighbours if view.detail else found.neighbours[:MOST_ROWS]
    table = Table(("here", "name", "what it is, what it offers"), tuple(map(_neighbour, shown)), (0, 0, 1))
    left = len(found.neighbours) - len(shown)
    more = (Prose(f"and {left} more: -v shows all."),) if left else ()
    return [Section("Neighbours", (table, *more))]


def _neighbour(each: LanNeighbour) -> tuple[Cell, ...]:
    parts = ["router"] if each.gateway else []
    parts += ["runs nattools lan"] if each.nattools else []
    parts += ["on another network, by a reflector"] if each.elsewhere else []
    parts += [*each.services]
    return Cell(safe(each.address, 50)), Cell(safe(each.name, 40)), Cell(safe(", ".join(parts), 200))


def programs(report: Report, view: View) -> list[Section]:
    """The programs for which the network is enough."""
    found = report.lan
    if found is None:
        return []
    rows = tuple(_program(name, ready) for name, ready in _programs(found))
    return [Section("Programs", (Table(("program", "ready", "why"), rows, (0, 0, 1)),))]


def _programs(found: Lan) -> tuple[tuple[str, LanReadiness], ...]:
    return (
        ("Yggdrasil", found.yggdrasil),
        ("batman-adv", found.batman),
        ("qaul", found.qaul),
        ("Syncthing", found.syncthing),
        ("AirPlay, Chromecast", found.casting),
    )


def _program(name: str, one: LanReadiness) -> tuple[Cell, ...]:
    return Cell(name), Cell(terms.yes_no(one.ready), MOODS[one.ready]), Cell(safe(one.why))
