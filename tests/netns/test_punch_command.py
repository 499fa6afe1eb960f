"""`nattools punch` as two processes, each behind a real NAT, meeting in a real `nattools serve`."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from punchpair import CODE, homes, pair

from nattools.lab.scenario import NatSpec

pytestmark = pytest.mark.netns

RANDOM = NatSpec(mapping="address-and-port-dependent", allocation="random")


def test_both_connect_and_say_the_same(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        alice, bob = both.meet(("--json",), ("--json",))
        reports = alice.report(), bob.report()
        punches = [report["punch"] for report in reports]
        assert all(punch["connected"] and punch["path"] == "direct" for punch in punches)
        assert [punch["remote"].rpartition(":")[0] for punch in punches] == ["11.2.0.2", "11.1.0.2"]
        assert {report["command"] for report in reports} == {"punch"}
        assert {report["substrate"] for report in reports} == {"host"}


def test_a_person_sees_the_answer_first(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        alice, bob = both.meet()
        for side, other in ((alice, "11.2.0.2"), (bob, "11.1.0.2")):
            code, out = side.end()
            assert code == 0
            text = out.decode()
            assert text.split("\n")[1].startswith(f"  Connected directly to {other}:")
            assert all(len(line) <= 80 for line in (text + side.said).splitlines())
        assert "On the other machine:" in alice.said
        assert "On the other machine:" not in bob.said


def test_the_other_machine_is_told_of_the_server(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        del both.environment["NATTOOLS_SERVER"]
        alice = both.start("alice", "--server", "stun")
        told = alice.await_match(r"nattools punch (.*)\n")[1].split()
        assert told[1:] == ["--server", "stun"]
        bob = both.start("bob", *told)
        assert (alice.end()[0], bob.end()[0]) == (0, 0)


def test_a_wrong_code_is_1_on_both_sides_and_used_up(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        alice = both.start("alice")
        number = alice.await_match(CODE)[1].partition("-")[0]
        bob = both.start("bob", f"{number}-acorn-abacus")
        for side in (alice, bob):
            code, out = side.end()
            assert code == 1
            text = " ".join(out.decode().split())
            assert text.startswith("Not connected. Why ")
            assert "code" in text


def test_no_connection_is_1(tmp_path: Path) -> None:
    with pair(tmp_path, homes(RANDOM, RANDOM)) as both:
        alice, bob = both.meet(("--no-low-ports",), ("--no-low-ports",))
        for side in (alice, bob):
            code, out = side.end()
            assert code == 1
            assert out.decode().split("\n")[1] == "  Not connected."


def test_nobody_comes(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        alice = both.start("alice", "--wait", "1")
        code, out = alice.end()
        assert code == 1
        assert "Nobody came with the code" in out.decode()


def test_no_mailbox_is_3_and_says_what_to_do(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        alice = both.start("alice", "--mailbox", "11.201.0.2:9", "--timeout", "20")
        code, out = alice.end()
        assert (code, out) == (3, b"")
        assert "11.201.0.2:9" in alice.said
        assert "nattools serve" in alice.said


@pytest.mark.parametrize("joined", [False, True])
def test_ctrl_c_is_130(joined: bool, tmp_path: Path) -> None:
    """While it waits for the other side, whichever of the two it is."""
    with pair(tmp_path) as both:
        side = both.start("alice", *(("7-crossover-clockwork",) if joined else ()))
        side.await_match(r"room \d+ is open")
        side.process.send_signal(signal.SIGINT)
        code, out = side.end()
        assert (code, out) == (130, b"")
        assert "Traceback" not in side.said
