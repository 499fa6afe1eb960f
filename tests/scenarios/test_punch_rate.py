"""Birthday probing by its capture: never faster nor more than was announced, and it ends when connected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.options import AnnouncedPlan, PunchOptions, Watcher
from nattools.engine.punch.punch import punch_both
from nattools.errors import ProtocolError
from nattools.lab.backend import Backend, open_lab
from nattools.lab.natkinds import scenario_of_kinds
from nattools.model.endpoint import Endpoint
from nattools.model.punch import PlannedStep, Punch
from nattools.model.serveruri import parse_server
from nattools.net.trace import Trace, TracedNetwork, TraceEvent
from nattools.protocols import stun
from nattools.protocols.ice import Agent
from nattools.protocols.stun.constants import MESSAGE_INTEGRITY
from nattools.traversal.plan.stepbuilding import PROBES_PER_S

PAIRS = [("port-restricted", "symmetric-random"), ("firewall", "symmetric-block")]
BACKENDS = ["sim", pytest.param("netns", marks=pytest.mark.netns)]
WINDOW_S = 0.25
LATE = {"sim": 4, "netns": 60}
"""Probes sent between the peer's first packet and the agreement on a path: there is next to no delay. They
are counted rather than timed, since a busy machine that holds this process up stops the probes as well."""
RUNS = {"sim": 1, "netns": 6}
"""In namespaces a router process that gets no processor time delays the agreement: one run has to be good."""


@dataclass
class Seen:
    """A side: what was announced, what passed, what came of it."""

    announced: list[PlannedStep] = field(default_factory=list)
    events: list[TraceEvent] = field(default_factory=list)
    punch: Punch | None = None

    @property
    def probes(self) -> list[TraceEvent]:
        """What the strategy sent, in order."""
        return [one for one in self.events if one.outgoing and is_probe(one)]

    @property
    def late(self) -> int:
        """How many probes it sent after the first check or answer of the peer had come."""
        first = min(one.at_s for one in self.events if not one.outgoing and is_authentic(one))
        return sum(one.at_s > first for one in self.probes)


PROBES: set[bytes] = set()
"""All that any agent has made."""


@pytest.fixture(autouse=True)
def _noting_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Agent.probe

    def probe(agent: Agent, local: Endpoint, destination: Endpoint) -> bytes:
        data = made(agent, local, destination)
        PROBES.add(data)
        return data

    monkeypatch.setattr(Agent, "probe", probe)


def is_probe(one: TraceEvent) -> bool:
    return one.kind == "datagram" and one.data in PROBES


def is_authentic(one: TraceEvent) -> bool:
    """With a message integrity: between the two sides, not from a server."""
    try:
        return one.kind == "datagram" and stun.decode(one.data).get(MESSAGE_INTEGRITY) is not None
    except ProtocolError:
        return False


def captured(pair: tuple[str, str], backend: Backend, seed: int) -> tuple[Seen, Seen]:
    """Both sides of a punch."""
    seen = Seen(), Seen()
    with open_lab(scenario_of_kinds([pair]), backend, seed) as lab:

        async def both() -> None:
            servers = tuple(parse_server(uri) for uri in lab.server_uris())
            options = PunchOptions(
                measuring=MeasureOptions("punch", servers, families=(4,)), low_ports=False, echoes=0
            )
            traces = [Trace(asyncio.get_running_loop().time()) for _ in seen]
            networks = [
                TracedNetwork(lab.network(host), trace)
                for host, trace in zip(("a0", "b0"), traces, strict=True)
            ]
            watchers = [Watcher(plan=noting(side)) for side in seen]
            reports = await punch_both(
                (networks[0], options, watchers[0]), (networks[1], options, watchers[1])
            )
            for side, trace, report in zip(seen, traces, reports, strict=True):
                assert trace.dropped == 0
                side.events = trace.events
                side.punch = report.punch

        lab.run(both)
    return seen


def noting(side: Seen) -> Callable[[AnnouncedPlan], None]:
    """Keeps the birthday steps that were announced."""

    def told(plan: AnnouncedPlan) -> None:
        side.announced += [step for step in plan.steps if step.strategy == "birthday"]

    return told


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pair", PAIRS, ids="-x-".join)
def test_no_faster_and_no_more_than_announced(pair: tuple[str, str], backend: Backend) -> None:
    late = []
    for run in range(RUNS[backend]):
        sides = captured(pair, backend, seed=3 + run)
        for side in sides:
            as_announced(side)
        late.append(max(side.late for side in sides))
        if late[-1] <= LATE[backend]:
            return
    pytest.fail(f"{late} probes after the peer's first packet; {LATE[backend]} are allowed")


def as_announced(side: Seen) -> None:
    """It connected as announced, and sent no more than that and no faster."""
    assert side.punch is not None
    assert (side.punch.connected, side.punch.strategy) == (True, "birthday")
    assert side.announced
    assert side.announced[0].packets is not None
    assert 0 < len(side.probes) <= side.announced[0].packets[0]
    assert busiest(side.probes) <= WINDOW_S * PROBES_PER_S + 2


def busiest(probes: list[TraceEvent]) -> int:
    """The most probes within a window."""
    times = [one.at_s for one in probes]
    return max(sum(start <= time < start + WINDOW_S for time in times) for start in times)
