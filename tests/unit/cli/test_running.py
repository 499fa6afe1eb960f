"""`diagnose` and `nat` as a person calls them, inside simulated scenarios."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nattools.cli.app import run
from nattools.report.savedreport import load, load_file

Capture = pytest.CaptureFixture[str]

SILENT = """
title = "A server that never answers"
[nat.home]
[host.alice]
behind = "home"
[server.mute]
kind = "silent"
"""


def test_diagnose_says_the_answer_first(capsys: Capture) -> None:
    assert run(["diagnose", "--lab", "home-router"]) == 0
    captured = capsys.readouterr()
    text = " ".join(captured.out.split())
    assert text.startswith("Measured in the scenario home-router:alice (simulated), not on this machine's")
    assert "This machine can be reached directly, by hole punching." in text
    assert "In games Moderate (PlayStation Type 2, Nintendo B) Works calls, joining games;" in text
    assert "UDP and TCP one external port for all peers; only peers you sent to get in" in text
    assert max(len(line) for line in captured.out.splitlines()) <= 80
    assert captured.err == ""


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["diagnose", "--lab", "home-router"], 0, "This machine can be reached directly, by hole punching."),
        (
            ["nat", "--lab", "home-router"],
            0,
            "Your NAT gives one external port for all peers, and lets in only",
        ),
        (["map", "probe", "--lab", "mapping-off"], 1, "No router here can be asked to open ports"),
        (["diagnose", "--lab", "no-link"], 3, "This machine is connected to no network."),
    ],
)
def test_quietly_there_is_the_answer_alone(
    capsys: Capture, arguments: list[str], code: int, says: str
) -> None:
    assert run([*arguments, "-q"]) == code
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    assert captured.out.startswith(says)
    assert "waiting" not in captured.err


def test_quiet_and_verbose_contradict_each_other(capsys: Capture) -> None:
    assert run(["diagnose", "--lab", "home-router", "-q", "-v"]) == 2
    assert capsys.readouterr().err.startswith("nattools: -q and -v contradict each other")


def test_json_is_one_document_and_nothing_else(capsys: Capture) -> None:
    assert run(["nat", "--lab", "home-router:alice", "--json", "-v"]) == 0
    captured = capsys.readouterr()
    report = load(captured.out.encode())
    assert report.command == "nat"
    assert report.substrate == "sim"
    assert report.scenario == "home-router:alice"
    assert report.nat.udp4 is not None
    assert report.nat.udp4.filtering == "address-and-port-dependent"
    assert captured.err == ""


def test_the_same_seed_gives_the_same_report(capsys: Capture) -> None:
    reports = []
    for _ in range(2):
        assert run(["nat", "--lab", "home-router", "--seed", "7", "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        reports.append((report["nat"], report["duration_s"]))
    assert reports[0] == reports[1]


def test_files_by_suffix_and_a_capture(tmp_path: Path, capsys: Capture) -> None:
    names = ("a.json", "a.md", "a.html", "a.txt")
    files = [argument for name in names for argument in ("-o", str(tmp_path / name))]
    capture = tmp_path / "a.pcapng"
    assert run(["diagnose", "--lab", "home-router", *files, "--pcap", str(capture)]) == 0
    shown = capsys.readouterr().out
    report = load_file(tmp_path / "a.json")
    assert report.command == "diagnose"
    assert (tmp_path / "a.txt").read_text() == shown
    assert (tmp_path / "a.md").read_text().startswith("## nattools diagnose\n")
    assert (tmp_path / "a.html").read_text().startswith("<!DOCTYPE html>")
    assert capture.read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"
    assert run(["report", "show", str(tmp_path / "a.json")]) == 0
    assert capsys.readouterr().out == shown
    assert run(["report", "validate", str(tmp_path / "a.json")]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--lab", "home-ruter"], 2, "home-router"),
        (["--lab", "home-router:carol"], 2, "has no host 'carol'; it has: alice"),
        (
            ["--lab", "home-router", "--interface", "wlan7"],
            2,
            "no interface 'wlan7' here; there are: lo, eth0",
        ),
        (["--lab", "/nonexistent/x.toml"], 2, "/nonexistent/x.toml"),
    ],
)
def test_what_cannot_be_done_is_said(capsys: Capture, arguments: list[str], code: int, says: str) -> None:
    assert run(["nat", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("nattools: ")
    assert says in captured.err


@pytest.mark.parametrize(
    ("arguments", "step", "says"),
    [
        (["--lab", "home-router", "-6"], "route", "no IPv6 route"),
        (["--lab", "home-router", "--server", "nowhere.example"], "dns", "nowhere.example"),
        (["--lab", "home-router", "--server", "11.201.0.9"], "answer", "11.201.0.9"),
        (["--lab", "captive-portal"], "portal", "captive portal"),
    ],
)
@pytest.mark.parametrize("command", ["diagnose", "nat"])
def test_where_nothing_answers_there_is_a_report_all_the_same(
    tmp_path: Path, capsys: Capture, command: str, arguments: list[str], step: str, says: str
) -> None:
    file = tmp_path / "report.json"
    assert run([command, *arguments, "--json", "-o", str(file)]) == 3
    captured = capsys.readouterr()
    assert captured.err.startswith("nattools: ")
    assert says in captured.err
    report = load(captured.out.encode())
    assert load_file(file) == report
    assert report.ended is not None
    assert report.ended.step == step
    assert report.ended.why
    assert run(["report", "show", str(file), "--again", "--json"]) == 0
    assert load(capsys.readouterr().out.encode()) == report
    assert run(["report", "show", str(file)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert report.ended.why in shown


def test_a_bad_scenario_is_named_with_its_line(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('title = "x"\n[host.alice]\nbehind = "nobody"\n')
    assert run(["diagnose", "--lab", str(path)]) == 2
    assert "bad.toml, line 3" in capsys.readouterr().err


def test_no_answer_at_all_is_3(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "silent.toml"
    path.write_text(SILENT)
    assert run(["nat", "--lab", str(path)]) == 3
    captured = capsys.readouterr()
    assert "answered" in captured.err
    assert len(captured.err.splitlines()) >= 2
    assert "Traceback" not in captured.err


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nattools.engine.run.describe_host", interrupted)
    assert run(["nat", "--lab", "home-router"]) == 130
    assert capsys.readouterr().err == "nattools: interrupted\n"


@pytest.mark.parametrize("scenario", ["home-router", "liar-fake-other", "udp-blocked", "ipv6-firewall"])
def test_a_saved_report_analysed_again_says_the_same(scenario: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "a.json"
    assert run(["diagnose", "--lab", scenario, "-o", str(path), "--json"]) == 0
    first = capsys.readouterr().out
    assert run(["report", "show", str(path), "--again", "--json"]) == 0
    assert capsys.readouterr().out == first


def test_conclusions_are_drawn_anew(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "a.json"
    assert run(["diagnose", "--lab", "home-router", "-o", str(path)]) == 0
    capsys.readouterr()
    stale = json.loads(path.read_text())
    for technique in stale["techniques"]:
        technique["summary"] = "An older opinion."
    path.write_text(json.dumps(stale))
    assert run(["report", "show", str(path), "-v"]) == 0
    assert "An older opinion." in capsys.readouterr().out
    assert run(["report", "show", str(path), "-v", "--again"]) == 0
    assert "An older opinion." not in capsys.readouterr().out


def test_a_second_opinion_that_cannot_be_had_in_a_scenario_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["nat", "--cross-check", "--lab", "home-router"]) == 2
    assert "nattools lab exec SCENARIO HOST nattools nat --cross-check" in capsys.readouterr().err


def test_a_lifetime_over_udp_is_not_promised_for_tcp(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["nat", "--lifetime", "--lab", "home-router", "-v"]) == 0
    page = " ".join(capsys.readouterr().out.split())
    assert "lifetime. It is measured over UDP only." in page
    assert "nattools nat --lifetime measures it" not in page
    assert "traffic that comes in keeps" in page
    assert "It takes a peer with two addresses" not in page
