"""A mapping by which nobody gets in: is it this machine that stops what comes?"""

from __future__ import annotations

from typing import Any

import pytest

from nattools.engine.measureoptions import Event, MeasureOptions
from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.run import measure
from nattools.errors import CannotRun
from nattools.lab.scenario import FirewallSpec, HostSpec, MapperSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab, SimNetwork
from nattools.model.endpoint import Family
from nattools.model.mappingseen import MapCheck
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.base import ArrivalWatch

MAPPER = MapperSpec(protocols=("pcp",))


def silent(event: Event) -> None:
    """No progress."""


def measured(host: HostSpec, nat: NatSpec | None = None, wall: FirewallSpec | None = None) -> Report:
    scenario = Scenario(
        title="a home",
        nat={"home": nat} if nat else {},
        firewall={"wall": wall} if wall else {},
        host={"alice": host},
    )
    with SimLab(scenario) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        options = MeasureOptions(command="diagnose", servers=servers, families=(4,))

        async def work() -> Report:
            return await measure(lab.network("alice"), options, silent, MemoryJournal())

        return lab.run(work)


@pytest.fixture
def _unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user, who may not look at interfaces."""

    def watch_arrivals(self: SimNetwork, family: Family) -> ArrivalWatch:
        raise CannotRun("not permitted")

    monkeypatch.setattr(SimNetwork, "watch_arrivals", watch_arrivals)


def stopped(report: Report) -> dict[str, str | None]:
    return {each.transport: each.dropped_at for each in report.mappings}


def test_what_came_to_the_interface_was_stopped_here() -> None:
    report = measured(HostSpec(behind="home", firewall="drop"), NatSpec(mapper=MAPPER))
    assert stopped(report) == {"udp": "host", "tcp": "host"}
    verdict = next(each for each in report.techniques if each.id == "pcp")
    assert "whose own firewall drops them" in verdict.summary
    assert report.advice is not None
    assert [each.code for each in report.advice.actions] == ["allow-in-own-firewall"]


@pytest.mark.usefixtures("_unseen")
def test_without_the_privilege_a_packet_that_passes_no_router_tells_it() -> None:
    report = measured(HostSpec(behind="home", firewall="drop"), NatSpec(mapper=MAPPER))
    assert stopped(report) == {"udp": "host", "tcp": "unknown"}


@pytest.mark.usefixtures("_unseen")
@pytest.mark.parametrize("odd", [{"ttl": "kept"}, {"answers_ttl": False}])
def test_a_router_of_which_it_is_not_known_that_it_lowers_ttls_makes_that_no_proof(odd: Any) -> None:
    report = measured(HostSpec(behind="home", firewall="drop"), NatSpec(mapper=MAPPER, **odd))
    assert stopped(report) == {"udp": "unknown", "tcp": "unknown"}


@pytest.mark.usefixtures("_unseen")
def test_a_router_that_forwards_nothing_is_not_this_machine() -> None:
    lying = MapperSpec(protocols=("pcp",), faults={"lies": True})
    report = measured(HostSpec(behind="home"), NatSpec(mapper=lying))
    assert stopped(report) == {"udp": "unknown", "tcp": "unknown"}
    checks = [each for each in report.observations if isinstance(each, MapCheck)]
    assert [each.opened_here for each in checks if each.transport == "udp"] == [False]


@pytest.mark.usefixtures("_unseen")
@pytest.mark.parametrize(
    ("host", "wall", "who"),
    [
        (HostSpec(firewall="drop"), None, "host"),
        (HostSpec(behind="wall"), FirewallSpec(), "router"),
        (HostSpec(), None, None),
    ],
)
def test_of_a_public_address_too(host: HostSpec, wall: FirewallSpec | None, who: str | None) -> None:
    report = measured(host, wall=wall)
    assert report.nat.udp4 is not None
    assert report.nat.udp4.dropped_at == who
