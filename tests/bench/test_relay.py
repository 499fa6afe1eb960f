"""The relay of `nattools serve` beside coturn, one core each: packets, round trips, memory."""

from __future__ import annotations

import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from bench.claims import claim
from bench.relayload import BenchClient, RelayedLoad, direct_us, pair, put, round_trips_us

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

_HOST = "127.0.0.1"
_USER, _PASSWORD = "user", "pass"
_DATAGRAMS = 30_000
_ROUNDS = 3
_TRIPS = 2_000
_TURNSERVER = shutil.which("turnserver")
_ALLOCATIONS = (1_000, 10_000)
_SOURCES = 64  # loopback addresses that clients come from, each from a port that no other has
_SERVE = """
import asyncio, sys
from nattools.net.eventloop import allow_many_files
from nattools.net.hostnetwork import HostNetwork
from nattools.server.relayservice import RelayConfig
from nattools.server.serving import ServeConfig, serve
from nattools.server.turnlimits import TurnLimits

async def main():
    most = 1 << 30
    limits = TurnLimits(
        allocations=most, allocations_per_user=most, allocations_per_source=most, octets=1e12,
        octets_per_user=1e12, challenge_rate=1e9, challenge_burst=1e9, total_challenge_rate=1e9,
        total_challenge_burst=1e9,
    )
    relay = RelayConfig(users={"user": "pass"}, limits=limits, ports=(20000, 65535))
    config = ServeConfig(addresses=("127.0.0.1",), port=int(sys.argv[1]), alternate_port=None, relay=relay)
    await serve(HostNetwork(), config)
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Relay(NamedTuple):
    """A relay's process, and where it listens."""

    pid: int
    server: tuple[str, int]


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def _process(server: tuple[str, int], *command: str) -> Iterator[Relay]:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    process = subprocess.Popen(
        ["prlimit", f"--nofile={files}:{files}", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_it_answers(server)
        yield Relay(process.pid, server)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(server: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect(server)
        asker.settimeout(0.1)
        for _ in range(200):
            with suppress(OSError):
                asker.send(bytes.fromhex("0001 0000 2112a442") + b"are-you-up??")
                asker.recv(2048)
                return
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as idle, suppress(TimeoutError):
                idle.bind((_HOST, 0))
                idle.settimeout(0.1)
                idle.recv(1)
    pytest.fail("the relay does not answer")


def _ours() -> Any:
    port = _free_port()
    return _process((_HOST, port), sys.executable, "-c", _SERVE, str(port))


def _coturn(folder: Path) -> Any:
    port = _free_port()
    options = (
        f"-n --no-tls --no-dtls --no-tcp --no-cli -m 1 -L {_HOST} -E {_HOST} -p {port} "
        f"--allow-loopback-peers --lt-cred-mech -u {_USER}:{_PASSWORD} -r bench "
        "--min-port 20000 --max-port 65535"
    ).split()
    files = ["--log-file", str(folder / "log"), "--pidfile", str(folder / "pid"), "-b", str(folder / "db")]
    return _process((_HOST, port), str(_TURNSERVER), *options, *files)


def _rate(relay: Relay, size: int) -> RelayedLoad:
    clients = pair(relay.server, _USER, _PASSWORD)
    try:
        put(clients, relay.pid, 2_000, size)
        loads = [put(clients, relay.pid, _DATAGRAMS, size) for _ in range(_ROUNDS)]
    finally:
        for each in clients:
            each.close()
    assert all(load.arrived >= 0.9 * load.sent for load in loads), loads
    return max(loads, key=lambda load: load.per_cpu_second)


@pytest.mark.parametrize("size", [160, 1200])
def test_channel_data_a_second(benchmark: Any, tmp_path: Path, size: int) -> None:
    with _ours() as relay:
        ours = benchmark.pedantic(lambda: _rate(relay, size), rounds=1)
    coturn = None
    if _TURNSERVER is not None:
        with _coturn(tmp_path) as relay:
            coturn = _rate(relay, size)
    ratio = None if coturn is None else ours.per_cpu_second / coturn.per_cpu_second
    claim(
        benchmark,
        f"relay, datagrams of {size} bytes in ChannelData, beside coturn",
        ours=f"{ours.per_cpu_second:,.0f}/CPU s",
        peer="" if coturn is None else f"{coturn.per_cpu_second:,.0f}/CPU s",
        ratio=ratio,
        target="a third of coturn's",
        met=None if ratio is None else ratio >= 1 / 3,
    )


def _added(relay: Relay) -> tuple[float, float]:
    """Microseconds that one passage of the relay adds, p50 and p99: there and back there are four."""
    clients = pair(relay.server, _USER, _PASSWORD)
    try:
        round_trips_us(clients, 200)
        relayed, direct = round_trips_us(clients, _TRIPS), direct_us(_TRIPS)
    finally:
        for each in clients:
            each.close()
    return (relayed[0] - direct[0]) / 4, (relayed[1] - direct[0]) / 4


def test_added_round_trip(benchmark: Any, tmp_path: Path) -> None:
    with _ours() as relay:
        ours = benchmark.pedantic(lambda: _added(relay), rounds=1)
    coturn = None
    if _TURNSERVER is not None:
        with _coturn(tmp_path) as relay:
            coturn = _added(relay)
    for place, name in enumerate(("p50", "p99")):
        ratio = None if coturn is None else ours[place] / coturn[place]
        claim(
            benchmark,
            f"relay, time that one passage adds, {name}, beside coturn",
            ours=f"{ours[place]:.0f} us",
            peer="" if coturn is None else f"{coturn[place]:.0f} us",
            ratio=ratio,
            target="within twice coturn's",
            met=None if ratio is None else ratio <= 2,
        )


def _resident(pid: int) -> int:
    """Bytes (proc(5), status, VmRSS)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def _memory(relay: Relay, counts: tuple[int, ...]) -> list[float]:
    """Bytes that an allocation takes, with as many as `counts`."""
    BenchClient(relay.server, _USER, _PASSWORD).close()
    before = _resident(relay.pid)
    found, made = [], 1
    for count in counts:
        while made < count:
            # closed at once: the allocation stays with the relay
            local = f"127.0.1.{1 + made % _SOURCES}", 20_000 + made // _SOURCES
            BenchClient(relay.server, _USER, _PASSWORD, local).close()
            made += 1
        found.append((_resident(relay.pid) - before) / count)
    return found


def test_memory_of_an_allocation(benchmark: Any, tmp_path: Path) -> None:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    counts = tuple(count for count in _ALLOCATIONS if count < files - 500)
    with _ours() as relay:
        ours = benchmark.pedantic(lambda: _memory(relay, counts), rounds=1)
    coturn: list[float] = []
    if _TURNSERVER is not None:
        with _coturn(tmp_path) as relay:
            coturn = _memory(relay, counts)
    for place, count in enumerate(counts):
        claim(
            benchmark,
            f"relay, memory of an allocation at {count:,}, beside coturn",
            ours=f"{ours[place] / 1000:.1f} kB",
            peer=f"{coturn[place] / 1000:.1f} kB" if coturn else "",
            ratio=ours[place] / coturn[place] if coturn else None,
            target="under 10 kB",
            met=ours[place] < 10_000,
        )
