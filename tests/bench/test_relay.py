"""The relay of `nattools serve` beside coturn, one core each: packets, round trips, memory."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.claims import claim
from bench.relayload import BenchClient, RelayedLoad, direct_us, pair, put, round_trips_us
from bench.relayprocess import PASSWORD, TURNSERVER, USER, Place, Relay, coturn, ours

from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import HostSpec, Scenario, ServerSpec

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

_DATAGRAMS = 30_000
_ROUNDS = 3
_TRIPS = 2_000
_ALLOCATIONS = (1_000, 10_000)
_SOURCES = 64  # loopback addresses that clients come from, each from a port that no other has


def _rate(relay: Relay, size: int) -> RelayedLoad:
    clients = pair(relay.server, USER, PASSWORD)
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
    with ours() as relay:
        own = benchmark.pedantic(lambda: _rate(relay, size), rounds=1)
    theirs = None
    if TURNSERVER is not None:
        with coturn(tmp_path) as relay:
            theirs = _rate(relay, size)
    ratio = None if theirs is None else own.per_cpu_second / theirs.per_cpu_second
    claim(
        benchmark,
        f"relay, datagrams of {size} bytes in ChannelData, beside coturn",
        ours=f"{own.per_cpu_second:,.0f}/CPU s",
        peer="" if theirs is None else f"{theirs.per_cpu_second:,.0f}/CPU s",
        ratio=ratio,
        target="a third of coturn's",
        met=None if ratio is None else ratio >= 1 / 3,
    )


def _added(relay: Relay) -> tuple[float, float]:
    """Microseconds that one passage of the relay adds, p50 and p99: there and back there are four."""
    clients = pair(relay.server, USER, PASSWORD)
    try:
        round_trips_us(clients, 200)
        relayed, direct = round_trips_us(clients, _TRIPS), direct_us(_TRIPS)
    finally:
        for each in clients:
            each.close()
    return (relayed[0] - direct[0]) / 4, (relayed[1] - direct[0]) / 4


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_added_round_trip(benchmark: Any, tmp_path: Path, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    with ours(loop=loop) as relay:
        own = benchmark.pedantic(lambda: _added(relay), rounds=1)
    theirs = None
    if TURNSERVER is not None:
        with coturn(tmp_path) as relay:
            theirs = _added(relay)
    _claim_times(benchmark, f"time that one passage adds, on {loop}", own, theirs)


def _claim_times(
    benchmark: Any, what: str, own: tuple[float, float], theirs: tuple[float, float] | None
) -> None:
    for place, name in enumerate(("p50", "p99")):
        ratio = None if theirs is None else own[place] / theirs[place]
        claim(
            benchmark,
            f"relay, {what}, {name}, beside coturn",
            ours=f"{own[place]:.0f} us",
            peer="" if theirs is None else f"{theirs[place]:.0f} us",
            ratio=ratio,
            target="within twice coturn's",
            met=None if ratio is None else ratio <= 2,
        )


THREE = Scenario(
    title="a relay and two clients",
    host={"alice": HostSpec(), "bob": HostSpec()},
    server={"stun": ServerSpec(addresses=1)},
)


@pytest.mark.netns
def test_added_round_trip_between_namespaces(benchmark: Any, tmp_path: Path) -> None:
    """From one namespace through the relay's into a third: what it takes more than a way to the relay's and
    back, and another."""
    with NetnsLab(THREE, start_servers=False) as lab:
        host, far = (lab.layout.ports_of(each)[0].addresses[0].ip for each in ("stun", "bob"))
        paths = lab.network_path("alice"), lab.network_path("bob")
        place = Place(host, lambda *command, **options: lab.popen("stun", *command, **options), paths[0])

        def added(relay: Relay) -> tuple[float, float]:
            clients = pair(relay.server, USER, PASSWORD, paths)
            try:
                round_trips_us(clients, 200)
                relayed = round_trips_us(clients, _TRIPS)
            finally:
                for each in clients:
                    each.close()
            direct = direct_us(_TRIPS, ("", far), paths)
            return (relayed[0] - direct[0]) / 4, (relayed[1] - direct[0]) / 4

        with ours(place) as relay:
            own = benchmark.pedantic(lambda: added(relay), rounds=1)
        theirs = None
        if TURNSERVER is not None:
            with coturn(tmp_path, place) as relay:
                theirs = added(relay)
    _claim_times(benchmark, "time that one passage adds between namespaces", own, theirs)


def _resident(pid: int) -> int:
    """Bytes (proc(5), status, VmRSS)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def _memory(relay: Relay, counts: tuple[int, ...]) -> list[float]:
    """Bytes that an allocation takes, with as many as `counts`."""
    BenchClient(relay.server, USER, PASSWORD).close()
    before = _resident(relay.pid)
    found, made = [], 1
    for count in counts:
        while made < count:
            # closed at once: the allocation stays with the relay
            local = f"127.0.1.{1 + made % _SOURCES}", 20_000 + made // _SOURCES
            BenchClient(relay.server, USER, PASSWORD, local).close()
            made += 1
        found.append((_resident(relay.pid) - before) / count)
    return found


def test_memory_of_an_allocation(benchmark: Any, tmp_path: Path) -> None:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    counts = tuple(count for count in _ALLOCATIONS if count < files - 500)
    with ours() as relay:
        own = benchmark.pedantic(lambda: _memory(relay, counts), rounds=1)
    theirs: list[float] = []
    if TURNSERVER is not None:
        with coturn(tmp_path) as relay:
            theirs = _memory(relay, counts)
    for place, count in enumerate(counts):
        claim(
            benchmark,
            f"relay, memory of an allocation at {count:,}, beside coturn",
            ours=f"{own[place] / 1000:.1f} kB",
            peer=f"{theirs[place] / 1000:.1f} kB" if theirs else "",
            ratio=own[place] / theirs[place] if theirs else None,
            target="under 10 kB",
            met=own[place] < 10_000,
        )
