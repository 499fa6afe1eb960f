"""What a person reads of a punch."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from report_mutations import mutated
from report_samples import PLAN, STAGES, connected, not_connected, punched

from nattools.engine.analyse import reanalyse
from nattools.errors import UsageError
from nattools.model.nat import NatByTransport
from nattools.model.punch import Echoes, Punch, Stage
from nattools.model.punchmtu import OneWayMtu, PunchMtu
from nattools.net.addresses import is_public
from nattools.report.document import View
from nattools.report.html import render_html
from nattools.report.markdown import render_markdown
from nattools.report.savedreport import load, problems, render_json
from nattools.report.sections.punch import MOST_STAGES, headline, plan_section, timeline
from nattools.report.terminal import render_text

replace = msgspec.structs.replace
ATTACK = '\x1b[2J\x9b31m\u202e\x07\r<script>alert("1")</script> [x](http://e) `|` @all \ud7ff\u2028'


def joined(text: str) -> str:
    return " ".join(text.split())


def test_the_answer_comes_first_then_why() -> None:
    text = joined(render_text(punched()))
    assert text.startswith(
        "Measured in the scenario home-router:alice (simulated), not on this machine's network. "
        "Connected directly to 11.2.0.2:50123 over UDP by hole punching with birthday probes, in 1.1 s. "
        "Why One of our 402 packets met"
    )
    assert "Round trip 31.4 ms (9 of 10 echoes came back, in 30.2 ms to 44 ms)" in text
    assert "Spare paths TCP, 10.0.0.2:40002 to 11.2.0.2:443, 33 ms" in text
    assert "Would help" not in text


def test_a_failure_says_why_and_what_would_help() -> None:
    text = joined(render_text(punched(not_connected())))
    assert "Not connected. Why Both NATs draw ports at random" in text
    assert "Would help Let nattools bind ports below 1024" in text
    assert "Round trip" not in text
    assert "Secured" not in text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"strategy": "host", "elapsed_s": 0.004}, "over UDP, straight to its own address, in 4 ms."),
        ({"strategy": "reflexive", "elapsed_s": 0.12}, "over UDP by hole punching, in 120 ms."),
        ({"strategy": "mapped"}, "through a port mapping"),
        ({"strategy": "prediction"}, "its next port predicted"),
        ({"strategy": "simultaneous-open", "transport": "tcp"}, "over TCP by opening at the same moment"),
        ({"strategy": "relay", "path": "relayed"}, "Connected through a relay to 11.2.0.2:50123 over UDP,"),
        ({"connected": False}, "Not connected."),
        ({"remote": None, "transport": None, "strategy": None, "elapsed_s": None}, "Connected directly."),
    ],
)
def test_headlines(changes: dict[str, Any], says: str) -> None:
    assert says in headline(replace(connected(), **changes)).replace("\u00a0", " ")


def test_nothing_tried_is_said() -> None:
    assert headline(None) == "Nothing was tried."
    assert "Nothing was tried." in render_text(replace(punched(), punch=None))


def test_the_plan_has_odds_packets_and_time() -> None:
    text = joined(render_text(punched()))
    assert "hole punching, birthday probes UDP 98.35% 1024, 258 3.2 s" in text
    assert "hole punching with a low TTL UDP in reserve" in text
    assert "98.35% to connect directly, if both networks are as measured." in text
    assert "- Hole punching, birthday probes: Its port changes at random" in text
    assert plan_section((), None) == []


def test_the_timeline_has_both_sides_and_what_went_to_and_fro() -> None:
    lines = [joined(line) for line in render_text(punched()).splitlines()]
    assert "8.20 there mailbox ok it came, with the same code" in lines
    assert "9.30 here router no the router opens no ports" in lines
    assert "10.40 here attempt ok 11.2.0.2:50123 answered (402 sent, 1 seen)" in lines
    assert timeline(punched(replace(connected(), stages=())), View()) == []


def test_a_long_timeline_is_cut_and_says_so() -> None:
    stages = (Stage(at_s=1.0, side="here", stage="again", text="x"),) * (MOST_STAGES + 7)
    text = render_text(punched(replace(connected(), stages=stages)))
    assert text.count("again") == MOST_STAGES
    assert "and 7 more" in text


def test_the_network_is_a_line_each_and_all_of_it_on_request() -> None:
    text = joined(render_text(punched()))
    assert "UDP over IPv4 one NAT, no second one behind it; one external port for all peers;" in text
    assert "Mapping" not in text
    assert "Mapping one external port for all peers" in joined(render_text(punched(), detail=1))
    assert "NETWORK" not in render_text(replace(punched(), nat=NatByTransport()))


def test_echoes_that_all_got_lost() -> None:
    lost = replace(connected(), echoes=Echoes(sent=10, received=0))
    assert "Round trip 0 of 10 echoes came back" in joined(render_text(punched(lost)))


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("detail", [0, 1, 2])
@pytest.mark.parametrize("punch", [connected(), not_connected()])
def test_no_line_is_wider_than_the_terminal(columns: int, detail: int, punch: Punch) -> None:
    text = render_text(punched(punch), columns=columns, detail=detail)  # type: ignore[arg-type]
    assert max(len(line) for line in text.splitlines()) <= columns


def test_markdown_and_html_say_the_same() -> None:
    markdown, page = render_markdown(punched()), render_html(punched())
    assert markdown.startswith("## nattools punch\n")
    for text in (markdown.replace("\\", ""), page):
        assert "Connected directly to 11.2.0.2:50123 over UDP" in text
        assert "it came, with the same code" in text
        assert "in reserve" in text


def test_json_reads_back_and_is_analysed_again_with_its_punch() -> None:
    report = load(render_json(punched()).encode())
    assert report == punched()
    assert reanalyse(report, is_public=is_public).punch == connected()


def test_inconsistent_punches_are_named() -> None:
    assert problems(punched()) == []
    wrong = replace(connected(), odds=1.5, path=None)
    assert problems(punched(wrong)) == [
        "punch: odds that are not between 0 and 1",
        "punch: connected, but without a path",
    ]


def test_a_hostile_peer_cannot_write_on_the_terminal() -> None:
    stages = tuple(replace(each, text=ATTACK) for each in STAGES)
    plan = tuple(replace(each, why=ATTACK) for each in PLAN)
    evil = replace(connected(), why=ATTACK, advice=ATTACK, remote=ATTACK, stages=stages, plan=plan)
    report = punched(evil)
    assert all(each.isprintable() or each == "\n" for each in render_text(report))
    assert "<script>" not in render_html(report)
    assert "<script>" not in render_markdown(report)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(mutated())
def test_whatever_a_report_says_it_is_drawn(data: bytes) -> None:
    try:
        report = load(data)
    except UsageError:
        return
    assert all(each.isprintable() or each == "\n" for each in render_text(report))


def size(count: int, hole: bool | None = False, by: str | None = None) -> OneWayMtu:
    return OneWayMtu(bytes=count, black_hole=hole, too_big_from=by)


@pytest.mark.parametrize(
    ("mtu", "says"),
    [
        (PunchMtu(up=size(1500), down=size(1500)), "Largest packet 1500 bytes, both ways"),
        (
            PunchMtu(up=size(1280, True), down=size(1500)),
            "Largest packet up 1280 bytes (larger ones vanish, and nobody says so); down 1500 bytes",
        ),
        (
            PunchMtu(up=size(1400, by="10.0.1.1")),
            "Largest packet up 1400 bytes (larger ones are refused by 10.0.1.1); down not known",
        ),
        (PunchMtu(down=size(1492, None)), "Largest packet up not known; down 1492 bytes"),
    ],
)
def test_the_largest_packet_is_said_both_ways(mtu: PunchMtu, says: str) -> None:
    assert says in joined(render_text(punched(replace(connected(), mtu=mtu)))).replace("\xa0", " ")
    assert "Largest packet" not in render_text(punched())
