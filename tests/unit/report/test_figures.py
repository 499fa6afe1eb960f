"""Figures: in characters within the width, as SVG without a script, with the same words in both."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import msgspec
import pytest
from report_samples import connected, home_router, punched

from nattools.model.nat import Layer, NatByTransport
from nattools.report.document import (
    Bar,
    BarChart,
    Cell,
    Document,
    EventChart,
    Figure,
    GridCell,
    GridChart,
    OutsidePeer,
    PathChart,
    PathNode,
    ReachChart,
    Section,
    TimelineEvent,
)
from nattools.report.html import render_html
from nattools.report.markdown import render_markdown
from nattools.report.svgcharts import render_narrow_svg, render_svg
from nattools.report.terminal import plain_text, render_text

BARS = BarChart(
    "Round trips",
    ("to", "shortest"),
    (
        Bar("near", 0.01, "10 ms"),
        Bar("far", 0.2, "200 ms", "bad"),
        Bar("silent", None, "no answer", "unsure"),
    ),
)
EVENTS = EventChart(
    "What happened",
    ("here", "there"),
    (
        TimelineEvent(0.5, "here", "plan", Cell("ok", "good"), Cell("two steps")),
        TimelineEvent(2.25, "there", "attempt", Cell("no", "bad"), Cell("nothing came <b>", "bad")),
    ),
    more=3,
)
GRID = GridChart(
    "Who connects",
    "network",
    ("1", "2"),
    (
        ("1 open", (GridCell("host", "0.01", "good"), GridCell("no", "", "bad"))),
        ("2 shut", (GridCell(""), GridCell("??", "", "unsure"))),
    ),
)
PATH = PathChart(
    "The path",
    (
        PathNode("This machine", "10.0.0.2"),
        PathNode("NAT", "10.0.0.1", "plain", ("translates",)),
        PathNode("Internet", "11.1.0.2"),
    ),
)
REACH = ReachChart(
    "Who gets in",
    "This machine",
    "NAT",
    (
        OutsidePeer("A peer", "port 7", True),
        OutsidePeer("Anybody", "port 8", False),
        OutsidePeer("Others", "port 9", None),
    ),
)
FIGURES: tuple[Figure, ...] = (BARS, EVENTS, GRID, PATH, REACH)


def drawn(figure: Figure, columns: int) -> list[str]:
    text = plain_text(Document("", (Section("Figure", (figure,)),)), columns)
    return [line for line in text.splitlines() if line]


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_in_characters_a_figure_fits_the_width(figure: Figure, columns: int) -> None:
    lines = drawn(figure, columns)
    assert max(map(len, lines)) <= columns
    assert all(line.isascii() and line.isprintable() for line in lines)


def test_bars_are_as_long_as_their_values() -> None:
    near, far, silent = drawn(BARS, 80)[-3:]
    assert near.count("#") * 20 == far.count("#")
    assert "#" not in silent
    assert "no answer" in silent


def test_a_timeline_names_sides_times_and_outcomes() -> None:
    lines = [line.split() for line in drawn(EVENTS, 80)]
    assert ["0.50", "here", "plan", "ok", "two", "steps"] in lines
    assert ["2.25", "there", "attempt", "no", "nothing", "came", "<b>"] in lines
    assert lines[-1] == ["and", "3", "more"]


def test_a_grid_has_one_line_a_row_where_there_is_room() -> None:
    assert ["1", "open", "host", "0.01", "no"] in [line.split() for line in drawn(GRID, 200)]
    narrow = [line.split() for line in drawn(GRID, 80)]
    assert ["1", "open", "host", "no"] in narrow
    assert ["0.01"] in narrow


def test_a_path_goes_across_where_it_fits_and_down_where_not() -> None:
    across = drawn(PATH, 80)
    assert across[-2].strip() == "This machine --- NAT -------- Internet"
    assert across[-1].split() == ["10.0.0.2", "10.0.0.1", "11.1.0.2"]
    assert across[-1].index("10.0.0.1") == across[-2].index("NAT")
    assert [line.split()[-1] for line in drawn(PATH, 40)[-3:]] == ["10.0.0.2", "10.0.0.1", "11.1.0.2"]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.open.append(tag)
        self.words += [value or "" for name, value in attrs if name == "aria-label"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (BARS, ("near", "10 ms", "no answer")),
        (EVENTS, ("here", "there", "two steps", "nothing came <b>", "0.50 s")),
        (GRID, ("1 open", "host", "0.01", "??")),
        (PATH, ("This machine", "10.0.0.1", "Internet", "translates")),
        (REACH, ("A peer", "sees you at", "port 7", "gets in", "kept out", "not known")),
    ],
)
def test_as_svg_it_is_well_formed_and_says_all_of_it(figure: Figure, words: tuple[str, ...]) -> None:
    for drawn in filter(None, (render_svg(figure), render_narrow_svg(figure))):
        check_svg(drawn, figure.caption, words)


def check_svg(drawn: str, caption: str, words: tuple[str, ...]) -> None:
    tags = Tags()
    tags.feed(drawn)
    tags.close()
    assert tags.open == []
    assert tags.seen <= {"svg", "title", "text", "rect", "circle", "line", "path"}
    said = " ".join(tags.words)
    assert all(word in said for word in (caption, *words))


def test_a_figure_without_values_is_drawn() -> None:
    for empty in (
        BarChart("x", ("a", "b"), ()),
        BarChart("x", ("a", "b"), (Bar("zero", 0.0, "0"),)),
        EventChart("x", ("here",), ()),
        EventChart("x", ("here",), (TimelineEvent(1e300, "here", "s", Cell(""), Cell("late")),)),
        GridChart("x", "y", (), ()),
        PathChart("x", (PathNode("here", ""),)),
        PathChart("x", ()),
        ReachChart("x", "here", "NAT", ()),
    ):
        assert render_svg(empty).startswith("<svg")
        assert "nan" not in render_narrow_svg(empty)
        assert drawn(empty, 80) is not None


def test_the_longest_bar_fits_whatever_a_saved_report_says_that_was_measured() -> None:
    chart = BarChart("x", ("a", "b"), (Bar("far", 1e308, "far"), Bar("near", 1e300, "near")))
    assert drawn(chart, 80)[-2].endswith("#" * 40)
    for picture in (render_svg(chart), render_narrow_svg(chart)):
        assert "inf" not in picture
        assert "nan" not in picture


def test_reports_have_their_figures() -> None:
    page = render_html(home_router())
    assert "The path to the internet: This machine 10.0.0.2 Linux 6.1; NAT 10.0.0.1 translates" in page
    assert "Round trips to servers: 11.201.0.2:3478 30.1 ms" in page
    assert "Who gets in over UDP: A peer that you sent to" in page
    assert page.count("<svg") == 2 * 3  # for a screen, and for a telephone
    assert "What happened, by side:" in render_html(punched(connected()))


def test_the_path_has_every_nat_and_who_owns_it() -> None:
    report = home_router()
    assert report.nat.udp4 is not None
    layers = (
        Layer(hops=1, address="10.0.0.1", role="nat"),
        Layer(hops=2, address=None, role="unknown"),
        Layer(hops=3, address="100.64.0.1", role="carrier-nat"),
    )
    nat = NatByTransport(udp4=msgspec.structs.replace(report.nat.udp4, layers=layers))
    text = render_text(msgspec.structs.replace(report, nat=nat), detail=1, columns=120)
    assert re.search(r"This machine -+ NAT -+ Hop -+ Provider's NAT -+ Internet", text)
    assert "| Hop | did not answer |" in render_markdown(msgspec.structs.replace(report, nat=nat))
