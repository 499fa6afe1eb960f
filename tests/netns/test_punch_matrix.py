"""Every pair of nine kinds of networks connects over kernel NATs and userspace routers, as by
`nattools punch` on both sides: 45 of 45 with the privilege to bind low ports, 43 without it. Then the special
cases.

NATTOOLS_PUNCH_REPEAT=N: all that N times, and without the privilege all pairs too (`make punches`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from functools import cache

import pytest

from nattools.engine.punch import steprunner
from nattools.lab.natkinds import (
    ALL,
    MATRIX_KINDS,
    MOST_PAIRS,
    Pair,
    pairs_of,
    scenario_of_kinds,
    scenario_of_pairs,
)
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import FirewallSpec, NatSpec, RouterSpec, Scenario
from nattools.model.endpoint import Endpoint
from nattools.model.report import Report
from nattools.net.base import UdpSocket
from nattools.trials.pairs import PairOptions, Reports, connect_pair

pytestmark = pytest.mark.netns

REPEAT = int(os.environ.get("NATTOOLS_PUNCH_REPEAT", "0"))
RUNS = range(max(1, REPEAT))
AT_ONCE = 4
PAIRS = pairs_of(list(MATRIX_KINDS))
RANDOM = [pair for pair in PAIRS if "symmetric-random" in pair]
HARD = {("symmetric-random", "symmetric-random"), ("symmetric-random", "symmetric-sequential")}
LONGEST_S = 150.0
"""Alone none takes 10 s. With eight other jobs on two cores, probing at 400 packets a second took 33 s."""
TRIES = 3
"""A connection is claimed each time, that the first step finds it only mostly: Linux gives the last of 512
sockets no port in about 3% of cases, and on a busy machine a packet may be late. Three misses in a row are
no chance."""
APDM = "address-and-port-dependent"
OPEN_INPUT = NatSpec(input="open")
RANDOM_OPEN_INPUT = NatSpec(mapping=APDM, allocation="random", input="open")
SEQUENTIAL = NatSpec(mapping=APDM, allocation="sequential")
BLOCK = ALL["symmetric-block"]


def strategies(pair: Pair, *, low_ports: bool) -> set[tuple[str, str]]:
    """What leads from one kind to the other: a strategy and a transport."""
    kinds = set(pair)
    if "udp-blocked" in kinds:
        way = {"open": "host", "full-cone": "reflexive"}
        names = {way[kind] for kind in kinds if kind in way} or {"simultaneous-open"}
        return {(name, "tcp") for name in names}
    if "open" in kinds or kinds == {"firewall"}:
        return {("host", "udp")}
    if "full-cone" in kinds or not kinds & {
        "symmetric-random",
        "symmetric-sequential",
        "address-dependent",
    }:
        return {("reflexive", "udp")}
    if "address-restricted" in kinds:
        return {("reflexive", "udp")}
    if "symmetric-random" in kinds and "address-dependent" not in kinds:
        return {("birthday", "udp")} if low_ports or pair not in HARD else set()
    return {("prediction", "udp")}


async def several(lab: NetnsLab, count: int, terms: PairOptions) -> list[Reports]:
    """The pairs of a drawing, some at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(index: int) -> Reports:
        async with gate:
            return await connect_pair(lab, f"a{index}", f"b{index}", terms)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(index)) for index in range(count)]
    return [task.result() for task in tasks]


@cache
def outcomes(pairs: tuple[Pair, ...], low_ports: bool, run: int) -> dict[Pair, Reports]:
    """Of some pairs, in one lab."""
    with NetnsLab(scenario_of_kinds(pairs), seed=run) as lab:
        found = lab.run(lambda: several(lab, len(pairs), PairOptions(low_ports=low_ports)))
    return dict(zip(pairs, found, strict=True))


def outcome(pair: Pair, among: Sequence[Pair], *, low_ports: bool, run: int) -> Reports:
    """Of a pair, with those that share its lab."""
    first = among.index(pair) // MOST_PAIRS * MOST_PAIRS
    return outcomes(tuple(among[first : first + MOST_PAIRS]), low_ports, run)[pair]


def mostly(
    pair: Pair, among: Sequence[Pair], ways: set[tuple[str, str]], *, low_ports: bool, run: int
) -> Reports:
    """The same, tried again where a birthday found nothing, which is so in 2 of 10,000 cases at most (three
    times in a row: in one of 100,000,000,000), or where a later step of the plan was quicker, as on a busy
    machine."""
    reports = outcome(pair, among, low_ports=low_ports, run=run)
    for again in range(1, TRIES):
        if not (by_a_later_step(reports, ways) or (ways == {("birthday", "udp")} and not connected(reports))):
            break
        reports = outcomes((pair,), low_ports, run + 100 * again)[pair]
    return reports


def connected(reports: Reports) -> bool:
    """Both?"""
    return all(report.punch is not None and report.punch.connected for report in reports)


def by_a_later_step(reports: Reports, ways: set[tuple[str, str]]) -> bool:
    """Are both connected, and not by the way that comes first?"""
    punches = [report.punch for report in reports if report.punch is not None]
    return connected(reports) and any((each.strategy, each.transport) not in ways for each in punches)


def told(report: Report) -> str:
    """What a side says of it."""
    assert report.punch is not None
    stages = [f"{each.at_s} {each.stage} {each.ok} {each.text}" for each in report.punch.stages]
    return "\n".join([report.punch.why, *stages])


def assert_connected(reports: Reports, ways: set[tuple[str, str]]) -> None:
    """Both sides say so, and by one of these strategies and transports."""
    for report in reports:
        punch = report.punch
        assert punch is not None
        assert punch.connected, told(report)
        assert punch.path == "direct"
        assert (punch.strategy, punch.transport) in ways
        assert punch.elapsed_s is not None
        assert punch.elapsed_s < LONGEST_S


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("pair", PAIRS, ids="-x-".join)
def test_every_pair_with_the_privilege(pair: Pair, run: int) -> None:
    ways = strategies(pair, low_ports=True)
    assert_connected(mostly(pair, PAIRS, ways, low_ports=True, run=run), ways)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("pair", PAIRS if REPEAT else RANDOM, ids="-x-".join)
def test_without_the_privilege(pair: Pair, run: int) -> None:
    """It matters where a side draws its ports at random."""
    among = PAIRS if REPEAT else RANDOM
    if pair not in HARD:
        ways = strategies(pair, low_ports=False)
        assert_connected(mostly(pair, among, ways, low_ports=False, run=run), ways)
        return
    for report in outcome(pair, among, low_ports=False, run=run):
        assert report.punch is not None
        assert not report.punch.connected
        assert report.punch.probes_sent == 0
        assert "below 1024" in report.punch.advice


# --- special cases

SPECIAL: dict[str, tuple[RouterSpec | None, RouterSpec | None]] = {
    "open INPUT, both": (OPEN_INPUT, OPEN_INPUT),
    "open INPUT x port-restricted": (OPEN_INPUT, NatSpec()),
    "open INPUT x firewall": (OPEN_INPUT, FirewallSpec()),
    "open INPUT x random": (OPEN_INPUT, ALL["symmetric-random"]),
    "open INPUT x sequential": (OPEN_INPUT, SEQUENTIAL),
    "open INPUT x UDP blocked": (OPEN_INPUT, NatSpec(udp="blocked", input="open")),
    "open INPUT and random x open INPUT": (RANDOM_OPEN_INPUT, OPEN_INPUT),
    "block x port-restricted": (BLOCK, NatSpec()),
    "block x firewall": (BLOCK, FirewallSpec()),
    "block x open INPUT": (BLOCK, OPEN_INPUT),
}


@cache
def specials(run: int, again: int) -> dict[str, Reports]:
    """All of them, in one lab."""
    with NetnsLab(scenario_of_pairs(SPECIAL.values()), seed=run + 100 * again) as lab:
        found = lab.run(lambda: several(lab, len(SPECIAL), PairOptions()))
    return dict(zip(SPECIAL, found, strict=True))


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("case", SPECIAL)
def test_open_inputs_and_blocks(case: str, run: int) -> None:
    """An open INPUT takes a packet that comes before the own one for its own, which costs the port. Each side
    waits some 50 ms so that it does not happen. A busy machine may be later than that: then all of them are
    tried again. (In the simulator the first step has to: test_icedriver.)"""
    ways = {("reflexive", "udp"), ("birthday", "udp"), ("prediction", "udp"), ("simultaneous-open", "tcp")}
    for again in range(TRIES):
        reports = specials(run, again)[case]
        if not missed_at_first(reports):
            break
    assert_connected(reports, ways)


# --- others take ports between the look at the counters and the punch

COUNTERS: list[tuple[RouterSpec, RouterSpec]] = [
    (SEQUENTIAL, SEQUENTIAL),
    (NatSpec(), SEQUENTIAL),
    (SEQUENTIAL, MATRIX_KINDS["symmetric-random"] or NatSpec()),
]


def with_neighbours() -> Scenario:
    """The pairs, and another host behind each router."""
    base = scenario_of_pairs(COUNTERS)
    neighbours = {f"n{host}": spec for host, spec in base.host.items()}
    return Scenario(title=base.title, nat=base.nat, host={**base.host, **neighbours})


@pytest.fixture(scope="module")
def busy() -> Iterator[NetnsLab]:
    with NetnsLab(with_neighbours()) as lab:
        yield lab


@pytest.mark.parametrize("taken", range(7))
def test_ports_that_others_take(busy: NetnsLab, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many flows of the neighbours, through each router, right after a side has seen its port."""
    asked = steprunner.server_reflexive

    async def server_reflexive(socket: UdpSocket, server: Endpoint) -> Endpoint | None:
        seen = await asked(socket, server)
        await take_ports(busy, socket.local.host, server, taken)
        return seen

    monkeypatch.setattr(steprunner, "server_reflexive", server_reflexive)
    for _ in range(TRIES):
        reports = busy.run(lambda: several(busy, len(COUNTERS), PairOptions(low_ports=True)))
        for each in reports:
            assert_connected(each, {("prediction", "udp"), ("birthday", "udp")})
        if not any(map(missed_at_first, reports)):
            return
    pytest.fail(f"{TRIES} times in a row a first step missed the port: {reports}")


async def take_ports(lab: NetnsLab, beside: str, server: Endpoint, count: int) -> None:
    """New flows of the host that is on the same network as the address `beside`."""
    ends = {port.addresses[0].ip: host for host in lab.scenario.host for port in lab.layout.ports_of(host)}
    network = lab.network(f"n{ends[beside]}")
    for _ in range(count):
        socket = await network.open_udp(family=4)
        socket.send(b"something else", server)
        socket.close()


def missed_at_first(reports: Reports) -> bool:
    """Has a step of the plan failed before one connected?"""
    stages = [stage for report in reports if report.punch is not None for stage in report.punch.stages]
    return any(stage.stage == "attempt" and stage.ok is False for stage in stages)
