"""A lab that is interrupted or killed, at any moment of its life, leaves nothing behind: no process, no
namespace, no file, no rule."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = [pytest.mark.netns, pytest.mark.interop("turnserver")]

ROOT = Path(__file__).parents[2]
NATTOOLS = (sys.executable, "-m", "nattools")
MARK = "NATTOOLS_TEST_MARK"
LIMIT_S = 120.0
OF_LABS = re.compile(r"\b(nattools|alice|home|isp|stun|other|wan|lan|11\.\d+\.\d+\.\d+|2a10:)\b")

# everything that a lab can be made of: both kinds of routers, a wire, our server and a foreign one
SCENARIO = """
title = "Sleeps for a minute"
[options]
lifetime = true
max_lifetime_s = 60
[nat.isp]
address = "100.64.0.0/10"
[nat.home]
behind = "isp"
mapping = "address-dependent"
[host.alice]
behind = "home"
delay_ms = 1
[server.stun]
[server.other]
kind = "rfc5780"
program = "coturn"
"""
PROGRAM = "sleep 1000 </dev/null >/dev/null 2>&1 & echo 'waiting: for ever' >&2; exec sleep 1000"
ALONE = """
import errno, runpy, sys
from crippled import refuse
refuse("prctl", errno.EPERM, 0, 1)
runpy.run_module("nattools", run_name="__main__", alter_sys=True)
"""
"""nattools where the kernel is not told to end children with their parent (PR_SET_PDEATHSIG): as beside
gVisor, or under a filter."""
COMMANDS = {
    "lab run": ("lab", "run", "SCENARIO", "--backend", "netns", "--json"),
    "lab matrix": ("lab", "matrix", "SCENARIO", "SCENARIO", "--backend", "netns", "--jobs", "2", "--json"),
    "lab exec": ("lab", "exec", "SCENARIO", "alice", "--", "sh", "-c", PROGRAM),
    "nat --lab": ("nat", "--lab", "SCENARIO", "--backend", "netns", "--lifetime", "--json"),
}


def _hear_all() -> None:
    """The tests themselves may run under nohup, and a program inherits what is ignored."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class Started(NamedTuple):
    """A command under way in a session of its own, and where it might leave files."""

    process: subprocess.Popen[str]
    mark: str
    places: Path

    def processes(self) -> set[int]:
        """The command's process and all that came of it."""
        return {pid for pid in all_processes() if self.mark in environment(pid)}

    def namespaces(self) -> set[str]:
        """The network namespaces that these are in or hold, as "net:[4026531840]", but not the machine's."""
        found = {space for pid in self.processes() for space in held_namespaces(pid)}
        return found - held_namespaces(os.getpid())

    def files(self) -> list[Path]:
        """What was written where programs write."""
        return [path for path in self.places.rglob("*") if not path.is_dir()]


@contextmanager
def started(command: str, folder: Path, nattools: tuple[str, ...] = NATTOOLS) -> Iterator[Started]:
    """Start a command with its temporary, home and working directories in `folder`."""
    scenario = folder / "sleeps.toml"
    scenario.write_text(SCENARIO)
    places = folder / "places"
    mark = f"{command} of {os.getpid()} at {time.monotonic_ns()}"
    variables = {MARK: mark, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("HOME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "PWD"):
        variables[name] = str(places / name)
        (places / name).mkdir(parents=True)
    arguments = [str(scenario) if word == "SCENARIO" else word for word in COMMANDS[command]]
    process = subprocess.Popen(
        [*nattools, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=variables["PWD"],
        env={**os.environ, **variables},
        start_new_session=True,
        preexec_fn=_hear_all,
    )
    run = Started(process, f"{MARK}={mark}", places)
    try:
        yield run
    finally:
        for pid in run.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


# --- moments of a lab's life


def until_being_built(run: Started) -> None:
    """Until it holds a namespace."""
    await_that(lambda: bool(run.namespaces()))


def until_it_waits(run: Started) -> None:
    """Until it says on standard error that it is waiting for something."""
    assert run.process.stderr is not None
    await_that(lambda: bool(select.select([run.process.stderr], (), (), 0.01)[0]))
    assert "waiting" in run.process.stderr.readline()


def until_it_runs(run: Started) -> None:
    """Until all servers are there; the matrix says nothing while it waits."""
    await_that(lambda: any("turnserver" in name_of(pid) for pid in run.processes()))


def await_that(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < until, "it never came to that"
        select.select((), (), (), 0.01)


MOMENTS = {"being built": until_being_built, "running": until_it_runs, "waiting": until_it_waits}
MAIN_CASES = [("lab run", "waiting"), ("lab exec", "waiting")]
CASES = [
    *MAIN_CASES,
    ("lab run", "being built"),
    ("lab exec", "being built"),
    ("lab matrix", "running"),
    ("nat --lab", "waiting"),
]


# --- ways to end it


def ctrl_c(run: Started) -> None:
    """As a terminal does: the signal goes to all processes of the group."""
    os.killpg(run.process.pid, signal.SIGINT)


def interrupt(run: Started) -> None:
    """As a supervisor does: the signal goes to the command alone."""
    run.process.send_signal(signal.SIGINT)


def ctrl_c_twice(run: Started) -> None:
    """By somebody impatient."""
    ctrl_c(run)
    ctrl_c(run)


@pytest.mark.parametrize(
    ("command", "moment", "end"),
    [
        *((*case, ctrl_c) for case in CASES),
        *((*case, end) for case in MAIN_CASES for end in (interrupt, ctrl_c_twice)),
    ],
)
def test_interrupted(command: str, moment: str, end: Callable[[Started], None], tmp_path: Path) -> None:
    before = machines_own()
    with started(command, tmp_path) as run:
        MOMENTS[moment](run)
        await_that(lambda: bool(run.namespaces()))  # while it is being built it may be between two
        end(run)
        out, complaints = run.process.communicate(timeout=LIMIT_S)
        assert (run.process.returncode, out) == (130, ""), complaints
        assert "Traceback" not in complaints
        assert complaints.splitlines()[-1] == "nattools: interrupted"
        assert_nothing_is_left(run, before)


@pytest.mark.parametrize(
    ("command", "moment", "number"),
    [
        *((*case, signal.SIGKILL) for case in CASES),
        *((*case, number) for case in MAIN_CASES for number in (signal.SIGTERM, signal.SIGHUP)),
    ],
)
def test_killed(command: str, moment: str, number: signal.Signals, tmp_path: Path) -> None:
    """The next lab ends what the kernel did not."""
    before = machines_own()
    with started(command, tmp_path) as run:
        MOMENTS[moment](run)
        await_that(lambda: bool(run.namespaces()))  # while it is being built it may be between two
        run.process.send_signal(number)
        run.process.wait(LIMIT_S)
        next_lab = [*NATTOOLS, "lab", "exec", "open", "alice", "--", "true"]
        subprocess.run(next_lab, check=True, timeout=LIMIT_S, cwd=ROOT)
        assert_nothing_is_left(run, before)


@pytest.mark.parametrize("nattools", [NATTOOLS, (sys.executable, "-c", ALONE)], ids=["told", "refused"])
@pytest.mark.parametrize(("command", "moment"), [*MAIN_CASES, ("lab matrix", "running")])
def test_what_is_killed_leaves_nothing_to_the_next_lab(
    command: str, moment: str, nattools: tuple[str, ...], tmp_path: Path
) -> None:
    """Neither its own processes, which the kernel may not be told to end with it, nor programs' children."""
    before = machines_own()
    with started(command, tmp_path, nattools) as run:
        MOMENTS[moment](run)
        run.process.kill()
        run.process.wait(LIMIT_S)
        assert_nothing_is_left(run, before)


def assert_nothing_is_left(run: Started, before: list[str]) -> None:
    """A namespace without a name lives as long as a process is in it or holds it. Its number tells nothing:
    somebody else's next one gets it again."""
    # the children of a killed process are killed by the kernel, a moment later
    await_that(lambda: not run.processes())
    assert run.files() == []
    assert machines_own() == before


# --- what there is on this machine


def machines_own() -> list[str]:
    """What of a lab's there is in the machine's own network: by the names of its nodes and tables, and by its
    addresses. (Other programs make namespaces and interfaces meanwhile.)"""
    commands = ("ip netns list", "ip -o link", "ip -o address", "ip route show table all", "nft list ruleset")
    lines = [line for command in commands for line in output_of(command).splitlines()]
    return sorted(without_lifetimes(line) for line in lines if OF_LABS.search(line))


def output_of(command: str) -> str:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    done = subprocess.run(
        command.split(), capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
    )
    return done.stdout


def without_lifetimes(text: str) -> str:
    """What counts down by itself left out."""
    return re.sub(r"(valid_lft|preferred_lft|expires) \w+", "", text)


def all_processes() -> set[int]:
    return {int(entry) for entry in os.listdir("/proc") if entry.isdigit()}


def environment(pid: int) -> list[str]:
    """The variables that a process was started with, as "NAME=value"; none of a process that is gone."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


def held_namespaces(pid: int) -> set[str]:
    """The network namespace of a process, and those to which it has open descriptors."""
    found = set()
    for link in (f"/proc/{pid}/ns/net", *descriptors(pid)):
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith("net:["):
            found.add(target)
    return found


def descriptors(pid: int) -> list[str]:
    try:
        return [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return []
