"""The HTML page: valid, for any width, readable by everybody, and first what a helpdesk asks."""

from __future__ import annotations

import re

import pytest
from htmlpages import check_page
from msgspec.structs import replace
from report_samples import connected, home_router, not_connected, port_restricted, punched

from nattools.model.ending import Ending
from nattools.model.nat import Nat, NatByTransport
from nattools.model.report import Advice, Report
from nattools.report.html import render_html
from nattools.report.pagestyle import STYLE


def ended() -> Report:
    advice = Advice(reachable="offline", headline="This machine is connected to no network.")
    return replace(home_router(), ended=Ending(step="link", why="No interface is up."), advice=advice)


@pytest.mark.parametrize(
    "report",
    [
        home_router(),
        punched(connected()),
        punched(not_connected()),
        ended(),
        replace(home_router(), command="nat", advice=None),
        replace(home_router(), command="map", mappings=(), techniques=()),
        replace(home_router(), command="lab"),
    ],
    ids=["diagnose", "connected", "not connected", "ended", "nat", "map", "lab"],
)
def test_it_is_valid_and_asks_for_nothing(report: Report) -> None:
    check_page(render_html(report))


def shared() -> Nat:
    return replace(port_restricted(), cgnat=True, double_nat=True)


@pytest.mark.parametrize(
    ("nat", "says"),
    [
        (port_restricted(), "Outside address 11.1.0.2 Provider's NAT no"),
        (shared(), "Provider's NAT yes: the address is shared among customers (CGNAT)"),
        (replace(port_restricted(), cgnat=None), "Provider's NAT not known"),
        (
            Nat(reachable=True, present=False),
            "Outside address not known Provider's NAT none: there is no NAT",
        ),
    ],
)
def test_first_comes_what_a_helpdesk_asks(nat: Nat, says: str) -> None:
    text = " ".join(check_page(render_html(replace(home_router(), nat=NatByTransport(udp4=nat)))).split())
    answer = text.index("This machine can be reached directly, by hole punching.")
    assert answer < text.index("Measured 2026-01-02 03:04:05 UTC on eth0, in 1.2 s") < text.index(says)
    assert text.index(says) < text.index("Best way") < text.index("Who gets in") < text.index("Direct IPv4")


def test_the_answer_shows_whether_it_is_good_news() -> None:
    assert '<p class="verdict good">' in render_html(home_router())
    assert '<p class="verdict bad">' in render_html(ended())
    assert '<p class="verdict bad">' in render_html(punched(not_connected()))


def test_paragraphs_that_belong_together_are_one_list() -> None:
    page = render_html(home_router())
    assert re.search(r"<dt>To do</dt><dd[^>]*>For all of them[^<]*</dd><dd[^>]*>Keep a relay.</dd>", page)


def test_a_telephone_shows_the_titles_beside_what_stands_under_them() -> None:
    assert '<th scope="row" class="plain">TCP hole punching</th><td class="unsure" data-t="Verdict">' in (
        render_html(home_router())
    )


def test_what_is_wider_than_a_telephone_can_be_moved_with_the_keyboard() -> None:
    page = render_html(punched(connected()))
    assert '<figure class="scrolls" tabindex="0" role="group" aria-label="What happened, by side">' in page


def colours(style: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", style))


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "card"])
@pytest.mark.parametrize("text", ["ink", "quiet", "good", "bad", "unsure"])
def test_all_text_can_be_read(theme: int, ground: str, text: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1."""
    named = colours(STYLE.split(":root")[1 + theme])
    assert contrast(named[text], named[ground]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("line", ["mark", "edge"])
def test_all_lines_that_mean_something_can_be_seen(theme: int, line: str) -> None:
    """WCAG 2.2, 1.4.11: 3 to 1."""
    named = colours(STYLE.split(":root")[1 + theme])
    assert contrast(named[line], named["paper"]) >= 3


def test_what_is_folded_away_is_on_paper() -> None:
    assert "<details>" in render_html(home_router())
    assert "details::details-content { content-visibility: visible; }" in STYLE.partition("@media print {")[2]
