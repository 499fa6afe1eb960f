"""Relays in a report: what a person reads, at every width, whatever a map or a server is called."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from msgspec.structs import replace
from report_samples import home_router

from nattools.model.relay import Relay, RelayError, RelayStep, RoundTrips
from nattools.model.report import Report
from nattools.report.html import render_html
from nattools.report.markdown import render_markdown
from nattools.report.sections.relays import headline
from nattools.report.terminal import render_text

NEAR = Relay(
    kind="turn",
    uri="turn:near.example",
    transport="udp",
    works=True,
    rtt_ms=RoundTrips(min=19.8, median=20.1, p95=31.0),
    jitter_ms=0.4,
    loss=0.1,
    reordered=1,
    throughput_mbps=87.3,
    relayed="11.201.0.2:50000",
    direct_rtt_ms=19.5,
    mtu=1452,
    steps=(RelayStep(step="allocate", ok=True, ms=20.0, detail="11.201.0.2:50000"),),
    rank=1,
)
FAR = Relay(kind="derp", uri="derp://far.example", region="Far", transport="tls", direct_rtt_ms=140.0, rank=2)
REFUSED = Relay(
    kind="turn",
    uri="turns:far.example:443",
    transport="tls",
    works=False,
    steps=(RelayStep(step="authenticate", ok=False, ms=20.0, detail="401"),),
    error=RelayError(
        step="authenticate", code=401, name="Unauthorized", meaning="It does not.", advice="Ask."
    ),
)
SILENT = Relay(kind="derp", uri="derp://silent.example", transport="tls")


def report(*rows: Relay) -> Report:
    return replace(home_router(), command="relay", relays=rows)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ((NEAR,), "The relay works over UDP: 20.1"),
        ((NEAR, FAR), "The relay works over UDP: 20.1"),
        ((NEAR, REFUSED), "1 of 2 relays work; the best is turn:near.example over UDP: 20.1"),
        ((REFUSED,), "The relay does not work here."),
        ((REFUSED, replace(REFUSED, transport="udp")), "The relay does not work here."),
        ((FAR, SILENT), "The nearest relay is Far (far.example), 140"),
        ((SILENT,), "No relay answered."),
        ((), "No relay was asked."),
    ],
)
def test_the_first_line(rows: tuple[Relay, ...], says: str) -> None:
    assert headline(report(*rows)).replace("\u00a0", " ").startswith(says)


def test_a_throughput_that_was_measured_stands_beside_the_round_trip() -> None:
    text = " ".join(render_text(report(NEAR, FAR)).split())
    assert "LOSS THROUGHPUT" in text
    assert "87.3 Mbit/s" in text
    assert "THROUGHPUT" not in render_text(report(replace(NEAR, throughput_mbps=None)))


def test_each_relay_has_a_row_with_what_it_costs_or_why_it_does_not_relay() -> None:
    text = " ".join(render_text(report(NEAR, FAR, REFUSED, SILENT), detail=1).split())
    for part in (
        "1 turn:near.example UDP 20.1 ms 19.5 ms 10% 87.3 Mbit/s",
        "2 Far (far.example) not tried 140 ms",
        "turns:far.example:443 TLS log in (401) It does not. Ask.",
        "derp://silent.example".removeprefix("derp://") + " TLS It did not answer in the time given.",
        "19.8 ms 20.1 ms 31 ms 0.4 ms 1 1452 bytes",
        "turn:near.example UDP allocate 20 ms 11.201.0.2:50000",
    ):
        assert part in text, part


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
@pytest.mark.parametrize("detail", [0, 1, 2])
def test_no_line_is_wider_than_the_terminal(columns: int, detail: int) -> None:
    text = render_text(report(NEAR, FAR, REFUSED, SILENT), detail=detail, columns=columns)  # type: ignore[arg-type]
    assert max(map(len, text.splitlines())) <= columns


def test_many_are_cut_short_unless_all_are_wanted() -> None:
    rows = tuple(replace(FAR, uri=f"derp://n{number}.example", rank=number + 1) for number in range(90))
    assert "and 70 more" in render_text(report(*rows))
    assert "n89.example" in render_text(report(*rows), detail=1)


def test_names_from_a_map_cannot_drive_a_terminal_or_a_page() -> None:
    evil = "\x1b[2J<script>alert(1)</script>\u202e"
    rows = (replace(FAR, region=evil, uri=f"derp://{evil}"), replace(REFUSED, uri=evil))
    hostile = report(*rows)
    for text in (render_text(hostile, detail=2), render_markdown(hostile), render_html(hostile)):
        assert "\x1b" not in text
        assert "\u202e" not in text
    page = render_html(hostile)
    assert "<script" not in page
    HTMLParser().feed(page)
    assert render_html(report(NEAR, FAR)).count("<svg") == 2
