"""`nattools map` as a process behind a real router (miniupnpd), held against a look from outside that owes
nothing to it, and beside miniupnpc's and libnatpmp's programs."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from leftopen import LeftOpenError
from mapped import ALICE, ANSWER_S, OUTSIDE, gets_in, home, within

from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import MapperSpec, NatSpec, Scenario
from nattools.model.endpoint import Endpoint, Family, Transport

pytestmark = [pytest.mark.netns, pytest.mark.again, pytest.mark.interop("miniupnpd", "upnpc", "natpmpc")]

BOTH: tuple[Transport, ...] = ("udp", "tcp")
CAROL = "10.0.1.3"
INSIDE, BEYOND = Endpoint(ALICE, 6000), Endpoint(OUTSIDE, 6000)
PINHOLE = Endpoint("2a10:1:0:1::2", 6000)
LIMIT_S = 120.0
WAITING = "nattools: waiting: "
PATIENCE_S = 20.0
"""For what is to get in, which takes some ms: a SYN that was lost is sent again after 1, 3, 7 and 15 s."""


class Home:
    """A lab, and nattools run on alice in it, with a state folder of its own."""

    def __init__(self, lab: NetnsLab, state: Path) -> None:
        self.lab, self.state = lab, state
        self.maps = any(nat.mapper is not None for nat in lab.scenario.nat.values())
        names = " ".join(lab.server_uris())
        self.environment = {**os.environ, "NATTOOLS_SERVER": names, "XDG_STATE_HOME": str(state)}

    def start(self, *arguments: str, **pipes: Any) -> subprocess.Popen[str]:
        """Start a nattools on alice."""
        command = [sys.executable, "-m", "nattools", "map", *arguments]
        return self.lab.popen("alice", command, env=self.environment, text=True, **pipes)

    def map(self, *arguments: str) -> tuple[int, Any]:
        """Run one to its end; its exit code and its JSON."""
        with self.start(*arguments, "--json", stdout=subprocess.PIPE) as process:
            out, _ = process.communicate(timeout=LIMIT_S)
        report = json.loads(out)
        asked = {each["outcome"] for each in report["observations"] if each["kind"] == "map-offer"}
        if self.maps and not asked & {"answered", "refused"}:
            raise LeftOpenError("the router was not heard")
        made = report["mappings"] if arguments[0] == "add" or arguments == ("probe",) else ()
        if any(each["created"] and each["verified_inbound"] is None for each in made):
            raise LeftOpenError("whether others get in")
        return process.returncode, report

    def other(self, *command: str) -> str:
        """Run somebody else's program on alice."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with self.lab.popen("alice", command, **pipes) as process:
            return str(process.communicate(timeout=LIMIT_S)[0])

    def open_for(
        self, transport: Transport, port: int = 6000, family: Family = 4, within_s: float = ANSWER_S
    ) -> bool:
        """Does bob get in from outside?"""
        inside, outside = Endpoint(ALICE, port), Endpoint(OUTSIDE, port)
        if family == 6:
            inside = outside = Endpoint(PINHOLE.host, port)
        return self.lab.run(lambda: gets_in(self.lab, transport, inside, outside, within_s=within_s))

    def shows(self, is_open: bool, port: int = 6000, family: Family = 4) -> bool:
        """Is it so over UDP and over TCP? What is to be open is given its time."""
        within_s = PATIENCE_S if is_open else ANSWER_S
        return all(self.open_for(each, port, family, within_s) is is_open for each in BOTH)


@contextmanager
def at(scenario: Scenario, state: Path) -> Iterator[Home]:
    with NetnsLab(scenario) as lab:
        yield Home(lab, Path(mkdtemp(dir=state)))


def double_nat() -> Scenario:
    behind = home()
    nats = {"isp": NatSpec(address="100.64.0.0/24"), "home": NatSpec(behind="isp", mapper=MapperSpec())}
    return Scenario(title="double", nat=nats, host=behind.host, server=behind.server)


def verdicts(report: Any) -> dict[str, str]:
    return {each["id"]: each["verdict"] for each in report["techniques"]}


SETUPS = {
    "all three": (MapperSpec(), {"upnp-igd", "nat-pmp", "pcp"}),
    "UPnP only": (MapperSpec(protocols=("upnp-igd",)), {"upnp-igd"}),
    "NAT-PMP and PCP only": (MapperSpec(protocols=("nat-pmp", "pcp")), {"nat-pmp", "pcp"}),
    "IGDv1": (MapperSpec(protocols=("upnp-igd",), igd=1), {"upnp-igd"}),
}


@pytest.mark.parametrize("name", SETUPS)
def test_each_mapping_is_verified_and_gone_afterwards(name: str, tmp_path: Path) -> None:
    spec, protocols = SETUPS[name]
    with at(home(spec), tmp_path) as here:
        code, report = here.map("probe")
        assert code == 0
        rows = [(each["protocol"], each["transport"]) for each in report["mappings"]]
        assert sorted(rows) == sorted((each, transport) for each in protocols for transport in BOTH)
        assert all(each["verified_inbound"] is True for each in report["mappings"])
        assert all(each["removed"] for each in report["mappings"])
        assert verdicts(report) == {
            each: "works" if each in protocols else "fails" for each in ("upnp-igd", "nat-pmp", "pcp")
        }
        for each in report["mappings"]:
            port = int(each["internal"].rpartition(":")[2])
            assert not here.open_for(each["transport"], port)


@pytest.mark.parametrize("name", SETUPS)
def test_closed_then_open_then_closed(name: str, tmp_path: Path) -> None:
    spec, protocols = SETUPS[name]
    with at(home(spec), tmp_path) as here:
        for number, protocol in enumerate(sorted(protocols)):
            port = 6000 + number
            assert here.shows(False, port)
            code, report = here.map("add", str(port), "--protocol", protocol)
            assert code == 0
            assert [each["verified_inbound"] for each in report["mappings"]] == [True, True]
            assert {each["external"] for each in report["mappings"]} == {f"{OUTSIDE}:{port}"}
            assert here.shows(True, port)
            code, report = here.map("delete", str(port))
            assert code == 0
            assert all(each["removed"] for each in report["mappings"])
            assert here.shows(False, port)


def test_behind_a_second_nat(tmp_path: Path) -> None:
    with at(double_nat(), tmp_path) as here:
        code, report = here.map("probe")
        assert code == 1
        assert not any(each["created"] for each in report["mappings"])
        assert {(each["protocol"], each["error"]["code"]) for each in report["mappings"]} == {
            ("upnp-igd", 501), ("nat-pmp", 3), ("pcp", 8)
        }  # fmt: skip
        assert set(verdicts(report).values()) == {"fails"}
        assert any("second NAT" in line for line in report["warnings"])


def test_switched_off(tmp_path: Path) -> None:
    off = home()
    plain = Scenario(title="off", nat={"home": NatSpec()}, host=off.host, server=off.server)
    with at(plain, tmp_path) as here:
        code, report = here.map("probe")
        assert code == 1
        assert report["mappings"] == []
        assert set(verdicts(report).values()) == {"fails"}
        assert here.map("add", "6000")[0] == 1
        assert here.shows(False)


@pytest.mark.parametrize("protocol", ["pcp", "upnp-igd"])
def test_pinholes(protocol: str, tmp_path: Path) -> None:
    with at(home(ipv6=True), tmp_path) as here:
        assert here.shows(False, family=6)
        code, report = here.map("add", "6000", "-6", "--protocol", protocol)
        assert code == 0
        assert [(each["family"], each["verified_inbound"]) for each in report["mappings"]] == [(6, True)] * 2
        assert here.shows(True, family=6)
        assert here.shows(False, family=4)
        assert here.map("delete", "--mine")[0] == 0
        assert here.shows(False, family=6)


# --- keep


@contextmanager
def keeping(here: Home, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A `map keep 6000` that has made its mappings; told to end by SIGTERM if it still runs."""
    with here.start(
        "keep", "6000", "--json", *more, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            said = lines_of(process, len(BOTH))
            assert all("made" in line for line in said), said
            if any("made, verified" not in line for line in said):
                raise LeftOpenError(said)
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=LIMIT_S)


def lines_of(process: subprocess.Popen[str], count: int) -> list[str]:
    """The next lines on its standard error, which must come soon; what it waits for, on a busy machine, is
    none of them."""
    assert process.stderr is not None
    said = b""
    while True:
        lines = [
            line for line in said.decode(errors="replace").splitlines(True) if not line.startswith(WAITING)
        ]
        if said.endswith(b"\n") and len(lines) >= count:
            return [line.rstrip("\n") for line in lines]
        ready, _, _ = select.select([process.stderr], (), (), LIMIT_S)
        part = os.read(process.stderr.fileno(), 4096) if ready else b""
        assert part, f"no more was said than {said!r}"
        said += part


@pytest.mark.parametrize("protocol", ["upnp-igd", "nat-pmp", "pcp"])
def test_back_soon_after_the_router_is(protocol: str, tmp_path: Path) -> None:
    """How soon: `tests/unit/engine/portmap/test_keep.py`, on the simulator's clock."""
    with at(home(), tmp_path) as here, keeping(here, "--protocol", protocol, "--transport", "both"):
        assert here.shows(True)

        async def away() -> None:
            await here.lab.stop_router("home")
            await within(asyncio.Event(), 4.0)

        here.lab.run(away)
        assert here.shows(False)

        here.lab.run(lambda: here.lab.start_router("home"))
        until = time.monotonic() + LIMIT_S
        while not all(here.open_for(each) for each in BOTH):
            assert time.monotonic() < until


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 130)]
)
def test_the_end_removes_it(number: signal.Signals, code: int, tmp_path: Path) -> None:
    with at(home(), tmp_path) as here:
        with keeping(here) as process:
            assert here.shows(True)
            process.send_signal(number)
            process.wait(LIMIT_S)
            assert process.returncode == code
            assert here.shows(False)
        assert f"->{INSIDE}" not in here.other("upnpc", "-l")


def test_the_users_command_is_told(tmp_path: Path) -> None:
    told = Path(mkdtemp(dir=tmp_path)) / "told"
    hook = f'echo "$NATTOOLS_EVENT $NATTOOLS_TRANSPORT $NATTOOLS_EXTERNAL $NATTOOLS_INTERNAL_PORT" >> {told}'
    with at(home(), tmp_path) as here, keeping(here, "--exec", hook):
        pass
    assert sorted(told.read_text().splitlines()) == [f"made {each} {BEYOND} 6000" for each in ("tcp", "udp")]


# --- SIGKILL

STOPPED_BEFORE_ASKING = """
import sys
from nattools.cli.app import run
from nattools.engine.portmap.journal import Journal
add = Journal.add
def stop(self, *arguments, **named):
    noted = add(self, *arguments, **named)
    print("noted", flush=True)
    sys.stdin.readline()
    return noted
Journal.add = stop
run(["map", "keep", "6000", "--transport", "udp", "--protocol", sys.argv[1]])
"""


@pytest.mark.parametrize("protocol", ["nat-pmp", "pcp"])
def test_killed_between_question_and_answer(protocol: str, tmp_path: Path) -> None:
    """The router is held still, so that it has the question and has not answered when the asker dies."""
    with at(home(), tmp_path) as here:
        daemon = here.lab.mappers.running("home")
        command = [sys.executable, "-c", STOPPED_BEFORE_ASKING, protocol]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with here.lab.popen("alice", command, env=here.environment, text=True, **pipes) as process:
            assert process.stdout.readline() == "noted\n"
            os.kill(daemon.pid, signal.SIGSTOP)
            process.stdin.write("go on\n")
            process.stdin.flush()
            here.lab.run(lambda: _queued(daemon.pid))
            process.kill()
            process.wait()
        os.kill(daemon.pid, signal.SIGCONT)
        until = time.monotonic() + LIMIT_S
        while not here.open_for("udp"):
            assert time.monotonic() < until, "the router makes it, and nobody knows"
        assert here.map("list")[0] == 0
        assert not here.open_for("udp")


async def _queued(pid: int) -> None:
    """Wait until a datagram waits for the daemon on its port."""
    async with asyncio.timeout(LIMIT_S):
        while not _has_queued(pid):
            await within(asyncio.Event(), 0.01)


def _has_queued(pid: int) -> bool:
    rows = []
    for table in ("udp", "udp6"):
        rows += [line.split() for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]]
    return any(row[1].endswith(":14E7") and int(row[4].partition(":")[2], 16) for row in rows)


@pytest.mark.parametrize("protocol", ["upnp-igd", "nat-pmp", "pcp"])
def test_killed_while_keeping(protocol: str, tmp_path: Path) -> None:
    with at(home(), tmp_path) as here:
        with keeping(here, "--protocol", protocol) as process:
            process.kill()
            process.wait()
        assert here.shows(True)
        code, _ = here.map("probe", "--protocol", "pcp")
        assert code == 0
        assert here.shows(False)


# --- other people's programs


def test_upnpc_sees_and_deletes_ours(tmp_path: Path) -> None:
    with at(home(), tmp_path) as here:
        here.map("add", "6000", "--protocol", "upnp", "--description", "my game")
        listed = here.other("upnpc", "-l")
        assert f"UDP  6000->{INSIDE}  'my game'" in listed
        assert f"TCP  6000->{INSIDE}  'my game'" in listed
        here.other("upnpc", "-d", "6000", "udp", "6000", "tcp")
        here.other("upnpc", "-d", "6000", "tcp")
        assert here.shows(False)
        code, report = here.map("list")
        assert (code, [each for each in report["mappings"] if each["description"]]) == (0, [])


def test_natpmpc_sees_and_deletes_ours(tmp_path: Path) -> None:
    with at(home(), tmp_path) as here:
        here.map("add", "6000", "--protocol", "nat-pmp", "--transport", "udp")
        assert here.open_for("udp", within_s=PATIENCE_S)
        answer = here.other("natpmpc", "-a", "6000", "6000", "udp", "600")
        assert "Mapped public port 6000 protocol UDP to local port 6000" in answer
        here.other("natpmpc", "-a", "0", "6000", "udp", "0")
        assert not here.open_for("udp")


@pytest.mark.parametrize(
    "command",
    [
        ("upnpc", "-e", "theirs", "-a", ALICE, "6000", "6000", "udp", "600"),
        ("natpmpc", "-a", "6000", "6000", "udp", "600"),
    ],
)
def test_theirs_are_seen_and_deleted(command: tuple[str, ...], tmp_path: Path) -> None:
    with at(home(), tmp_path) as here:
        here.other(*command)
        assert here.open_for("udp", within_s=PATIENCE_S)
        _, report = here.map("list")
        (row,) = report["mappings"]
        assert (row["transport"], row["internal"], row["external"]) == ("udp", str(INSIDE), str(BEYOND))
        code, report = here.map("delete", "6000", "--transport", "udp")
        assert code == 0
        assert [each["removed"] for each in report["mappings"]] == [True]
        assert not here.open_for("udp")


def test_a_port_that_another_machine_has(tmp_path: Path) -> None:
    """Without a port named another one is made; what is the other machine's stays."""
    with at(home(), tmp_path) as here:
        theirs = ("upnpc", "-e", "theirs", "-a", CAROL, "6000", "6000", "tcp", "600")
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        assert here.lab.popen("carol", theirs, **pipes).wait(LIMIT_S) == 0
        code, report = here.map("add", "6000", "--transport", "tcp")
        assert code == 0
        (made,) = report["mappings"]
        assert made["verified_inbound"] is True
        assert made["external"] != str(BEYOND)
        for protocol, error in (("upnp", 718), ("pcp", 11)):
            exactly = ("--external-port", "6000", "--transport", "tcp", "--protocol", protocol)
            code, report = here.map("add", "6000", *exactly)
            assert code == 1
            assert report["mappings"][0]["error"]["code"] == error
        assert here.map("delete", "6000")[0] == 0
        _, report = here.map("list")
        assert [each["internal"] for each in report["mappings"]] == [f"{CAROL}:6000"]


@pytest.mark.parametrize("protocol", ["upnp", "nat-pmp", "pcp"])
def test_another_address_of_this_machine(protocol: str, tmp_path: Path) -> None:
    """The mapping leads there, and is removed from there, by a start that was told of no address."""
    second = Endpoint("10.0.1.77", 6000)
    with at(home(), tmp_path) as here:
        here.other("ip", "address", "add", f"{second.host}/24", "dev", "eth0")

        def is_open(within_s: float = ANSWER_S) -> bool:
            return here.lab.run(lambda: gets_in(here.lab, "udp", second, BEYOND, within_s=within_s))

        code, report = here.map("add", str(second), "--transport", "udp", "--protocol", protocol)
        assert (code, report["mappings"][0]["internal"]) == (0, str(second))
        assert is_open(PATIENCE_S)
        assert not here.open_for("udp")
        assert here.map("delete", "--mine")[0] == 0
        assert not is_open()


def test_a_second_opinion(tmp_path: Path) -> None:
    pytest.importorskip("miniupnpc")
    with at(home(), tmp_path) as here:
        code, report = here.map("probe", "--cross-check", "--protocol", "upnp")
        assert code == 0
        (opinion,) = report["cross_checks"]
        assert (opinion["agrees"], opinion["says"]) == (True, f"a gateway with {OUTSIDE}")


# --- errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "0"), "port '0'"),
        (("add", "70000"), "port '70000'"),
        (("add", "6000", "--lifetime", "-1"), "--lifetime -1"),
        (("add", "10.0.1.3:5000"), "not an address of this machine"),
        (("keep", "6000", "--external-port", "0"), "--external-port '0'"),
    ],
)
def test_bad_input_is_said_clearly(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    with at(home(), tmp_path) as here:
        with here.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            out, complaint = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, out) == (2, "")
        assert words in complaint
        assert "Traceback" not in complaint
