"""`nattools lab exec` and `run` as processes: streams, exit codes, signals, and nothing left behind."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from heldspaces import held, processes_in
from leftopen import LeftOpenError
from scenariotrials import left_open

from nattools.lab.netns import processes

pytestmark = pytest.mark.netns

LAB = (sys.executable, "-m", "nattools", "lab")
ROOT = Path(__file__).parents[2]
LIMIT_S = 120.0


def lab(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LAB, *arguments], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, **more
    )  # type: ignore[call-overload,no-any-return]


def test_streams_and_the_exit_code_pass_through() -> None:
    done = lab(
        "exec", "home-router", "alice", "--", "sh", "-c", "cat; echo to stderr >&2; exit 7", input="in"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("in", "to stderr\n", 7)


def test_a_program_ended_by_a_signal_has_its_number_in_the_exit_code() -> None:
    assert lab("exec", "home-router", "alice", "--", "sh", "-c", "kill -9 $$").returncode == 128 + 9


def test_a_program_that_does_not_exist_cannot_run() -> None:
    done = lab("exec", "home-router", "alice", "--", "no-such-program")
    assert done.returncode == 3
    assert "no-such-program" in done.stderr


def test_nattools_inside_finds_the_scenarios_server() -> None:
    nat = [sys.executable, "-m", "nattools", "nat", "--json"]
    done = lab("exec", "port-restricted", "alice", "--", *nat)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["nat"]["udp4"]["classic"] == "port-restricted cone"
    assert report["substrate"] == "host"


@pytest.mark.again
def test_both_backends_find_the_same() -> None:
    done = lab("matrix", "port-restricted", "symmetric-random", "--backend", "sim", "--backend", "netns")
    wrong = [line.partition(" on netns: ")[2] for line in done.stdout.splitlines() if " on netns: " in line]
    if wrong and all(map(left_open, wrong)):
        raise LeftOpenError(wrong)
    assert done.stdout.splitlines()[-1] == "4 of 4 as expected"
    assert done.returncode == 0


@contextmanager
def running() -> Iterator[tuple[subprocess.Popen[str], set[int]]]:
    """A `lab exec` with a program inside that has a child, and the number of its namespace."""
    script = "echo /proc/$$/ns/net; sleep 1000 >/dev/null 2>&1 & exec sleep 1000 >/dev/null 2>&1"
    process = subprocess.Popen(
        [*LAB, "exec", "home-router", "alice", "--", "sh", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        with held(process.stdout.readline().split()) as space:
            assert space
            yield process, space
    finally:
        process.kill()
        process.communicate()
        processes.sweep()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_of_it(number: signal.Signals, code: int) -> None:
    with running() as (process, space):
        assert processes_in(space)
        process.send_signal(number)
        _, complaints = process.communicate(timeout=LIMIT_S)
        assert process.returncode == code
        assert "Traceback" not in complaints
        assert not processes_in(space)


def test_after_a_kill_the_next_start_ends_what_was_left() -> None:
    with running() as (process, space):
        handles = [os.pidfd_open(pid) for pid in processes_in(space)]
        process.kill()
        process.wait(LIMIT_S)
        assert lab("exec", "home-router", "alice", "--", "true").returncode == 0
        for handle in handles:
            assert select.select([handle], [], [], LIMIT_S)[0], "a process survived"
            os.close(handle)
        assert not processes_in(space)


def test_names_and_interfaces_inside_are_the_labs() -> None:
    before = Path("/etc/hosts").read_text()
    code = "import os, socket; print(socket.gethostbyname('stun'), sorted(os.listdir('/sys/class/net')))"
    done = lab("exec", "home-router", "alice", "--", sys.executable, "-c", code)
    assert done.stdout == "11.201.0.2 ['eth0', 'lo']\n", done.stderr
    assert Path("/etc/hosts").read_text() == before


def test_a_name_of_the_outside_world_does_not_resolve_inside() -> None:
    code = "import socket; socket.gethostbyname('example.org')"
    done = lab("exec", "home-router", "alice", "--", sys.executable, "-c", code)
    assert "gaierror" in done.stderr
