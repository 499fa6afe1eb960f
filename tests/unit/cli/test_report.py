"""`nattools report`: what it prints of what it is given."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from report_samples import home_router

from nattools.cli.app import run
from nattools.report.savedreport import render_json


@pytest.mark.parametrize("content", [render_json(home_router()), "no report"])
def test_the_name_of_a_file_does_not_drive_the_terminal(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a\x1b[2J\u202e.json"
    file.write_text(content, encoding="utf-8")
    for command in ("validate", "show"):
        run(["report", command, str(file)])
    run(["report", "validate", str(tmp_path / "\x1b[2Jnone")])
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "\u202e" not in said.out + said.err


@pytest.mark.parametrize("command", ["diff", "predict"])
def test_programs_read_a_name_that_is_no_text(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / os.fsdecode(b"\xff.json")
    file.write_text(render_json(home_router()), encoding="utf-8")
    assert run(["report", command, str(file), str(file), "--json"]) == 0
    assert str(json.loads(capsys.readouterr().out)["a"]).endswith("\\udcff.json")


def test_a_table_of_networks_is_for_what_is_kept_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.json"
    file.write_text(render_json(home_router()), encoding="utf-8")
    redact = ["report", "redact", str(file), "-o", str(tmp_path / "b.json"), "--networks", "table.tsv"]
    assert run(redact) == 2
    assert "--networks FILE is for --keep asn,country" in capsys.readouterr().err


def test_a_saved_report_is_written_in_other_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "report.json"
    file.write_text(render_json(home_router()), encoding="utf-8")
    written = [tmp_path / name for name in ("page.html", "again.json", "text.md")]
    outputs = [part for each in written for part in ("-o", str(each))]
    assert run(["report", "show", str(file), *outputs]) == 0
    assert "UDP hole punching" in capsys.readouterr().out
    assert written[0].read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert written[1].read_text(encoding="utf-8") == file.read_text(encoding="utf-8")
    assert run(["report", "show", "--code", "153-A6R0-10J", "-o", str(written[0])]) == 2


def test_merged_reports_are_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("duckdb")
    file = tmp_path / "report.json"
    file.write_text(render_json(home_router()), encoding="utf-8")
    assert run(["report", "merge", str(file), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["reports"] == 1
    assert "1 report merged" in said.err
    assert run(["report", "merge", str(file)]) == 2
    assert "nowhere to write to" in capsys.readouterr().err
