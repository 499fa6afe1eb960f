"""Options that make no sense are refused before a single packet leaves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from nattools.cli.app import run
from nattools.cli.display.outputs import check_writable, checked_outputs
from nattools.cli.options.sharedoptions import (
    LabChoice,
    checked_families,
    checked_lab,
    checked_seconds,
    split_lab,
)
from nattools.errors import UsageError

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("command", ["nat", "diagnose"])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("-4 -6", "-4 and -6 contradict each other"),
        ("--timeout -1", "--timeout -1: give a number of seconds greater than 0"),
        ("--timeout 0", "greater than 0"),
        ("--timeout nan", "greater than 0"),
        ("--timeout inf", "greater than 0"),
        ("--timeout soon", "--timeout"),
        ("--max-lifetime -3", "greater than 0"),
        ("--server example.org:0", "'0' is not a port"),
        ("--server example.org:70000", "'70000' is not a port"),
        ("--server stun://example.org", "write stun:example.org"),
        ("-o report.pdf", ".json, .md, .html, .txt"),
        ("-o report", "cannot tell the format"),
        ("-o /nonexistent/report.md", "there is no directory /nonexistent"),
        ("--pcap /nonexistent/a.pcapng", "there is no directory /nonexistent"),
        ("--pcap /tmp", "it is a directory"),
        ("--backend sim", "--backend is for a scenario"),
        ("--seed 1", "--seed is for a scenario"),
        ("--lab home-router --backend qemu", "must be one of sim, netns"),
        ("--lab :alice", "write SCENARIO or SCENARIO:HOST"),
        ("--lab home-router --seed x", "--seed"),
        ("--interface", "--interface"),
        ("somewhere", "somewhere"),
    ],
)
def test_refused(capsys: Capture, command: str, arguments: str, says: str) -> None:
    assert run([command, *arguments.split()]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("nattools: ")
    assert says in captured.err


def test_help_has_all_common_options(capsys: Capture) -> None:
    assert run(["nat", "--help"]) == 0
    out = capsys.readouterr().out
    common = (
        "--json",
        "-o",
        "--server",
        "--timeout",
        "-4",
        "-6",
        "--interface",
        "--lab",
        "--backend",
        "--seed",
    )
    for option in (*common, "--lifetime", "--max-lifetime", "--cross-check", "--pcap", "-v"):
        assert f" {option}" in out
    assert max(len(line) for line in out.splitlines()) <= 80


def test_files_that_can_be_written(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.json", "a.md", "a.html", "a.TXT")]
    assert checked_outputs([*paths, paths[0]]) == tuple(paths)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_said_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # root may write anywhere, so the system's answer is played
    monkeypatch.setattr("nattools.cli.display.outputs.os.access", lambda path, mode: False)
    with pytest.raises(UsageError, match="no permission, or a read-only file system"):
        checked_outputs([tmp_path / "a.json"])
    folder = tmp_path / "folder.json"
    folder.mkdir()
    with pytest.raises(UsageError, match="it is a directory"):
        checked_outputs([folder])


@pytest.mark.skipif(sys.platform == "win32", reason="has neither")
def test_what_is_no_file_is_not_written_to(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe.json", tmp_path / "link.json"
    os.mkfifo(pipe)
    link.symlink_to(link)
    for path, says in ((pipe, "it is not a file"), (link, "Too many levels of symbolic links")):
        with pytest.raises(UsageError, match=says):
            checked_outputs([path])
        with pytest.raises(UsageError, match=says):
            check_writable(path)


def test_families_and_seconds() -> None:
    assert checked_families(False, False) == (4, 6)
    assert checked_families(True, False) == (4,)
    assert checked_families(False, True) == (6,)
    assert checked_seconds(0.5, "--timeout") == 0.5
    assert checked_seconds(None, "--timeout") is None


def test_lab_choices(tmp_path: Path) -> None:
    assert checked_lab("home-router", None, None) == LabChoice("home-router", None, "sim", None)
    assert checked_lab("home-router:bob", "netns", 7) == LabChoice("home-router", "bob", "netns", 7)
    assert checked_lab(None, None, None) is None
    assert split_lab("C:\\labs\\one.toml") == ("C:\\labs\\one.toml", None)
    assert split_lab("dir/one.toml:bob") == ("dir/one.toml", "bob")
    odd = tmp_path / "a:b"
    odd.write_text("")
    assert split_lab(str(odd)) == (str(odd), None)
