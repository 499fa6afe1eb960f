"""`nattools map` as a person calls it, inside simulated scenarios."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.load import cpu_seconds

from nattools.cli.app import run
from nattools.cli.map import environment_of, tell_change
from nattools.engine.portmap.keep import MappingChange
from nattools.model.endpoint import Endpoint
from nattools.report.savedreport import load, load_file

Capture = pytest.CaptureFixture[str]
INSIDE, OUTSIDE = Endpoint("10.0.1.2", 5000), Endpoint("11.1.0.2", 5001)


def change(**more: Any) -> MappingChange:
    usual: dict[str, Any] = {
        "happening": "made",
        "transport": "udp",
        "internal": INSIDE,
        "external": OUTSIDE,
        "protocol": "pcp",
        "lifetime_s": 7200,
        "verified": True,
    }
    return MappingChange(**{**usual, **more})


def text_of(capsys: Capture, *arguments: str) -> tuple[int, str]:
    """The exit code, and what was printed, its blanks evened out."""
    code = run(["map", *arguments])
    captured = capsys.readouterr()
    assert all(len(line) <= 80 for line in captured.out.splitlines())
    return code, " ".join(captured.out.split())


def test_a_probe_answers_first_and_then_shows_why(capsys: Capture) -> None:
    code, text = text_of(capsys, "probe", "--lab", "mapping-all")
    assert code == 0
    assert "Your router opens ports for this machine: verified from outside." in text
    assert "open, proven, removed" in text
    assert "UPnP yes The router opened a port for everybody" in text


def test_json_is_one_document(capsys: Capture) -> None:
    assert run(["map", "probe", "--json", "--lab", "mapping-upnp"]) == 0
    captured = capsys.readouterr()
    report = load(captured.out.encode())
    assert (report.command, report.action, report.substrate) == ("map", "probe", "sim")
    assert {each.verified_inbound for each in report.mappings} == {True}
    assert captured.err == ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("probe", "--lab", "mapping-off"), 1, "Enable UPnP, NAT-PMP or PCP"),
        (("probe", "--lab", "mapping-double-nat"), 1, "there is a second NAT beyond it"),
        (("add", "5000", "--lab", "mapping-all"), 0, "2 mappings made, verified from outside."),
        (("add", "5000", "--transport", "udp", "--lab", "mapping-all"), 0, "1 mapping made"),
        (("add", "5000", "--lab", "mapping-off"), 1, "No mapping was made."),
        (("list", "--lab", "mapping-all"), 0, "There is no mapping here."),
        (("list", "--lab", "mapping-off"), 1, "none speaks UPnP, NAT-PMP or PCP"),
        (("list", "--lab", "mapping-pcp"), 0, "only UPnP lists mappings"),
        (
            ("list", "--timeout", "0.1", "--lab", "mapping-off"),
            1,
            "Time ran out before the router had listed",
        ),
        (("delete", "5000", "--lab", "mapping-off"), 1, "none speaks UPnP, NAT-PMP or PCP"),
        (("delete", "5000", "--lab", "mapping-pcp"), 0, "Any such mapping has been removed"),
        (("add", "5000", "--lab", "mapping-double-nat"), 1, "There is a second NAT beyond your router"),
        (("probe", "--lab", "router-stands-by:alice"), 1, "10.0.1.3 opens ports, but is not the router that"),
        (("add", "5000", "--lab", "router-stands-by:alice"), 1, "2 mappings made at 10.0.1.3, which is not"),
        (("add", "5000", "--lab", "open"), 1, "has a public IPv4 address of its own"),
        (("delete", "5000", "--lab", "mapping-all"), 1, "There was no mapping to remove."),
        (("delete", "--mine", "--lab", "mapping-all"), 0, "There was no mapping to remove."),
        (("keep", "5000", "--timeout", "9000", "--lab", "mapping-pcp"), 0, "They have been removed again."),
        (("keep", "5000", "--timeout", "9000", "--lab", "mapping-off"), 1, "No mapping was made."),
    ],
)
def test_answers_and_exit_codes(arguments: tuple[str, ...], code: int, words: str, capsys: Capture) -> None:
    found, text = text_of(capsys, *arguments)
    assert found == code
    assert words in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "0", "--lab", "mapping-all"), "port '0': give a number from 1 to 65535"),
        (("add", "70000", "--lab", "mapping-all"), "port '70000'"),
        (("add", "5000", "--lifetime", "-1", "--lab", "mapping-all"), "--lifetime -1"),
        (("add", "10.0.1.77:5000", "--lab", "mapping-all"), "not an address of this machine"),
        (("keep", "10.0.1.77:5000", "--lab", "mapping-all"), "not an address of this machine"),
        (("keep", "5000", "--lifetime", "5", "--lab", "mapping-all"), "keep renews"),
        (("delete", "--lab", "mapping-all"), "say which"),
        (("delete", "5000", "--mine", "--lab", "mapping-all"), "say which"),
        (("probe", "--protocol", "x", "--lab", "mapping-all"), "must be one of upnp, upnp-igd, nat-pmp, pcp"),
        (("probe", "--interface", "wlan7", "--lab", "mapping-all"), "no interface 'wlan7'"),
        (("add",), "Missing argument"),
    ],
)
def test_misuse_is_said_clearly(arguments: tuple[str, ...], words: str, capsys: Capture) -> None:
    assert run(["map", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err


def test_files_by_suffix_and_a_capture(tmp_path: Path, capsys: Capture) -> None:
    files = [tmp_path / f"report.{suffix}" for suffix in ("json", "md", "html", "txt")]
    options = [option for file in files for option in ("-o", str(file))]
    pcap = tmp_path / "x.pcapng"
    arguments = ["map", "probe", "--lab", "mapping-all", *options, "--pcap", str(pcap), "-vv"]
    assert run(arguments) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "map-discovery" not in shown
    assert "pcp: make udp" in shown
    assert load_file(files[0]).mappings
    assert all(file.stat().st_size > 500 for file in (*files, pcap))


def test_a_saved_report_is_analysed_anew(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "report.json"
    assert run(["map", "probe", "--lab", "mapping-all", "-o", str(file)]) == 0
    first = capsys.readouterr().out
    assert run(["report", "show", "--again", str(file)]) == 0
    assert capsys.readouterr().out == first
    assert run(["report", "validate", str(file)]) == 0


def test_a_diagnosis_says_so_too(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["diagnose", "--lab", "mapping-all", "-v"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "This machine can be reached directly, through a port that your router opens." in text
    assert "A port mapping by UPnP, PCP or NAT-PMP: every peer can connect" in text
    assert "symmetric random direct through a port mapping" in text


def test_nat_asks_no_router(tmp_path: Path, capsys: Capture) -> None:
    assert run(["nat", "--lab", "mapping-all", "--json"]) == 0
    report = load(capsys.readouterr().out.encode())
    assert report.mappings == ()
    assert not any(seen.probe.startswith("map") and seen.probe != "mapping" for seen in report.observations)


# --- keep's own words


def test_a_change_is_told_in_a_line(capsys: Capture) -> None:
    tell_change(change())
    tell_change(change(happening="lost", external=None, verified=None))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("udp 11.1.0.2:5001 to 10.0.1.2:5000 by PCP: made, verified from outside")
    assert lines[1].endswith("udp to 10.0.1.2:5000 by PCP: lost; trying again")


def test_what_the_users_command_is_told() -> None:
    told = environment_of(change())
    assert told["NATTOOLS_EXTERNAL"] == "11.1.0.2:5001"
    assert (told["NATTOOLS_EXTERNAL_HOST"], told["NATTOOLS_EXTERNAL_PORT"]) == ("11.1.0.2", "5001")
    assert (told["NATTOOLS_INTERNAL_HOST"], told["NATTOOLS_INTERNAL_PORT"]) == ("10.0.1.2", "5000")
    assert (told["NATTOOLS_EVENT"], told["NATTOOLS_TRANSPORT"]) == ("made", "udp")
    assert (told["NATTOOLS_PROTOCOL"], told["NATTOOLS_VERIFIED"]) == ("pcp", "yes")
    assert told["NATTOOLS_LIFETIME_S"] == "7200"
    assert environment_of(change(external=None))["NATTOOLS_EXTERNAL"] == ""


def test_the_users_command_is_run_at_each_change(tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = tmp_path / "hook.py"
    script.write_text(f"import os\nopen({str(told)!r}, 'a').write(os.environ['NATTOOLS_EVENT'])\n")
    keep = ["keep", "5000", "--transport", "tcp", "--timeout", "60", "--lab", "mapping-all"]
    hook = ["--exec", f'"{sys.executable}" "{script}"']
    done = subprocess.run(
        [sys.executable, "-m", "nattools", "map", *keep, *hook], capture_output=True, check=False
    )
    assert done.returncode == 0
    assert told.read_text() == "made"


def test_a_state_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(blocked))
    monkeypatch.setenv("NATTOOLS_SERVER", "127.0.0.1:1")
    assert run(["map", "list"]) == 3
    assert "journal" in capsys.readouterr().err


def test_a_simulated_keep_waits_at_our_pace_and_ends_cleanly() -> None:
    """It ran at full speed through days of its own time, and ended with tracebacks."""
    command = [sys.executable, "-m", "nattools", "map", "keep", "8080", "--lab", "mapping-all"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = [process.stderr.readline() for _ in range(2)]
        assert all("made" in line for line in told), told
        before = cpu_seconds(process.pid)
        assert not select.select([process.stderr], [], [], 1.0)[0]
        assert cpu_seconds(process.pid) - before < 0.3
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "nattools: interrupted\n"
        assert process.wait(timeout=60) == 130
