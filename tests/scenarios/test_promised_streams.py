"""What other people's scripts rely on besides the report's fields: what goes to which stream, into which
files, and with which exit code a command ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from promisedruns import RUNS

from nattools.cli.app import run
from nattools.report.savedreport import load_file

CODES = {
    "diagnose": {"open": 0, "symmetric-random": 0, "no-link": 3, "all-blocked": 3},
    "nat": {"udp-blocked": 0, "all-blocked": 3},
    "ipv6": {"ipv6-none": 0, "ipv6-open": 0},
    "map probe": {"mapping-all": 0, "mapping-off": 1, "no-link": 3},
    "map add 5000": {"mapping-all": 0, "mapping-off": 1, "no-link": 3},
    "map list": {"mapping-all": 0, "mapping-off": 1, "no-link": 3},
    "map delete --mine": {"mapping-all": 0, "no-link": 3},
    "punch": {"two-homes": 0, "punch-only-443-no-relay": 1, "open": 2},
    "pwnat test": {"pwnat-public": 0, "no-link": 3},
    "pwnat connect": {"pwnat-public": 0, "open": 2},
    "relay": {"relay-near": 0, "relay-drops": 1, "no-link": 3},
    "lan": {"lan-open": 0, "no-link": 3},
    "lan 10.0.1.3": {"lan-open": 0, "lan-isolated": 1},
    "libp2p": {"libp2p-open": 0, "open": 1, "no-link": 3},
    "tailscale": {"tailnet": 0, "tailnet-udp-blocked": 0, "no-link": 3},
}
"""By command and scenario: 0 it did its job, 1 the answer is no, 2 wrong usage, 3 it could not run."""
ENDINGS = [(command, name, code) for command, found in CODES.items() for name, code in found.items()]


@pytest.mark.parametrize(("command", "scenario", "code"), ENDINGS)
def test_each_ending_has_its_code_and_says_why(
    command: str, scenario: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command.split(), "--lab", scenario, "--json"]) == code
    out = capsys.readouterr()
    if code in (2, 3):
        assert out.err.startswith("nattools: ")
    if out.out or code in (0, 1):
        assert isinstance(json.loads(out.out), dict), "one document, and nothing else"


@pytest.mark.parametrize("name", RUNS)
def test_events_are_json_lines_beside_one_document(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*RUNS[name], "--json", "--events"]) in (0, 1)
    out = capsys.readouterr()
    assert json.loads(out.out)["schema"] == "nattools.report/1"
    lines = [json.loads(line) for line in out.err.splitlines()]
    assert all(isinstance(each, dict) and isinstance(each["event"], str) for each in lines)
    ends = [each for each in lines if each["event"] in ("done", "failed")]
    assert ends == lines[-1:], "one, the last"
    assert ends[0]["event"] == "done"


@pytest.mark.parametrize("name", RUNS)
def test_quiet_is_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*RUNS[name], "-q"]) in (0, 1)
    out = capsys.readouterr()
    assert len(out.out.splitlines()) == 1
    assert out.err == ""


@pytest.mark.parametrize("name", RUNS)
def test_files_are_written_by_suffix_and_hold_what_is_printed(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / f"report.{suffix}" for suffix in ("json", "md", "html", "TXT")]
    named = [part for each in files for part in ("-o", str(each))]
    assert run([*RUNS[name], "--json", *named]) in (0, 1)
    printed = capsys.readouterr().out
    texts = [each.read_text() for each in files]
    assert texts[0] == printed
    assert load_file(files[0]).command == json.loads(printed)["command"]
    assert texts[1].startswith("## nattools ")
    assert texts[2].lower().startswith("<!doctype html>")
    assert "\x1b" not in texts[3]


def test_nothing_is_measured_for_a_file_that_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("-", "report", "report.xml", "/nowhere/report.json"):
        assert run(["nat", "--lab", "open", "-o", name]) == 2
        out = capsys.readouterr()
        assert out.out == ""
        assert out.err.startswith("nattools: cannot")
