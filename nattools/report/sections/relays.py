"""Relays in plain words: the best first, what each costs, and why others do not relay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nattools.model.relay import Relay, RelayStep
from nattools.model.report import Report
from nattools.report.document import Bar, BarChart, Cell, Mood, Prose, Section, Table, View
from nattools.report.figures import ROOMY
from nattools.report.safetext import safe
from nattools.report.sections import summary
from nattools.wording import terms

MOST_ROWS = 20
STEPS: dict[str, str] = {
    "resolve": "name",
    "connect": "connect",
    "tls": "TLS",
    "authenticate": "log in",
    "allocate": "allocate",
    "permit": "permit",
    "relay": "relay",
}


def answer(report: Report, view: View) -> list[Section]:
    """Which relay is best, and what to do if none works."""
    lines = (Prose(headline(report), mood="strong"), *summary.to_do(tuple(_to_do(report))))
    return summary.summary(report, lines)


def headline(report: Report) -> str:
    """What came of `nattools relay`, as a sentence."""
    tried = {row.uri for row in report.relays if row.works is not None}
    working = [row for row in report.relays if row.works]
    if working:
        best, many = working[0], len(tried) > 1
        count = (
            f"{len({row.uri for row in working})} of {len(tried)} relays work" if many else "The relay works"
        )
        which = f"; the best is {_name(best)} over {_over(best)}" if many else f" over {_over(best)}"
        return (
            f"{count}{which}: {terms.known_ms(best.rtt_ms.median if best.rtt_ms else None)} there and back."
        )
    near = next((row for row in report.relays if row.works is None and row.direct_rtt_ms is not None), None)
    if tried:
        return (
            "The relay does not work here." if len(tried) == 1 else f"None of {len(tried)} relays works here."
        )
    if any(row.error is not None and row.works is None for row in report.relays):
        return "This machine left the network meanwhile: nobody knows whether the relay works here."
    if near is not None:
        return (
            f"The nearest relay is {_name(near)}, {terms.known_ms(near.direct_rtt_ms)} away; none was tried."
        )
    return "No relay answered." if report.relays else "No relay was asked."


def _to_do(report: Report) -> Iterator[str]:
    """What would make one of them work, each once."""
    if any(row.works for row in report.relays):
        return
    advice = [row.error.advice for row in report.relays if row.error is not None and row.error.advice]
    yield from tuple(dict.fromkeys(advice))[:2]


def relays(report: Report, view: View) -> list[Section]:
    """A row for each that works or was asked how far away it is."""
    rows = [row for row in report.relays if row.rank is not None]
    if not rows:
        return []
    shown = rows if view.detail else rows[:MOST_ROWS]
    kept = _columns(rows, view)
    titles = ("", "relay", "over", "through it", "to it", "jitter", "loss", "throughput")
    cells = tuple(tuple(_row(row)[place] for place in kept) for row in shown)
    table = Table(tuple(titles[place] for place in kept), cells, (0, 1, *[0] * (len(kept) - 2)))
    more = (Prose(f"and {len(rows) - len(shown)} more: -v shows all."),) if len(rows) > len(shown) else ()
    return [Section("Relays", (table, *more))]


def _columns(rows: Sequence[Relay], view: View) -> tuple[int, ...]:
    """Throughput if it was measured; in place of the jitter where there is no room for both."""
    rates = any(row.throughput_mbps is not None for row in rows)
    return (*range(5), *(() if rates and view.columns < ROOMY else (5,)), 6, *((7,) if rates else ()))


def _row(row: Relay) -> tuple[Cell, ...]:
    mood: Mood = "good" if row.works else "plain"
    loss = "" if row.loss is None else terms.percent(row.loss)
    return (
        Cell(str(row.rank)),
        Cell(_name(row)),
        Cell(_over(row) if row.works else "not tried", "plain" if row.works else "quiet"),
        Cell(terms.known_ms(row.rtt_ms.median if row.rtt_ms else None), mood),
        Cell(terms.known_ms(row.direct_rtt_ms)),
        Cell(terms.known_ms(row.jitter_ms)),
        Cell(loss, "unsure" if row.loss else "plain"),
        _rate(row),
    )


def _rate(row: Relay) -> Cell:
    rate = row.throughput_mbps
    return Cell("" if rate is None else f"{terms.number(rate)}{terms.TIE}Mbit/s")


def chart(report: Report, view: View) -> list[Section]:
    """The round trips beside each other: through the relay where a byte was relayed, else to it."""
    rows = [row for row in report.relays if row.rank is not None][:MOST_ROWS]
    if len(rows) < 2:
        return []
    bars = tuple(_bar(row) for row in rows)
    return [Section("Round trips", (BarChart("Round trips by relay", ("relay", "round trip"), bars),))]


def _bar(row: Relay) -> Bar:
    value = row.rtt_ms.median if row.rtt_ms else row.direct_rtt_ms
    return Bar(
        f"{_name(row)} {_over(row)}",
        value,
        terms.known_ms(value),
        "good" if row.works else "plain",
    )


def figures(report: Report, view: View) -> list[Section]:
    """What else was measured through those that work."""
    rows = [row for row in report.relays if row.works]
    if not rows:
        return []
    titles = ("relay", "over", "min", "median", "95%", "jitter", "behind", "largest")
    table = Table(titles, tuple(map(_figures, rows)), (1, *[0] * (len(titles) - 1)))
    return [Section("Through them", (table,))]


def _figures(row: Relay) -> tuple[Cell, ...]:
    trips = row.rtt_ms
    values = (None, None, None) if trips is None else (trips.min, trips.median, trips.p95)
    return (
        Cell(_name(row)),
        Cell(_over(row)),
        *(Cell(terms.known_ms(each)) for each in (*values, row.jitter_ms)),
        Cell("" if row.reordered is None else terms.number(row.reordered)),
        Cell("" if row.mtu is None else f"{terms.number(row.mtu)}{terms.TIE}bytes"),
    )


def failures(report: Report, view: View) -> list[Section]:
    """The relays that do not relay: how far each came, what that means and what to do."""
    rows = [row for row in report.relays if row.rank is None]
    if not rows:
        return []
    shown = rows if view.detail else rows[:MOST_ROWS]
    table = Table(("relay", "over", "fails at", "why"), tuple(map(_failure, shown)), (1, 0, 0, 1))
    more = (Prose(f"and {len(rows) - len(shown)} more: -v shows all."),) if len(rows) > len(shown) else ()
    return [Section("Not working", (table, *more))]


def _failure(row: Relay) -> tuple[Cell, ...]:
    if row.error is None:
        return (
            Cell(_name(row)),
            Cell(_over(row)),
            Cell("", "unsure"),
            Cell("It did not answer in the time given."),
        )
    code = "" if row.error.code is None else f" ({terms.number(row.error.code)})"
    step = STEPS.get(row.error.step, row.error.step)
    why = f"{row.error.meaning} {row.error.advice}".strip()
    return Cell(_name(row)), Cell(_over(row)), Cell(safe(step + code, 60), "bad"), Cell(safe(why))


def steps(report: Report, view: View) -> list[Section]:
    """Each step of each relay, with its time."""
    rows = [
        (Cell(_name(row) if first else ""), Cell(_over(row) if first else ""), *_step(step))
        for row in report.relays
        for first, step in ((step is row.steps[0], step) for step in row.steps)
    ]
    if not rows:
        return []
    table = Table(("relay", "over", "step", "took", ""), tuple(rows), (0, 0, 0, 0, 1))
    return [Section("Step by step", (table,), collapsed=True)]


def _step(step: RelayStep) -> tuple[Cell, ...]:
    mood: Mood = "good" if step.ok else "bad"
    name = STEPS.get(step.step, step.step)
    return Cell(name, mood), Cell(terms.known_ms(step.ms)), Cell(safe(step.detail, 120))


def _name(row: Relay) -> str:
    """A region's name with its server, where it has one."""
    uri = row.uri.removeprefix("derp://")
    return safe(f"{row.region} ({uri})" if row.region else row.uri, 80)


def _over(row: Relay) -> str:
    return row.transport.upper()
