"""`nattools punch` as a person calls it, both machines inside simulated scenarios."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from report_samples import connected, not_connected, punched
from terminals import Terminal

from nattools.cli import punch
from nattools.cli.app import run
from nattools.cli.options.punchoptions import PunchRequest, checked_allowed
from nattools.cli.options.sharedoptions import Request
from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.punch import punch_by_tokens
from nattools.model.serveruri import parse_server
from nattools.net.web.tls import client_context
from nattools.report.savedreport import load, load_file
from nattools.traversal.codes import new_code
from nattools.traversal.forwardspec import parse_forward
from nattools.traversal.mailboxconnection import MailboxAddress

Capture = pytest.CaptureFixture[str]
RANDOM = """
title = "Two NATs that draw ports at random"
[nat.one]
mapping = "address-and-port-dependent"
allocation = "random"
[nat.two]
mapping = "address-and-port-dependent"
allocation = "random"
[host.alice]
behind = "one"
[host.bob]
behind = "two"
[host.carol]
[server.stun]
"""


@pytest.fixture
def random_pair(tmp_path: Path) -> str:
    path = tmp_path / "random.toml"
    path.write_text(RANDOM)
    return str(path)


def test_a_page_with_the_answer_first(capsys: Capture) -> None:
    assert run(["punch", "--lab", "two-homes"]) == 0
    captured = capsys.readouterr()
    assert all(len(line) <= 80 for line in captured.out.splitlines())
    text = " ".join(captured.out.split())
    assert text.startswith("Measured in the scenario two-homes:alice (simulated)")
    assert "Connected directly to 11.2.0.2:" in text
    assert "over UDP by hole punching" in text
    assert "The peer is there and has the same code" in text
    assert "UDP over IPv4 one NAT, no second one behind it" in text
    assert captured.err == ""


def test_json_is_one_document(capsys: Capture) -> None:
    assert run(["punch", "--json", "--lab", "two-homes:bob,alice"]) == 0
    captured = capsys.readouterr()
    report = load(captured.out.encode())
    assert (report.command, report.substrate, report.scenario) == ("punch", "sim", "two-homes:bob")
    assert report.punch is not None
    assert report.punch.connected
    assert report.punch.path == "direct"
    assert captured.err == ""


def test_files_by_suffix_and_a_capture(tmp_path: Path, capsys: Capture) -> None:
    names = ("a.json", "a.md", "a.html", "a.txt")
    files = [argument for name in names for argument in ("-o", str(tmp_path / name))]
    assert run(["punch", "--lab", "two-homes", *files, "--pcap", str(tmp_path / "a.pcapng")]) == 0
    shown = capsys.readouterr().out
    assert (tmp_path / "a.txt").read_text() == shown
    assert "Connected directly" in (tmp_path / "a.md").read_text()
    assert "Connected directly" in (tmp_path / "a.html").read_text()
    assert (tmp_path / "a.pcapng").read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"
    assert load_file(tmp_path / "a.json").command == "punch"
    assert run(["report", "show", str(tmp_path / "a.json")]) == 0
    assert capsys.readouterr().out == shown
    assert run(["report", "show", str(tmp_path / "a.json"), "--again"]) == 0
    assert "Connected directly" in capsys.readouterr().out
    assert run(["report", "validate", str(tmp_path / "a.json")]) == 0


def test_no_connection_is_1_and_says_why(random_pair: str, capsys: Capture) -> None:
    assert run(["punch", "--no-low-ports", "--lab", random_pair]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "Not connected. Why " in text


def test_any_two_machines_of_a_scenario(random_pair: str, capsys: Capture) -> None:
    assert run(["punch", "--json", "--lab", f"{random_pair}:carol"]) == 0
    assert json.loads(capsys.readouterr().out)["punch"]["remote"].startswith("11.1.")
    assert run(["punch", "--json", "--lab", f"{random_pair}:bob,carol"]) == 0
    assert json.loads(capsys.readouterr().out)["scenario"] == "random:bob"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--lab", "home-router"], 2, "has one machine only"),
        (["--lab", "two-homes:alice,carol"], 2, "has no host 'carol'"),
        (["--lab", "two-homes:alice,alice"], 2, "name two machines"),
        (["--lab", "two-homes:a,b,c"], 2, "name two machines"),
        (["--lab", "two-homes", "--udp-only", "--tcp-only"], 2, "contradict"),
        (["--lab", "two-homes", "--wait", "0"], 2, "--wait 0"),
        (["--lab", "two-homes", "--words", "1"], 2, "2 to 8 words"),
        (["7-crosover-clockwork"], 2, "did you mean crossover"),
        (["crossover-clockwork"], 2, "a code begins with a number"),
        (["--mailbox", "https://a"], 2, "--mailbox"),
        (["--lab", "two-homes", "--server", "nowhere.example"], 3, "nowhere.example"),
    ],
)
def test_what_cannot_be_done_is_said(capsys: Capture, arguments: list[str], code: int, says: str) -> None:
    assert run(["punch", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("nattools: ")
    assert says in captured.err


def test_a_server_without_a_mailbox_is_3_and_says_what_to_do(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "plain.toml"
    path.write_text(
        'title = "x"\n[host.alice]\n[host.bob]\n[server.one]\nkind = "plain"\n[server.two]\nkind = "plain"\n'
    )
    assert run(["punch", "--lab", str(path)]) == 3
    error = capsys.readouterr().err
    assert "mailbox" in error
    assert "nattools serve" in error
    assert "--manual" in error


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nattools.engine.punch.punch.punch_both", interrupted)
    assert run(["punch", "--lab", "two-homes"]) == 130
    assert capsys.readouterr().err == "nattools: interrupted\n"


def test_what_was_told_on_the_same_terminal_is_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", Terminal())
    request = Request(command="punch")
    punch.show_punch(punched(), request, quiet=False, told=True)
    assert "Connected directly" in out.getvalue()
    assert "AT S" not in out.getvalue()
    punch.show_punch(punched(), request, quiet=False, told=False)
    assert "AT S" in out.getvalue()


def test_the_pipe_has_standard_output_for_itself(capsys: Capture) -> None:
    request = Request(command="punch")
    punch.show_punch(punched(connected()), request, quiet=True, told=True)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    punch.show_punch(punched(not_connected()), request, quiet=True, told=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("nattools: Not connected.\nnattools: Both NATs draw")


def test_the_other_machine_is_told_of_its_part() -> None:
    measuring = MeasureOptions(
        command="punch", servers=(parse_server("example.org"), parse_server("[::1]:80"))
    )
    servers = ("--server example.org", "--server '[::1]:80'")
    assert punch.others_options(PunchRequest(code=new_code()), measuring) == servers
    secure = PunchRequest(
        code=new_code(), mailbox=MailboxAddress("2001:db8::1", 443, client_context), pipe=True
    )
    assert punch.others_options(secure, measuring) == ("--mailbox 'wss://[2001:db8::1]:443'", "--pipe")
    wish = PunchRequest(
        code=new_code(),
        manual=True,
        forwards=(parse_forward("8080:localhost:80"), parse_forward("53:10.0.0.1:53/udp")),
        reverses=(parse_forward("22:a:22"), parse_forward("*:53:a:53/udp"), parse_forward("53:a:53/udp")),
    )
    told = punch.others_options(wish, measuring)
    assert told == (
        "--allow localhost:80",
        "--allow 10.0.0.1:53/udp",
        "--allow listen:22",
        "--allow 'listen:*:53/udp'",
        "--allow listen:53/udp",
    )
    allowed = checked_allowed([shlex.split(each)[1] for each in told])
    assert allowed is not None
    assert all(allowed.target(each.transport, each.host, each.host_port) for each in wish.forwards)
    assert all(allowed.listen(each.transport, each.bind, each.port) for each in wish.reverses)


SEQUENTIAL = """
title = "A symmetric NAT that counts, and one that keeps ports"
[nat.one]
mapping = "address-and-port-dependent"
allocation = "sequential"
[nat.two]
[host.alice]
behind = "one"
[host.bob]
behind = "two"
"""


def test_tokens_instead_of_a_mailbox(capsys: Capture) -> None:
    assert run(["punch", "--manual", "--json", "--lab", "two-homes"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)["punch"]
    assert found["connected"]
    assert {stage["stage"] for stage in found["stages"]} >= {"token", "plan", "secured"}
    assert captured.err == ""


def test_in_the_simulator_steps_begin_by_its_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Whatever the hour: the same seed gives the same connection."""
    file = tmp_path / "two.toml"
    file.write_text(SEQUENTIAL)
    defaults, found = punch_by_tokens.__kwdefaults__, []
    assert "wall" in defaults
    for hour in (1_700_000_000.0, 1_700_003_617.3):
        monkeypatch.setitem(defaults, "wall", lambda hour=hour: hour)
        assert run(["punch", "--manual", "--json", "--no-low-ports", "--seed", "3", "--lab", str(file)]) == 0
        punched = json.loads(capsys.readouterr().out)["punch"]
        found.append((punched["strategy"], punched["path"], punched["elapsed_s"]))
    assert found[0] == found[1]
    assert found[0][0] == "prediction"
