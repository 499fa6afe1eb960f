"""What goes wrong before anything is measured: one clear message, the exit code that scripts rely on, nothing
on standard output, and no packet where none may go. Whole commands, in namespaces that lead nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenariofiles import load as load_scenario
from nattools.report.savedreport import load

pytestmark = pytest.mark.netns

ROOT = Path(__file__).parents[2]
NATTOOLS = (sys.executable, "-m", "nattools")
LIMIT_S = 120.0
# in a lab's program: a namespace with nothing but loopback
ALONE = ("unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh")
PIPES: dict[str, Any] = {
    "stdin": subprocess.DEVNULL,
    "stdout": subprocess.PIPE,
    "stderr": subprocess.PIPE,
    "text": True,
    "cwd": ROOT,
}
SILENT_DNS = """
import socket
with socket.socket(type=socket.SOCK_DGRAM) as sock:
    sock.bind(("127.0.0.1", 53))
    print("up", flush=True)
    while True:
        sock.recv(2048)
"""


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def lab() -> Iterator[NetnsLab]:
    with NetnsLab(load_scenario("kernel-masquerade")) as lab:
        yield lab


@pytest.fixture(autouse=True)
def nobodys_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No servers but those that a test names, and the built-in ones."""
    monkeypatch.delenv("NATTOOLS_SERVER", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def behind_a_nat(lab: NetnsLab, *arguments: str) -> Done:
    """nattools on alice's machine."""
    return inside(lab, *NATTOOLS, *arguments)


def alone(lab: NetnsLab, *arguments: str) -> Done:
    """nattools on a machine without any network."""
    return inside(lab, *ALONE, *NATTOOLS, *arguments)


def inside(lab: NetnsLab, *command: str) -> Done:
    """Any program on alice's machine."""
    process = lab.popen("alice", command, **PIPES)
    out, err = process.communicate(timeout=LIMIT_S)
    return Done(process.returncode, out, err)


def finished(*command: str) -> Done:
    """A program that makes its own namespaces, or sends nothing."""
    done = subprocess.run(command, timeout=LIMIT_S, check=False, **PIPES)
    return Done(done.returncode, done.stdout, done.stderr)


def is_told(done: Done, code: int, *words: str, remedy: str = "") -> None:
    """The exit code, and a message that is neither a traceback nor on standard output. Where nothing outside
    answered there is a report all the same."""
    assert done.code == code, done
    assert done.out == "" or load(done.out.encode()).ended is not None
    assert "Traceback" not in done.err
    under_way = ("nattools: waiting: ", "nattools: fetching ")
    told = [line for line in done.err.splitlines() if not line.startswith(under_way)]
    assert told[0].startswith("nattools: "), done.err
    assert all(word in told[0] for word in words), done.err
    assert not remedy or remedy in " ".join(told[1:]), done.err


@pytest.mark.parametrize("command", ["nat", "diagnose"])
@pytest.mark.parametrize("options", [(), ("--server", "192.0.2.1"), ("--server", "stun.example.org")])
def test_no_route(lab: NetnsLab, command: str, options: tuple[str, ...]) -> None:
    done = alone(lab, command, "--json", *options)
    is_told(done, 3, "no IPv4 or IPv6 route to the internet", remedy="ip route")


def test_no_route_of_the_family_asked_for(lab: NetnsLab) -> None:
    is_told(behind_a_nat(lab, "nat", "-6", "--json", "--server", "11.201.0.2"), 3, "no IPv6 route")


def test_nobody_answers_for_names(lab: NetnsLab) -> None:
    """The built-in servers have names, and there is no name server at all."""
    is_told(behind_a_nat(lab, "diagnose", "--json"), 3, "looked up", remedy="(DNS)")


def test_a_name_server_that_is_silent(lab: NetnsLab) -> None:
    """The resolver's default is the machine itself, where somebody listens and never answers."""
    name_server = lab.popen("alice", [sys.executable, "-c", SILENT_DNS], **PIPES)
    try:
        assert name_server.stdout.readline() == "up\n"  # type: ignore[union-attr]
        done = behind_a_nat(lab, "nat", "--json", "--server", "stun.example.org")
    finally:
        name_server.kill()
        name_server.communicate()
    is_told(done, 3, "looked up", "stun.example.org", remedy="DNS works")


def test_a_servers_name_that_does_not_exist(lab: NetnsLab) -> None:
    done = behind_a_nat(lab, "nat", "--json", "--server", "nosuch.example.org")
    is_told(done, 3, "looked up", "nosuch.example.org", remedy="spelling")


def test_a_server_that_does_not_exist(lab: NetnsLab) -> None:
    done = behind_a_nat(lab, "nat", "--json", "--server", "11.201.0.9")
    is_told(done, 3, "no server answered", "11.201.0.9", remedy="nattools serve")


def test_no_server_in_the_time_given(lab: NetnsLab) -> None:
    done = behind_a_nat(lab, "nat", "--json", "--server", "11.201.0.9", "--timeout", "0.2")
    is_told(done, 3, "no server answered in the time given")


def test_servers_that_never_answer(tmp_path: Path) -> None:
    file = tmp_path / "silent.toml"
    file.write_text('title = "Nobody answers"\n[host.alice]\n[server.stun]\nkind = "silent"\n')
    done = finished(*NATTOOLS, "nat", "--lab", str(file), "--backend", "netns", "--json")
    is_told(done, 3, "no server answered", "stun", remedy="another one can be named with --server")


WRONG_OPTIONS = {
    "interface": (["--interface", "nosuch"], "there is no interface 'nosuch' here; there are: lo, eth0"),
    "port": (["--server", "bad:99999"], "'99999' is not a port"),
    "families": (["-4", "-6"], "-4 and -6 contradict each other"),
    "suffix": (["-o", "out.xyz"], "its name must end in .json, .md, .html, .txt"),
    "folder": (["-o", "/nonexistent/report.json"], "there is no directory /nonexistent"),
    "timeout": (["--timeout", "0"], "a number of seconds greater than 0"),
}


@pytest.mark.parametrize("case", WRONG_OPTIONS)
def test_wrong_options(lab: NetnsLab, case: str) -> None:
    options, message = WRONG_OPTIONS[case]
    is_told(behind_a_nat(lab, "nat", "--json", *options), 2, message)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_without_permission_is_wrong_usage() -> None:
    """In a folder of root's: who makes a lab without root is root over own files there."""
    is_told(finished(*NATTOOLS, "nat", "--json", "-o", "/etc/report.json"), 2, "no permission")


@pytest.mark.parametrize("option", ["-o", "--pcap"])
def test_a_file_that_the_system_refuses(lab: NetnsLab, option: str, tmp_path: Path) -> None:
    """Nobody may write anything there, but that shows only when it is tried: the report is not lost."""
    file = tmp_path / "report.json"
    limited = ("prlimit", "--fsize=0", *NATTOOLS, "nat", "--json", "--server", "11.201.0.2")
    done = inside(lab, *limited, option, str(file))
    assert load(done.out.encode()).nat.udp4 is not None
    is_told(done._replace(out=""), 3, f"cannot write {file}")
    assert not file.exists() or not file.read_bytes()


def test_a_full_disk(lab: NetnsLab) -> None:
    into_full = ("sh", "-c", 'exec "$@" > /dev/full', "sh")
    done = inside(lab, *into_full, *NATTOOLS, "nat", "--json", "--server", "11.201.0.2")
    is_told(done, 3, "cannot write to standard output", "No space left")


BAD_SCENARIOS = {
    "not TOML": ('title = "x"\n[host.alice\n', "line 2", "not TOML"),
    "unknown key": (
        'title = "x"\n[nat.home]\nfiltring = "none"\n[host.alice]\n',
        "line 3",
        "nat.home.filtring",
    ),
    "a value": ('title = "x"\n\n[nat.home]\nstep = "two"\n[host.alice]\n', "line 4", "nat.home.step"),
    "wiring": ('title = "x"\n[host.alice]\nbehind = "hoem"\n', "line 3", "hoem"),
    "expectation": (
        'title = "x"\n[host.alice]\n[expect.alice.nat.udp4]\nmapping = "sometimes"\n',
        "line 4",
        "'sometimes'",
    ),
}


@pytest.mark.parametrize("case", BAD_SCENARIOS)
def test_a_bad_scenario_file(tmp_path: Path, case: str) -> None:
    text, *words = BAD_SCENARIOS[case]
    file = tmp_path / "bad.toml"
    file.write_text(text)
    done = finished(*NATTOOLS, "lab", "run", str(file), "--backend", "netns", "--json")
    is_told(done, 2, "bad.toml", *words)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nat", "--json", "--lab", "BAD"),
        ("diagnose", "--json", "--lab", "BAD", "--backend", "netns"),
        ("lab", "matrix", "BAD", "--json"),
        ("lab", "exec", "BAD", "alice", "--", "true"),
    ],
)
def test_a_bad_scenario_file_for_every_command(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('title = "x"\n[host.alice]\nbehind = "hoem"\n')
    named = [str(file) if word == "BAD" else word for word in arguments]
    is_told(finished(*NATTOOLS, *named), 2, "bad.toml, line 3: ")
