"""`nattools punch` as two processes, each behind a real NAT, meeting in a real `nattools serve`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from certificates import HOST, certificate
from punchpair import CODE, LIMIT_S, TOKEN, Pair, Side, homes, pair

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
            assert [line for line in (text + side.said).splitlines() if len(line) > 80] == []
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
        right = alice.await_match(CODE)[1]
        number = right.partition("-")[0]
        wrong = next(each for each in (f"{number}-acorn-abacus", f"{number}-acorn-academy") if each != right)
        bob = both.start("bob", wrong)
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
        assert "Nobody joined with this code" in out.decode()


def test_no_mailbox_is_3_and_says_what_to_do(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        alice = both.start("alice", "--mailbox", "11.201.0.2:9", "--timeout", "20")
        code, out = alice.end()
        assert (code, out) == (3, b"")
        assert "11.201.0.2:9" in alice.said
        assert "nattools serve" in alice.said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("joined", [False, True])
def test_ctrl_c_is_130(joined: bool, number: signal.Signals, tmp_path: Path) -> None:
    """While it waits for the other side, whichever of the two it is."""
    with pair(tmp_path) as both:
        side = both.start("alice", *(("7-crossover-clockwork",) if joined else ()))
        side.await_match(r"Room \d+ is open")
        side.process.send_signal(number)
        code, out = side.end()
        assert (code, out) == (130, b"")
        assert "Traceback" not in side.said


def test_a_mailbox_within_tls(tmp_path: Path) -> None:
    """Whose certificate must be valid."""
    cert, key = certificate(tmp_path)
    listen = ("--listen", HOST, "--port", "443", "--tls-cert", cert, "--tls-key", key)
    command = [sys.executable, "-m", "nattools", "serve", *listen]
    with pair(tmp_path) as both:
        server = both.lab.popen("stun", command, stderr=subprocess.PIPE, text=True)
        assert "ready" in server.stderr.readline()
        server.stderr.close()
        stranger = both.start("alice", "--mailbox", f"wss://{HOST}")
        assert stranger.end()[0] == 3
        assert "its certificate is not valid" in stranger.said
        both.environment["SSL_CERT_FILE"] = cert
        alice = both.start("alice", "--mailbox", f"wss://{HOST}")
        told = alice.await_match(r"nattools punch (.*)\n")[1].split()
        assert told[1:] == ["--mailbox", f"wss://{HOST}:443"]
        bob = both.start("bob", *told)
        assert (alice.end()[0], bob.end()[0]) == (0, 0)


# --- with a connection


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("place", [0, 1])
def test_the_end_of_one_is_told_to_the_other(number: signal.Signals, place: int, tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        sides = both.meet(("--keep",), ("--keep", "-o", str(tmp_path / "report.json")))
        for side in sides:
            side.await_match("Connected directly")
        sides[place].process.send_signal(number)
        code, out = sides[place].end()
        assert code == (0 if number == signal.SIGTERM else 130)
        assert "Connected directly" in out.decode()
        code, out = sides[1 - place].end()
        assert code == 0
        assert "the other side was interrupted" in " ".join((out.decode() + sides[1 - place].said).split())
        assert json.loads((tmp_path / "report.json").read_text())["punch"]["connected"]
        assert all("Traceback" not in side.said for side in sides)


def test_a_file_through_the_pipe_both_ways(tmp_path: Path) -> None:
    there, back = os.urandom(3_000_000), os.urandom(500_000)
    outs = tmp_path / "alice.out", tmp_path / "bob.out"
    with pair(tmp_path) as both:
        alice = both.start("alice", "--pipe", "-o", str(tmp_path / "report.json"), out=outs[0])
        bob = both.start("bob", alice.await_match(CODE)[1], "--pipe", out=outs[1])
        alice.await_match("Connected directly")
        bob.write(back, end=True)
        alice.write(there, end=True)
        assert (alice.end()[0], bob.end()[0]) == (0, 0), alice.said + bob.said
        assert outs[1].read_bytes() == there
        assert outs[0].read_bytes() == back
        assert json.loads((tmp_path / "report.json").read_text())["punch"]["connected"]


def test_a_pipe_needs_two_ends(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        alice, bob = both.meet(("--pipe",), ())
        code, out = alice.end()
        assert (code, out) == (1, b"")
        assert "the other side was not started with --pipe" in alice.said
        assert bob.end()[0] == 0


SERVE = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello from " + self.path.encode() * 10000)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Handler)
print("ready", flush=True)
server.serve_forever()
"""
FETCH = "import sys, urllib.request as u; sys.stdout.buffer.write(u.urlopen(sys.argv[1], timeout=120).read())"
PAGE = b"hello from " + b"/page" * 10000


def serving(both: Pair, host: str) -> None:
    """An HTTP server on the host's loopback."""
    process = both.lab.popen(host, [sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.stdout.close()


def ended(alice: Side, bob: Side) -> tuple[int, int]:
    alice.process.terminate()
    return alice.end()[0], bob.end()[0]


def test_a_forward_to_a_web_server_there(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        serving(both, "bob")
        alice, bob = both.meet(("--forward", "8080:localhost:8000"), ("--allow", "localhost:8000"))
        alice.await_match(r"forwarded\s+to\s+localhost:8000")
        fetched = both.other("alice", sys.executable, "-c", FETCH, "http://127.0.0.1:8080/page")
        assert fetched == PAGE
        assert ended(alice, bob) == (0, 0)


def test_a_reverse_to_a_web_server_here(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        serving(both, "alice")
        alice, bob = both.meet(("--reverse", "8080:localhost:8000"), ("--allow", "listen:8080"))
        alice.await_match(r"forwarded\s+to\s+localhost:8000")
        fetched = both.other("bob", sys.executable, "-c", FETCH, "http://127.0.0.1:8080/page")
        assert fetched == PAGE
        assert ended(alice, bob) == (0, 0)


def test_what_was_not_allowed_is_refused_and_named(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        serving(both, "bob")
        alice, bob = both.meet(("--forward", "8080:localhost:8000"), ("--allow", "localhost:8001"))
        alice.await_match(r"forwarded\s+to\s+localhost:8000")
        assert PAGE not in both.other("alice", sys.executable, "-c", FETCH, "http://127.0.0.1:8080/page")
        alice.await_match("not allowed")
        bob.await_match(r"localhost:8000,\s+which\s+is\s+not\s+allowed\s+here:\s+refused")
        assert ended(alice, bob) == (0, 0)


def test_the_users_command_is_told(tmp_path: Path) -> None:
    hook = 'echo "$NATTOOLS_REMOTE_HOST $NATTOOLS_TRANSPORT"; grep -q "connected.*true" "$NATTOOLS_REPORT"'
    with pair(tmp_path) as both:
        alice, bob = both.meet(("--exec", hook), ("--exec", "exit 3"))
        code, out = alice.end()
        assert code == 0
        assert out.decode().startswith("11.2.0.2 udp\n")
        assert bob.end()[0] == 1
        assert "the --exec command exited with 3" in bob.said


def test_throughput_is_measured_by_one_side(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        alice, bob = both.meet(("--bench", "--json"), ("--json",))
        measured = alice.report()["punch"]["throughput"]
        assert measured["up_mbps"] > 1
        assert measured["down_mbps"] > 1
        assert bob.report()["punch"]["throughput"] is None


# --- tokens


def test_tokens_typed_by_two_people(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        sides = [both.start(host, "--manual", "--json") for host in ("alice", "bob")]
        tokens = [side.await_match(TOKEN)[0] for side in sides]
        sides[0].write(f"{tokens[1]}\n".encode())
        lines = [tokens[0][at : at + 60] for at in range(0, len(tokens[0]), 60)]
        sides[1].write("\r\n".join(lines).lower().encode() + b"\n")
        assert all(side.report()["punch"]["connected"] for side in sides)


def test_a_token_that_is_none_is_2(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        alice = both.start("alice", "--manual")
        alice.await_match(TOKEN)
        alice.write(b"hello\n", end=True)
        code, out = alice.end()
        assert (code, out) == (2, b"")
        assert "not a nattools token" in " ".join(alice.said.split())


def test_ctrl_c_while_a_token_is_asked_for(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        alice = both.start("alice", "--manual")
        alice.await_match("Paste the other machine's token")
        alice.process.send_signal(signal.SIGINT)
        alice.process.wait(LIMIT_S)
        code, out = alice.end()
        assert (code, out) == (130, b"")
        assert "Traceback" not in alice.said


@pytest.mark.parametrize("place", [0, 1])
def test_ctrl_c_in_the_middle_of_an_attempt(place: int, tmp_path: Path) -> None:
    """The other side learns of it, and says so."""
    with pair(tmp_path, homes(RANDOM, NatSpec(udp="blocked"))) as both:
        sides = both.meet(("--no-low-ports",), ("--no-low-ports",))
        sides[place].await_match("attempt ")
        sides[place].process.send_signal(signal.SIGINT)
        sides[place].process.wait(LIMIT_S)
        code, out = sides[place].end()
        assert (code, out) == (130, b"")
        code, out = sides[1 - place].end()
        assert code == 1
        assert " ".join(out.decode().split()).startswith("Not connected. Why ")
        assert all("Traceback" not in side.said for side in sides)


def test_a_forward_that_cannot_be_had_uses_no_code_up(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        serving(both, "alice")  # at 127.0.0.1:8000; [::1]:8000 is free
        alice = both.start("alice", "--forward", "8000:8000")
        code, _ = alice.end()
        assert code == 3
        assert "port 8000 is in use by another program" in alice.said
        assert CODE.search(alice.said) is None
