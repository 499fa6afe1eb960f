"""`nattools punch --pipe` goes on through a restart of the mailbox, a NAT that forgets all flows, and a total
loss of packets.

As part of all tests the pipe and the loss are short; `make resume` takes 100 MB and 30 s.
"""

from __future__ import annotations

import hashlib
import os
import random
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Condition, Event, Thread, Timer
from time import monotonic

import pytest
from conftest import tool
from punchpair import Pair, Side, homes

from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import NatSpec
from nattools.net.system.namespace import entered

pytestmark = pytest.mark.netns

MEGABYTES = int(os.environ.get("NATTOOLS_RESUME_MB", "60"))
LOSS_S = float(os.environ.get("NATTOOLS_RESUME_LOSS_S", "8"))
NOTICED_S = 40.0
LIMIT_S = 180.0 + 2 * NOTICED_S + 4 * LOSS_S + MEGABYTES
SYMMETRIC = NatSpec(mapping="address-and-port-dependent", allocation="random")
CUT = "table inet cut { chain passing { type filter hook forward priority -300; policy drop; }; }"
SERVE = ("--listen", "11.201.0.2", "--listen", "11.201.0.3")
FLUSH = struct.pack("=IHHII", 20, 1 << 8 | 2, 5, 1, 0) + bytes(4)
"""IPCTNL_MSG_CT_DELETE of NFNL_SUBSYS_CTNETLINK, to be acknowledged, of all families."""


class Network:
    """What troubles come to: the server, and alice's router. Call it in the main thread alone: a lab's
    programs end with the thread that started them."""

    def __init__(self, both: Pair) -> None:
        self._both = both
        self._server = self._serve()

    def _serve(self) -> Side:
        server = self._both.start("stun", *SERVE, command="serve")
        server.await_match("is ready")
        return server

    def restart_mailbox(self, _alice: Side) -> None:
        self._server.process.kill()
        self._server.process.wait()
        self._server = self._serve()

    def forget_flows(self, alice: Side) -> None:
        """As if both routers had been restarted: her next packets leave from other ports, and bob's router
        lets in none of those that birthday probes went to. Once in 424 times she gets the port that she had,
        where her own is below 1024 (Linux); then they forget once more."""
        for _ in range(3):
            for router in ("one", "two"):
                self._flush(router)
            until = monotonic() + NOTICED_S
            while not went_on_elsewhere(alice) and monotonic() < until:
                Event().wait(0.1)
            if went_on_elsewhere(alice):
                return

    def _flush(self, router: str) -> None:
        with (
            entered(self._both.lab.network_path(router)),
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as connections,  # NETLINK_NETFILTER
        ):
            connections.send(FLUSH)
            answer = connections.recv(4096)
        assert struct.unpack_from("=i", answer, 16) == (0,)

    def move_alice(self, _alice: Side) -> None:
        """Her machine gets another address."""
        for command in (
            "addr del 10.0.1.2/24 dev eth0",
            "addr add 10.0.1.77/24 dev eth0",
            "route add default via 10.0.1.1",
        ):
            assert self._both.other("alice", str(tool("ip")), *command.split()) == b""

    def lose_everything(self, _alice: Side) -> None:
        self._nft("-f", "-", text=CUT)
        Event().wait(LOSS_S)
        self._nft("delete", "table", "inet", "cut")

    def _nft(self, *arguments: str, text: str = "") -> None:
        with entered(self._both.lab.network_path("one")):
            subprocess.run([str(tool("nft")), *arguments], input=text.encode(), check=True)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Pair]:
    with NetnsLab(homes(SYMMETRIC), start_servers=False) as lab:
        both = Pair(lab, tmp_path)
        try:
            yield both
        finally:
            both.stop()


def feed(side: Side) -> SimpleQueue[bytes]:
    """Writes what is put into the queue; nothing at all ends it."""
    parts: SimpleQueue[bytes] = SimpleQueue()

    def write() -> None:
        with suppress(BrokenPipeError):  # it has ended: what it said shows why
            while part := parts.get():
                side.write(part)
            side.write(b"", end=True)

    Thread(target=write, daemon=True).start()
    return parts


class Receiver:
    """Takes all that comes from a side's standard output."""

    def __init__(self, side: Side) -> None:
        self.got = bytearray()
        self.ended = False
        self._side = side
        self._grown = Condition()
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        assert self._side.process.stdout is not None
        while data := os.read(self._side.process.stdout.fileno(), 1 << 20):
            with self._grown:
                self.got += data
                self._grown.notify_all()
        with self._grown:
            self.ended = True
            self._grown.notify_all()

    def wait_for(self, size: int) -> None:
        """Until so many bytes have come, or there are no more."""
        with self._grown:
            self._grown.wait_for(lambda: len(self.got) >= size or self.ended)


def listen(side: Side) -> Thread:
    """To what it says from now on."""

    def read() -> None:
        assert side.process.stderr is not None
        for line in side.process.stderr:
            side.said += line.decode()

    thread = Thread(target=read, daemon=True)
    thread.start()
    return thread


def went_on_elsewhere(side: Side) -> bool:
    """Over another path, or the same one from another outside port."""
    return "is used now" in side.said or side.said.lower().count("encrypted by") > 1


def pipe_through(both: Pair, size: int, troubles: Sequence[Callable[[Side], None]]) -> tuple[Side, Side]:
    """Alice's bytes to bob, with the troubles one after the other on the way: in the midst of a part of them,
    and the next part only afterwards, however long a busy machine takes to make trouble."""
    alice = both.start("alice", "--pipe", "-v")
    bob = both.start("bob", both.code(alice), "--pipe", "-v")
    listening = [listen(side) for side in (alice, bob)]
    too_late = Timer(LIMIT_S, lambda: [side.process.kill() for side in (alice, bob)])
    too_late.daemon = True
    too_late.start()
    data = random.Random(6).randbytes(size)
    parts, share = feed(alice), size // (len(troubles) + 1)
    bob.write(b"", end=True)
    receiver = Receiver(bob)
    for number, trouble in enumerate(troubles):
        parts.put(data[number * share : (number + 1) * share])
        receiver.wait_for(number * share + share // 2)
        trouble(alice)
    parts.put(data[len(troubles) * share :])
    parts.put(b"")
    receiver.wait_for(size + 1)
    too_late.cancel()
    for side, thread in zip((alice, bob), listening, strict=True):
        thread.join()
        assert side.process.wait() == 0, f"after {len(receiver.got):,} bytes\n{alice.said}\n{bob.said}"
    assert hashlib.sha256(receiver.got).hexdigest() == hashlib.sha256(data).hexdigest()
    return alice, bob


def test_a_pipe_outlasts_the_mailbox_the_nat_and_the_path(both: Pair) -> None:
    network = Network(both)
    troubles = (network.restart_mailbox, network.forget_flows, network.lose_everything)
    for side in pipe_through(both, MEGABYTES * 1_000_000, troubles):
        print(side.said)
        assert went_on_elsewhere(side), side.said


@pytest.mark.interop("ip")
def test_a_pipe_outlasts_a_new_address(both: Pair) -> None:
    """As when a laptop comes into another network."""
    network = Network(both)
    alice, _ = pipe_through(both, 4_000_000, (network.move_alice,))
    assert "address has changed" in " ".join(alice.said.split())
    assert went_on_elsewhere(alice), alice.said
