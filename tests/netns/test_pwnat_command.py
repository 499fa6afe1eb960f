"""`nattools pwnat` as processes behind kernel NAT: a listener without any privilege, uses of the connection,
lost paths, Ctrl-C, and what it says where it cannot run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from leftopen import LeftOpenError
from punchpair import Pair, Side, pair

from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec

pytestmark = pytest.mark.netns

NOBODY = 65534
SECRET = "the same on both sides"
SESSION_S = int(os.environ.get("NATTOOLS_SESSION_S", "12"))
OUTSIDE = "11.1.0.2"


def network(nat: NatSpec | None = None) -> Scenario:
    """A home, and a machine on the internet."""
    return Scenario(
        title="t",
        nat={"home": nat or NatSpec()},
        host={"alice": HostSpec(behind="home"), "carol": HostSpec()},
        server={"stun": ServerSpec()},
    )


@contextmanager
def home(state: Path, nat: NatSpec | None = None) -> Iterator[Pair]:
    with pair(state, network(nat)) as both:
        both.environment.pop("NATTOOLS_SERVER")
        yield both


def listen(both: Pair, *arguments: str, **files: Any) -> Side:
    side = both.start("alice", "listen", "--secret", SECRET, *arguments, command="pwnat", **files)
    side.await_match("On the other machine")
    return side


def call(both: Pair, *arguments: str, **files: Any) -> Side:
    return both.start("carol", "connect", OUTSIDE, "--secret", SECRET, *arguments, command="pwnat", **files)


def test_what_a_person_does(tmp_path: Path) -> None:
    """Run the one, type on the other what it says with the address put in, and both tell of it."""
    with home(tmp_path) as both:
        one = both.start("alice", "listen", "--json", command="pwnat")
        typed = one.await_match(r"nattools pwnat connect ADDRESS --secret (\S+)")
        one.await_match("status page")
        other = both.start("carol", "connect", OUTSIDE, "--secret", typed[1], "--json", command="pwnat")
        listener, caller = one.report()["pwnat"], other.report()["pwnat"]
        assert (listener["role"], caller["role"]) == ("listener", "caller")
        assert listener["connected"]
        assert caller["connected"]
        assert caller["remote"] == f"{OUTSIDE}:2222"
        assert listener["remote"] == caller["local"] == listener["peer"]
        assert listener["secured_by"] == "quic"
        assert listener["echoes"]["received"] == listener["echoes"]["sent"] == 10
        assert listener["refused"] == {"forged": 0, "foreign": 0, "replayed": 0, "stale": 0}
        assert listener["errors_seen"] > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_a_listener_is_nobody_and_has_no_capability_nor_ping_sockets(tmp_path: Path) -> None:
    with home(tmp_path) as both:
        low, high = map(int, both.other("alice", "cat", "/proc/sys/net/ipv4/ping_group_range").split())
        assert not low <= NOBODY <= high
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        bare = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
        program = [sys.executable, "-m", "nattools", "pwnat", "listen", "--secret", SECRET, "--json"]
        process = both.lab.popen(
            "alice",
            [*drop, *bare, *program],
            env={**both.environment, "HOME": "/nonexistent", "XDG_STATE_HOME": "/nonexistent"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        one = Side(process)
        try:
            one.await_match("On the other machine")
            status = Path(f"/proc/{process.pid}/status").read_text()
            other = call(both, "--json")
            assert other.report()["pwnat"]["connected"]
            assert one.report()["pwnat"]["connected"]
            assert re.search(rf"^Uid:\s+{NOBODY}\s", status, re.MULTILINE), status
            assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE), status
        finally:
            process.kill()
            process.communicate()


def test_through_a_pipe(tmp_path: Path) -> None:
    data = Random(5).randbytes(3 << 20)
    source, out = tmp_path / "data", tmp_path / "got"
    source.write_bytes(data)
    with home(tmp_path) as both:
        reports = [tmp_path / "one.json", tmp_path / "other.json"]
        one = listen(both, "--pipe", "-o", str(reports[0]), source=source)
        other = call(both, "--pipe", "-o", str(reports[1]), out=out, source=Path("/dev/null"))
        assert one.end()[0] == 0, one.said
        assert other.end()[0] == 0, other.said
        assert out.read_bytes() == data
        # data that waits makes nobody send more
        for each in reports:
            found = json.loads(each.read_text())["pwnat"]
            assert found["connected"]
            assert found["probes_sent"] + found["knocks_sent"] + found["beacons_sent"] < 40


def test_a_caller_without_the_privilege_is_told_how_to_get_it(tmp_path: Path) -> None:
    with home(tmp_path) as both:
        drop = ["setpriv", "--inh-caps=-all", "--bounding-set=-net_raw"]
        program = [sys.executable, "-m", "nattools", "pwnat", "connect", OUTSIDE, "--secret", SECRET]
        done = both.lab.popen("carol", [*drop, *program], env=both.environment, stderr=subprocess.PIPE)
        said = done.communicate(timeout=120)[1].decode()
        assert done.returncode == 3
        assert "setcap cap_net_raw+ep" in said
        assert "sudo" in said


@pytest.mark.again
def test_another_secret_is_refused_and_counted(tmp_path: Path) -> None:
    with home(tmp_path) as both:
        one = listen(both, "--json", "--wait", "15")  # for a busy machine to start the other one
        other = both.start(
            "carol", "connect", OUTSIDE, "--secret", "another one", "--wait", "1", "--json", command="pwnat"
        )
        code, out = other.end()
        assert code == 1
        assert "not answered" in json.loads(out)["pwnat"]["why"]
        code, out = one.end()
        found = json.loads(out)["pwnat"]
        if found["errors_seen"] == 0:
            raise LeftOpenError("the caller was not started while the listener waited")
        assert code == 1
        assert found["refused"]["forged"] == found["errors_seen"] > 0
        assert "Nobody knocked" in found["why"]


@pytest.mark.parametrize("interrupted", ["listener", "caller"])
def test_interrupted(interrupted: str, tmp_path: Path) -> None:
    """While it waits, and the other side of a connection in use is told."""
    with home(tmp_path) as both:
        alone = listen(both)
        alone.process.send_signal(signal.SIGINT)
        assert alone.end()[0] == 130
        one, other = listen(both, "--keep"), call(both, "--keep")
        for side in (one, other):
            side.await_match("Ctrl-C ends it")
        ends, stays = (one, other) if interrupted == "listener" else (other, one)
        ends.process.send_signal(signal.SIGINT)
        assert ends.end()[0] == 130
        assert "interrupted" in (stays.end(), stays.said)[1]


def test_a_session_with_traffic_and_a_silent_one(tmp_path: Path) -> None:
    """Two pairs side by side, each until the caller's command ends. `make resume`: a minute."""
    with home(tmp_path) as both:
        sides = []
        for port, command in ((3001, f"sleep {SESSION_S}"), (3002, f"sleep {SESSION_S}; echo done >&2")):
            bench = ("--bench",) if port == 3002 else ()
            one = listen(both, "--port", str(port), "--json")
            other = both.start(
                "carol",
                *("connect", f"{OUTSIDE}:{port}", "--secret", SECRET, "--exec", command, "--json", *bench),
                command="pwnat",
            )
            sides += [one, other]
        for side in sides:
            out, err = side.process.communicate(timeout=120)
            side.said += err.decode()
            assert side.process.returncode == 0, side.said
            found = json.loads(out)["pwnat"]
            assert not [each for each in found["stages"] if each["stage"] in ("lost", "again")]
            assert found["paths"][-1]["seconds"] >= SESSION_S


def test_in_the_originals_way(tmp_path: Path) -> None:
    with home(tmp_path) as both:
        one = listen(both, "--compat", "--json")
        one.await_match("--compat")
        other = call(both, "--compat", "--json")
        listener, caller = one.report()["pwnat"], other.report()["pwnat"]
        assert listener["peer"] == "11.101.0.2:2222"
        assert caller["local"] == "11.101.0.2:2222"


def test_errors_by_the_thousand(tmp_path: Path) -> None:
    """Of every kind and from somebody else, while a caller comes: counted, and he gets through."""
    with home(tmp_path) as both:
        forger = both.lab.popen(
            "internet",
            [sys.executable, str(Path(__file__).parents[1] / "knockforger.py"), OUTSIDE, "2222", "60"],
            stdout=subprocess.PIPE,
        )
        try:
            one = listen(both, "--json")
            assert forger.stdout is not None
            assert forger.stdout.readline()
            other = call(both, "--json")
            assert other.report()["pwnat"]["connected"]
            found = one.report()["pwnat"]
            assert found["connected"]
            assert found["refused"]["forged"] > 100
            assert found["refused"]["foreign"] > 100
        finally:
            forger.kill()
            forger.communicate()


def test_a_server_tries_both_parts(tmp_path: Path) -> None:
    """A nattools serve in the lab; the caller's part takes the privilege."""
    with pair(tmp_path, network()) as both:
        side = both.start("alice", "test", "--json", command="pwnat")
        code, out = side.end()
        found = json.loads(out)["pwnat"]
        assert (code, found["listener"], found["caller"]) == (0, "passes", "invalid-dropped"), side.said
        other = both.start("carol", "test", "--json", command="pwnat")
        found = json.loads(other.end()[1])["pwnat"]
        assert (found["listener"], found["caller"]) == ("passes", "passes"), other.said
        drop = ["setpriv", "--inh-caps=-all", "--bounding-set=-net_raw"]
        program = [sys.executable, "-m", "nattools", "pwnat", "test", "--json"]
        bare = both.lab.popen("carol", [*drop, *program], env=both.environment, stdout=subprocess.PIPE)
        found = json.loads(bare.communicate(timeout=120)[0])["pwnat"]
        assert (found["listener"], found["caller"]) == ("passes", "unknown")


def test_a_caller_that_was_killed_makes_room_for_the_next_one(tmp_path: Path) -> None:
    """Without a word. The forward that leads to it leads to the next one."""
    with home(tmp_path) as both:
        one = listen(both, "--forward", "8080:127.0.0.1:8000")
        for times in (1, 2):
            other = call(both, "--allow", "127.0.0.1:8000")
            other.await_match("Connected directly")
            one.await_match(rf"(?s)(Ctrl-C ends it.*){{{times}}}")
            if times == 1:
                other.process.kill()
                other.process.communicate()
        serves = both.lab.popen(
            "carol", [sys.executable, "-c", _SAYS_HELLO], stdout=subprocess.PIPE, env=both.environment
        )
        try:
            assert serves.stdout is not None
            assert serves.stdout.readline()
            ask = "import socket; print(socket.create_connection(('127.0.0.1', 8080), 100).recv(5))"
            assert b"hello" in both.other("alice", sys.executable, "-c", ask)
        finally:
            serves.kill()
            serves.communicate()
        one.process.send_signal(signal.SIGINT)
        assert one.end()[0] == 130


_SAYS_HELLO = """
import socket
listening = socket.create_server(("127.0.0.1", 8000))
print("ready", flush=True)
listening.accept()[0].sendall(b"hello")
"""
