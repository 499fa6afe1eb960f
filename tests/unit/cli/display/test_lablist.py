"""`nattools lab list` and `show`, `lab run` with files, a host that is not named, and completion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nattools.cli import app, lab
from nattools.cli.app import run
from nattools.cli.display.lablist import GROUPS, found, listing
from nattools.cli.options import completion
from nattools.lab.scenariofiles import available
from nattools.report.savedreport import load_file

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_list_is_grouped_and_no_line_is_too_long(columns: int) -> None:
    lines = listing(found(()), columns).splitlines()
    assert [line for line in lines if len(line) > columns] == []
    assert [line for line in lines if line.isupper() and line[0] != " "] == [
        title.upper() for title, _ in GROUPS
    ]
    names = {line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "}
    assert names == set(available())


def test_the_list_is_searched(capsys: Capture) -> None:
    assert run(["lab", "list", "IPv6", "firewall"]) == 0
    names = capsys.readouterr().out
    assert "ipv6-firewall" in names
    assert "symmetric" not in names
    assert run(["lab", "list", "unheard-of"]) == 2
    assert "no scenario has 'unheard-of'" in capsys.readouterr().err


def test_a_name_that_is_none_is_no_reason_to_list_all(capsys: Capture) -> None:
    assert run(["diagnose", "--lab", "zzz"]) == 2
    assert len(capsys.readouterr().err) < 120


def test_what_a_scenario_draws_is_shown(capsys: Capture) -> None:
    assert run(["lab", "show", "two-homes"]) == 0
    shown = capsys.readouterr().out
    assert "behind isp" in shown
    assert "two-homes.toml" in shown
    assert run(["lab", "show", "two-homes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["host"]["alice"]["behind"] == "home"


def test_what_an_uplink_does_and_what_happens_is_shown(capsys: Capture) -> None:
    assert run(["lab", "show", "weak-4g"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "a weak-4g link; 1.6 Mbit/s down, 0.75 up, a queue of 500 ms; 75 ms each way;" in shown
    assert "after 5 s on average, 100% lost for 50 ms" in shown
    assert run(["lab", "show", "changes"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "event after 24 h, and every 24 h: home: new address" in shown
    assert shown.endswith("nattools lab run changes --events")


def test_a_run_writes_files(tmp_path: Path, capsys: Capture) -> None:
    report, capture = tmp_path / "report.json", tmp_path / "all.pcap"
    assert run(["lab", "run", "home-router", "-o", str(report), "--pcap", str(capture), "-v"]) == 0
    assert load_file(report).scenario == "home-router:alice"
    assert capture.stat().st_size > 1000
    out = capsys.readouterr().out
    assert "UDP hole punching" in out
    assert out.endswith("as expected\n")
    assert run(["lab", "run", "two-homes", "-o", str(report)]) == 2
    assert "name one --host of alice, bob" in capsys.readouterr().err


def test_the_first_host_is_the_one_that_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(lab, "run_inside", lambda *given: asked.append(given) or 0)
    assert run(["lab", "exec", "home-router", "--", "ip", "address"]) == 0
    assert run(["lab", "exec", "home-router", "alice", "ip"]) == 0
    monkeypatch.setenv("SHELL", "/bin/sh")
    assert run(["lab", "shell", "two-homes"]) == 0
    assert asked[:2] == [
        ("home-router", None, ["ip", "address"], None),
        ("home-router", "alice", ["ip"], None),
    ]
    greeting = "A shell on alice@two-homes; exit ends it."
    assert asked[2] == ("two-homes", "alice", ["/bin/sh"], None, {"PS1": "(alice@two-homes) $ "}, greeting)


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("lab run home-r", {"home-router"}),
        ("lab shell two-homes ", {"alice", "bob"}),
        ("diagnose --lab two-homes:b", {"two-homes:bob"}),
        ("nat --backend n", {"netns"}),
        ("map add 80 --protocol n", {"nat-pmp"}),
        ("report show --format h", {"html"}),
        ("punch 7-crossover-clockw", {"7-crossover-clockwork"}),
        ("lab run nowhere --host ", set()),
    ],
)
def test_a_shell_completes(
    line: str, offers: set[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("COMP_WORDS", f"nattools {line}")
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" "))))
    app._completed("complete_bash")
    assert set(capsys.readouterr().out.split()) == offers


def test_interfaces_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "lo" in completion.interfaces("l")


def test_an_error_is_broken_at_words(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    assert run(["punch", "seven"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 1
    assert [line for line in lines if len(line) > 40] == []
