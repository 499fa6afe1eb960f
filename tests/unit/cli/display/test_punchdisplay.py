"""What is said while a punch goes on."""

from __future__ import annotations

import io

import pytest
from report_samples import PLAN, STAGES

from nattools.cli.display.progress import ProgressLine
from nattools.cli.display.punchdisplay import PunchDisplay, code_lines, token_lines
from nattools.engine.punch.options import AnnouncedPlan
from nattools.model.statement import statement
from nattools.report.terminal import plain
from nattools.traversal.codes import parse_code


def said(columns: int, monkeypatch: pytest.MonkeyPatch) -> tuple[PunchDisplay, io.StringIO]:
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = io.StringIO()
    return PunchDisplay(stream, ProgressLine(stream, waiting=False), ("--server example.org",)), stream


def test_the_code_stands_alone_and_the_command_can_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    talk, stream = said(80, monkeypatch)
    talk.code("7-crossover-clockwork")
    lines = [line.strip() for line in stream.getvalue().splitlines() if line]
    assert lines == [
        "The code:  7-crossover-clockwork",
        "On the other machine:",
        "nattools punch 7-crossover-clockwork --server example.org",
    ]
    assert not talk.told


def test_a_long_command_is_continued_as_a_shell_takes_it() -> None:
    options = tuple(f"--server stun-number-{number}.example.org:34780" for number in range(3))
    lines = [plain(line) for line in code_lines("7-crossover-clockwork", options, 80)]
    command = [line for line in lines if "server" in line or "punch" in line]
    assert all(len(line) <= 80 for line in lines)
    assert len(command) > 1
    assert all(line.endswith(" \\") for line in command[:-1])
    joined = " ".join(line.strip().removesuffix("\\").strip() for line in command)
    assert joined == " ".join(("nattools punch 7-crossover-clockwork", *options))


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_lines_fit_and_tell_of_both_sides(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    talk, stream = said(columns, monkeypatch)
    most = statement("plan-limit", packets=8000, addresses=24)
    talk.plan(AnnouncedPlan(PLAN, 0.9835, (statement("text", text="Bind ports below 1024."),), most))
    for stage in STAGES:
        talk.stage(stage)
    assert talk.told
    assert max(len(line) for line in stream.getvalue().splitlines()) <= columns
    text = " ".join(stream.getvalue().split())
    assert "0.01 here mailbox ok room 7 is open" in text
    assert "8.20 there mailbox ok it came" in text
    assert "98.35% to connect directly" in text
    assert "Would help Bind ports below 1024." in text


def test_a_token_can_be_copied_whole_or_in_lines() -> None:
    token = "NT1" + "ABCDEFGH" * 60
    whole = [plain(line) for line in token_lines(token, (), None)]
    assert token in whole
    folded = [plain(line) for line in token_lines(token, ("--pipe",), 80)]
    assert max(len(line) for line in folded) <= 80
    first = folded.index(next(line for line in folded if line.startswith("NT1")))
    assert "".join(folded[first:]) == token


def test_a_stream_that_is_gone_stops_nothing() -> None:
    stream = io.StringIO()
    talk = PunchDisplay(stream, ProgressLine(stream, waiting=False))
    stream.close()
    talk.stage(STAGES[0])
    assert talk.told


def test_the_code_is_one_that_can_be_typed() -> None:
    lines = [plain(line).strip() for line in code_lines("7-crossover-clockwork", (), 80)]
    assert str(parse_code(lines[-2].removeprefix("nattools punch "))) == "7-crossover-clockwork"
