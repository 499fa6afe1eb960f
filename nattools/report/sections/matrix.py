"""Which networks connect to which: a triangle with a strategy and a time in each place."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nattools.model.punch import Matrix, PairResult, Strategy
from nattools.model.report import Report
from nattools.report.document import Block, Cell, GridCell, GridChart, Mood, Prose, Section, Table, View
from nattools.report.figures import ROOMY
from nattools.report.safetext import safe
from nattools.wording import terms

MOST_KINDS = 9
NEEDED_COLUMNS = 78
RELIABLE = 0.95
"""With lower odds a failure says nothing by itself."""
SHORT: dict[Strategy, str] = {
    "host": "host",
    "reflexive": "refl",
    "mapped": "map",
    "low-ttl": "ttl",
    "prediction": "pred",
    "birthday": "bday",
    "simultaneous-open": "tcp",
    "relay": "rel",
}
LONG: dict[Strategy, str] = {
    "host": "directly to its own address",
    "reflexive": "hole punching, to the peer's external address",
    "mapped": "through a port mapping",
    "low-ttl": "hole punching again, roles swapped",
    "prediction": "hole punching to the predicted port",
    "birthday": "birthday probes",
    "simultaneous-open": "TCP simultaneous open",
    "relay": "through a relay",
}


def answer(report: Report, view: View) -> list[Section]:
    """How many pairs connected, and on what backend."""
    matrix = report.matrix
    if matrix is None:
        return []
    met = sum(each.connected == each.runs for each in matrix.pairs)
    runs = sum(each.runs for each in matrix.pairs)
    how = "simulated" if report.substrate == "sim" else "in network namespaces"
    low = "" if matrix.low_ports else ", without ports below 1024"
    tries = f" ({terms.number(runs)} tries)" if runs > len(matrix.pairs) else ""
    directly = _directly(matrix)
    text = f"{met} of {len(matrix.pairs)} pairs connect{directly}, {how}{low}{tries}."
    return [Section("", (Prose(text, mood="strong"),))]


def _directly(matrix: Matrix) -> str:
    if not matrix.relay:
        return " directly"
    direct = sum(each.connected == each.runs and not each.relayed for each in matrix.pairs)
    return f", {direct} of them directly"


def pairs(report: Report, view: View) -> list[Section]:
    """The triangle, and what its words mean; nothing if there is no room for it."""
    matrix = report.matrix
    if matrix is None or not _fits(matrix, view):
        return []
    known = {each.pair: each for each in matrix.pairs}
    rows = tuple(
        (f"{number} {safe(kind, 40)}", tuple(_place(known.get((kind, other))) for other in matrix.kinds))
        for number, kind in enumerate(matrix.kinds, 1)
    )
    numbers = tuple(str(number) for number in range(1, len(matrix.kinds) + 1))
    chart = GridChart("Which networks connect to which, by what, in seconds", "network", numbers, rows)
    return [Section("Pairs", (chart,)), _legend(matrix)]


def _fits(matrix: Matrix, view: View) -> bool:
    return len(matrix.kinds) <= MOST_KINDS and view.columns >= NEEDED_COLUMNS


def _place(result: PairResult | None) -> GridCell:
    hint = "" if result is None else f"{_names(result)}: {_connected(result)}"
    return GridCell(_way(result), _time(result), _mood(result), hint, _heat(result))


def _heat(result: PairResult | None) -> float:
    """The quicker, and the oftener, the hotter: 1 for those that connect always within a tenth of a second,
    a quarter less for each ten times as long."""
    if result is None or result.elapsed_s is None or not result.runs:
        return 1.0
    slower = max(math.log10(max(result.elapsed_s[1], 1e-9) / 0.1), 0.0)
    return max(1.0 - slower / 4, 0.0) * result.connected / result.runs


def failures(report: Report, view: View) -> list[Section]:
    """What did not connect, and why."""
    pairs = () if report.matrix is None else report.matrix.pairs
    blocks: list[Block] = []
    for each in pairs:
        if each.connected < each.runs:
            count = "" if each.runs == 1 else f" ({each.runs - each.connected} of {each.runs})"
            why = " ".join(filter(None, (*each.problems[:3], each.why, each.advice)))
            blocks.append(Prose(f"- {_names(each)}{count}: {safe(why)}{_expected(each)}"))
    return [Section("Not connected", tuple(blocks))] if blocks else []


def all_pairs(report: Report, view: View) -> list[Section]:
    """All pairs in a list, with detail or where there was no room for the triangle."""
    matrix = report.matrix
    if matrix is None or (not view.detail and _fits(matrix, view)):
        return []
    table = _list(matrix.pairs, view.columns)
    return [Section("All pairs", (table,), collapsed=_fits(matrix, view))]


def _mood(result: PairResult | None) -> Mood:
    if result is None:
        return "plain"
    if result.connected == 0:
        return "bad"
    return "good" if result.connected == result.runs and not result.relayed else "unsure"


def _connected(result: PairResult) -> str:
    relayed = f", {result.relayed} relayed" if result.relayed else ""
    return f"{result.connected} of {result.runs}{relayed}"


def _way(result: PairResult | None) -> str:
    """At most four characters: by what they connect."""
    if result is None:
        return ""
    if result.strategy is None or not result.connected:
        return "??" if len(result.problems) == result.runs else "no"
    if result.connected < result.runs:
        return f"{min(99, 100 * result.connected // result.runs)}%"
    if result.strategy == "relay":
        return SHORT["relay"]
    return "tcp" if result.transport == "tcp" else SHORT[result.strategy]


def _time(result: PairResult | None) -> str:
    """The median in seconds, in at most four characters."""
    if result is None or result.elapsed_s is None:
        return ""
    seconds = min(max(result.elapsed_s[1], 0.0), 9999.0)
    return f"{seconds:.2f}" if seconds < 9.995 else f"{seconds:.1f}" if seconds < 99.95 else f"{seconds:.0f}"


def _legend(matrix: Matrix) -> Section:
    """Only of the words that occur."""
    ways = {_way(each) for each in matrix.pairs}
    said: list[Block] = [
        Prose(LONG[strategy], short) for strategy, short in SHORT.items() if short in ways and short != "tcp"
    ]
    said += [Prose("over TCP, by a plain connection or a simultaneous open", "tcp")] if "tcp" in ways else []
    said += [Prose("not connected, for the reason below", "no")] if "no" in ways else []
    said += [Prose("could not be tried, for the reason below", "??")] if "??" in ways else []
    said.append(Prose("median time in seconds from when both sides knew the other's candidates", "below"))
    return Section("", tuple(said))


def _expected(result: PairResult) -> str:
    """What the plan promised to a pair that did not connect, if it promised anything."""
    if result.as_planned == result.runs or result.odds is None:
        return ""
    text = f" The plan gave it a chance of {terms.chance(result.odds)}"
    if result.odds < RELIABLE:
        return f"{text}, so it fails now and then: --repeat shows how often."
    return f"{text}."


def _names(result: PairResult) -> str:
    return " and ".join(safe(kind, 40) for kind in result.pair)


def _list(pairs: Sequence[PairResult], columns: int) -> Table:
    titles = ("pair", "connected", "by", "least, median, most s", "packets")
    kept = range(5) if columns >= ROOMY else range(3)
    rows = tuple(tuple(_entry(each)[place] for place in kept) for each in pairs)
    return Table(tuple(titles[place] for place in kept), rows, (2, 0, 1, 1, 0)[: len(kept)])


def _entry(result: PairResult) -> tuple[Cell, ...]:
    by = "" if result.strategy is None else f"{terms.STRATEGIES[result.strategy]} ({result.transport})"
    times = (
        "" if result.elapsed_s is None else ", ".join(f"{min(each, 9999):.3f}" for each in result.elapsed_s)
    )
    packets = "" if result.packets is None else ", ".join(terms.number(each) for each in result.packets)
    return (
        Cell(_names(result)),
        Cell(_connected(result), _mood(result)),
        Cell(by),
        Cell(times),
        Cell(packets),
    )
