"""What a person reads of a matrix of pairs."""

from __future__ import annotations

import msgspec
import pytest

from nattools.lab.natkinds import MATRIX_KINDS, pairs_of
from nattools.model.host import Host
from nattools.model.punch import Matrix, PairResult
from nattools.model.report import Report, Tool
from nattools.report.html import render_html
from nattools.report.markdown import render_markdown
from nattools.report.savedreport import problems, render_json
from nattools.report.terminal import render_text

ATTACK = "\x1b[2J<script>x</script>|`"


def result(pair: tuple[str, str]) -> PairResult:
    return PairResult(
        pair=pair,
        runs=3,
        connected=3,
        as_planned=3,
        strategy="prediction",
        transport="udp",
        family=4,
        elapsed_s=(0.1, 0.25, 12.0),
        odds=1.0,
        packets=(192, 6),
    )


def matrix(*pairs: PairResult, kinds: tuple[str, ...] = tuple(MATRIX_KINDS)) -> Report:
    return Report(
        tool=Tool(name="nattools", version="0"),
        command="lab",
        started="2026-01-01T00:00:00Z",
        duration_s=1.0,
        substrate="netns",
        host=Host(os="Linux"),
        matrix=Matrix(kinds=kinds, low_ports=True, pairs=pairs or tuple(map(result, pairs_of(kinds)))),
    )


def test_a_triangle_of_nine_fits_into_80_columns_unwrapped() -> None:
    lines = render_text(matrix()).splitlines()
    assert "45 of 45 pairs connect directly, in network namespaces (135 tries)." in lines[1]
    assert max(map(len, lines)) <= 80
    [head] = [number for number, line in enumerate(lines) if "NETWORK" in line]
    assert lines[head + 1].split() == ["1", "open", *["pred"] * 9]
    assert lines[head + 2].split() == ["0.25"] * 9
    assert lines[head + 17].split() == ["9", "udp-blocked", "pred"]


def test_which_pairs_need_the_relay_is_shown() -> None:
    relayed = msgspec.structs.replace(
        result(("open", "open")), relayed=3, strategy="relay", transport="udp", odds=None
    )
    report = matrix(relayed, result(("open", "firewall")), kinds=("open", "firewall"))
    assert report.matrix is not None
    drawn = msgspec.structs.replace(report.matrix, relay=True)
    text = " ".join(render_text(msgspec.structs.replace(report, matrix=drawn), detail=1).split())
    assert "2 of 2 pairs connect, 1 of them directly, in network namespaces (6 tries)." in text
    assert "1 open rel pred" in text
    assert "rel through a relay" in text
    assert "open and open 3 of 3, 3 relayed" in text


def test_what_did_not_connect_is_said_with_its_reason() -> None:
    never = msgspec.structs.replace(
        result(("open", "open")), connected=0, as_planned=3, why="No way.", advice="Grant it."
    )
    rarely = msgspec.structs.replace(
        result(("open", "firewall")), connected=1, as_planned=1, why="Nothing arrived."
    )
    report = matrix(never, rarely, result(("firewall", "firewall")), kinds=("open", "firewall"))
    text = " ".join(render_text(report).split())
    assert "1 of 3 pairs connect directly" in text
    assert "1 open no 33%" in text
    assert "- open and open (3 of 3): No way. Grant it." in text
    assert "- open and firewall (2 of 3): Nothing arrived. The plan gave it a chance of 100%." in text


def test_a_failure_that_was_to_be_expected_now_and_then_says_so() -> None:
    unlucky = msgspec.structs.replace(
        result(("open", "open")), connected=2, as_planned=2, odds=0.77, why="Nothing arrived."
    )
    text = " ".join(render_text(matrix(unlucky, kinds=("open",))).split())
    assert "- open and open (1 of 3): Nothing arrived. The plan gave it a chance of 77%, so it fails" in text


def test_what_could_not_be_tried_is_not_called_a_failure() -> None:
    broken = PairResult(pair=("open", "open"), runs=1, connected=0, as_planned=0, problems=("no nft",))
    text = " ".join(render_text(matrix(broken, kinds=("open",))).split())
    assert "1 open ??" in text
    assert "no nft" in text


@pytest.mark.parametrize("columns", [40, 60, 77])
def test_where_there_is_no_room_it_is_a_list(columns: int) -> None:
    lines = render_text(matrix(), columns=columns).splitlines()
    assert max(map(len, lines)) <= columns
    assert sum("3 of 3" in line for line in lines) == 45


def test_every_format_has_all_pairs_and_nothing_gets_through() -> None:
    hostile = msgspec.structs.replace(result((ATTACK, ATTACK)), connected=0, why=ATTACK, problems=(ATTACK,))
    report = matrix(hostile, kinds=(ATTACK,))
    assert "\x1b" not in render_text(report) + render_markdown(report) + render_html(report)
    assert "<script>x" not in render_markdown(report) + render_html(report)
    assert "0.100, 0.250, 12.000" in render_markdown(matrix())
    assert msgspec.json.decode(render_json(matrix()), type=Report) == matrix()
    assert problems(matrix()) == []
