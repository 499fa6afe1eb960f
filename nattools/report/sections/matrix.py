"""Which networks connect to which: a triangle with a strategy and a time in each place."""

from __future__ import annotations

from collections.abc import Sequence

from nattools.model.matrix import Matrix, PairResult
from nattools.model.punch import Strategy
from nattools.model.report import Report
from nattools.report.document import Block, Cell, Mood, Prose, Section, Table
from nattools.report.safetext import safe
from nattools.wording import terms

MOST_KINDS = 9
NEEDED_COLUMNS = 78
ROOMY = 150
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
    "host": "straight to its own address",
    "reflexive": "hole punching, to where the other is seen from outside",
    "mapped": "through a port mapping",
    "low-ttl": "hole punching once more, with other roles",
    "prediction": "hole punching to the port that was predicted",
    "birthday": "birthday probes",
    "simultaneous-open": "TCP, opened from both sides at once",
    "relay": "through a relay",
}


def headline(report: Report, matrix: Matrix) -> str:
    """How many connected, and where this was tried."""
    met = sum(each.connected == each.runs for each in matrix.pairs)
    runs = sum(each.runs for each in matrix.pairs)
    how = "simulated" if report.substrate == "sim" else "in network namespaces"
    low = "" if matrix.low_ports else ", without ports below 1024"
    tries = f" ({terms.number(runs)} tries)" if runs > len(matrix.pairs) else ""
    return f"{met} of {len(matrix.pairs)} pairs connect directly, {how}{low}{tries}."


def sections(matrix: Matrix, columns: int, *, listed: bool) -> list[Section]:
    """The triangle, what its words mean, what did not connect; and all pairs in a list if `listed`, or if
    there is no room for the triangle."""
    fits = len(matrix.kinds) <= MOST_KINDS and columns >= NEEDED_COLUMNS
    found = [Section("Pairs", (_triangle(matrix, columns),)), _legend(matrix)] if fits else []
    found += _failures(matrix.pairs)
    if listed or not fits:
        found.append(Section("All pairs", (_list(matrix.pairs, columns),), collapsed=fits))
    return found


def _triangle(matrix: Matrix, columns: int) -> Table:
    known = {each.pair: each for each in matrix.pairs}
    titles = ("network", *(str(number) for number in range(1, len(matrix.kinds) + 1)))
    rows: list[tuple[Cell, ...]] = []
    for number, kind in enumerate(matrix.kinds, 1):
        across = [known.get((kind, other)) for other in matrix.kinds]
        label = Cell(f"{number} {safe(kind, 40)}", "strong")
        if columns >= ROOMY:
            rows.append((label, *(_cell(each, f"{_way(each)} {_time(each)}".strip()) for each in across)))
        else:
            rows.append((label, *(_cell(each, _way(each)) for each in across)))
            rows.append((Cell(""), *(_cell(each, _time(each)) for each in across)))
    return Table(titles, tuple(rows), (1, *(0 for _ in matrix.kinds)))


def _cell(result: PairResult | None, text: str) -> Cell:
    mood: Mood = "plain"
    if result is not None:
        mood = "good" if result.connected == result.runs else "bad" if result.connected == 0 else "unsure"
    return Cell(text, mood)


def _way(result: PairResult | None) -> str:
    """At most four characters: by what they connect."""
    if result is None:
        return ""
    if result.strategy is None or not result.connected:
        return "??" if len(result.problems) == result.runs else "no"
    if result.connected < result.runs:
        return f"{min(99, 100 * result.connected // result.runs)}%"
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
    said += (
        [Prose("over TCP, connected to or opened from both sides at once", "tcp")] if "tcp" in ways else []
    )
    said += [Prose("not connected: why is said below", "no")] if "no" in ways else []
    said += [Prose("could not be tried: why is said below", "??")] if "??" in ways else []
    said.append(Prose("seconds from when both sides knew where the other can be tried, the median", "below"))
    return Section("", tuple(said))


def _failures(pairs: Sequence[PairResult]) -> list[Section]:
    failed = [each for each in pairs if each.connected < each.runs]
    blocks: list[Block] = []
    for each in failed:
        count = "" if each.runs == 1 else f" ({each.runs - each.connected} of {each.runs})"
        planned = "" if each.as_planned == each.runs else " This was not planned."
        why = " ".join((*each.problems[:3], each.why, each.advice))
        blocks.append(Prose(f"- {_names(each)}{count}: {safe(why)}{planned}"))
    return [Section("Not connected", tuple(blocks))] if blocks else []


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
        _cell(result, f"{result.connected} of {result.runs}"),
        Cell(by),
        Cell(times),
        Cell(packets),
    )
