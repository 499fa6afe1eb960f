"""A listener behind a NAT that does not keep its port reads the port from what routers quote."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.options import Watcher
from nattools.engine.pwnat.connecting import both, connect, listen
from nattools.engine.pwnat.knockoptions import PwnatOptions
from nattools.engine.pwnat.outsideports import OutsidePorts
from nattools.lab.backend import open_lab
from nattools.lab.scenario import FirewallSpec, HostSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.pwnat import Pwnat
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.base import Capability
from nattools.net.trace import Trace, TracedNetwork
from nattools.probes.quotedsums import moves_of
from nattools.protocols.pwnat import BEACON
from nattools.protocols.pwnat.outside import ListenerPorts, Outside, parse_outside

APD = "address-and-port-dependent"
OUTSIDE = "11.1.0.2"
RANDOM = NatSpec(mapping=APD, allocation="random", quotes="translated")
SEQUENTIAL = NatSpec(mapping=APD, allocation="sequential", step=2, quotes="translated")


def run(nat: NatSpec, main: Callable[[SimLab], Awaitable[Any]], seed: int = 0) -> Any:
    scenario = Scenario(
        title="t",
        name="t",
        nat={"home": nat},
        firewall={"wall": FirewallSpec(errors_out="untranslated")},
        host={
            "alice": HostSpec(behind="home", delay_ms=10),
            "carol": HostSpec(delay_ms=10),
            "dave": HostSpec(behind="wall", delay_ms=10),
        },
    )
    with open_lab(scenario, "sim", seed) as lab:
        assert isinstance(lab, SimLab)
        return lab.run(lambda: main(lab))


def options(**more: Any) -> PwnatOptions:
    measuring = MeasureOptions("pwnat", (), families=(4,))
    ordinary: dict[str, Any] = {"secret": "the same on both sides", "measuring": measuring, "wait_s": 30.0}
    return PwnatOptions(**ordinary | more)


def told(report: Report) -> Pwnat:
    assert report.pwnat is not None
    return report.pwnat


async def looked(lab: SimLab, port: int = 2222) -> Outside | None:
    network = lab.network("alice")
    socket = await network.open_udp(family=4, port=port)
    return await OutsidePorts(network, lambda: None).look(socket)


@pytest.mark.parametrize(
    ("nat", "ports"),
    [
        (RANDOM, ListenerPorts("at random")),
        (SEQUENTIAL, ListenerPorts("predictably", 2)),
        (
            NatSpec(mapping="address-dependent", allocation="sequential", quotes="translated"),
            ListenerPorts("predictably", 1),
        ),
        (NatSpec(allocation="random", quotes="translated"), ListenerPorts()),
    ],
)
def test_what_is_read(nat: NatSpec, ports: ListenerPorts) -> None:
    """And the port is that of the beacons: a beacon from there makes no other mapping."""

    async def main(lab: SimLab) -> None:
        found = await looked(lab)
        assert found is not None
        assert found.ports == ports
        engine = lab.net.node("home")._engine4  # type: ignore[attr-defined]
        mapped = {
            flow.key[3:]: flow.entry.binding.outside_port
            for flow in engine.sessions(lab.loop.now)
            if flow.key[2] == 2222
        }
        assert found.port(OUTSIDE) == mapped["3.3.3.3", 443]

    run(nat, main)


@pytest.mark.parametrize(
    "nat",
    [
        NatSpec(),
        NatSpec(quotes="translated"),
        NatSpec(mapping=APD, allocation="random"),
        NatSpec(mapping=APD, allocation="random", quotes="zero"),
        NatSpec(mapping=APD, allocation="random", quotes="short"),
        NatSpec(mapping=APD, allocation="random", quotes="translated", errors_in="blocked"),
        NatSpec(mapping=APD, allocation="random", quotes="translated", icmp_ends_mapping=True),
    ],
)
def test_where_nothing_is_to_be_read_or_the_port_is_kept(nat: NatSpec) -> None:
    async def main(lab: SimLab) -> None:
        assert await looked(lab) is None

    run(nat, main)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("host", ["carol", "dave"])
@pytest.mark.parametrize("nat", [RANDOM, SEQUENTIAL])
def test_the_two_connect_with_nobody_else(nat: NatSpec, host: str, seed: int) -> None:
    async def main(lab: SimLab) -> None:
        wall = asyncio.get_running_loop().time
        reports = await both(
            (lab.network("alice"), options(), Watcher()),
            (lab.network(host), options(), Watcher()),
            wall=wall,
            outside=lambda place: Endpoint(OUTSIDE, int(place.rpartition(":")[2])),
        )
        listener, caller = map(told, reports)
        assert listener.connected
        assert caller.connected
        assert listener.port_read in ("at random", "predictably")
        assert listener.refused.foreign == 0  # errors about what was to expire are no news

    run(nat, main, seed)


def test_another_port_is_noticed_and_told() -> None:
    """The router restarts: the next command has the new port, and with it the caller gets through."""

    async def main(lab: SimLab) -> None:
        wall, places = asyncio.get_running_loop().time, list[str]()
        async with asyncio.TaskGroup() as group:
            watcher = Watcher(code=places.append)
            listening = group.create_task(
                listen(lab.network("alice"), options(wait_s=90.0), watcher, wall=wall)
            )
            await asyncio.sleep(5.0)
            lab.restart("home")
            await asyncio.sleep(25.0)
            assert len(places) == 2
            assert places[0] != places[1]
            outside = parse_outside(places[1].partition(" ")[2])
            to = Endpoint(OUTSIDE, outside.port(OUTSIDE))
            calling = group.create_task(
                connect(lab.network("carol"), options(listener=to, outside=outside), Watcher(), wall=wall)
            )
        assert told(calling.result()).connected
        assert any("another port" in each.text for each in told(listening.result()).stages)

    run(RANDOM, main)


class Unprivileged(TracedNetwork):
    """As a process without CAP_NET_RAW sees it."""

    def missing(self, capability: Capability) -> str | None:
        return "not permitted" if capability == "raw-packets" else super().missing(capability)


def test_without_the_privilege_it_is_said_what_would_help() -> None:
    async def main(lab: SimLab) -> None:
        network = Unprivileged(lab.network("alice"), trace := Trace(0.0))
        wall = asyncio.get_running_loop().time
        found = told(await listen(network, options(wait_s=8.0), Watcher(), wall=wall))
        assert found.port_read is None
        assert "as root" in found.advice
        sent = {each.data for each in trace.events if each.kind == "datagram" and each.outgoing}
        assert sent == {BEACON}
        assert not [each for each in trace.events if each.kind == "packet"]

    run(RANDOM, main)


@pytest.mark.parametrize("unprivileged", [True, False])
def test_a_port_that_nobody_tells_is_said_to_be_unknown(unprivileged: bool) -> None:
    """A server shows that the NAT gives each destination another port, not which one the beacons have."""

    async def main(lab: SimLab) -> None:
        network = lab.network("alice")
        seen = Unprivileged(network, Trace(0.0)) if unprivileged else network
        servers = tuple(map(parse_server, lab.server_uris()))
        measuring = MeasureOptions("pwnat", servers, families=(4,))
        found = told(
            await listen(
                seen,
                options(wait_s=4.0, measuring=measuring),
                Watcher(),
                wall=asyncio.get_running_loop().time,
            )
        )
        [said] = [each.text for each in found.stages if "nobody tells which one" in each.text]
        assert ("as root" in said) is unprivileged

    run(NatSpec(mapping=APD, allocation="random"), main)


def test_how_the_port_moves() -> None:
    assert moves_of([5, 5, 5, 5]) == ListenerPorts()
    assert moves_of([None, 5, None, 5]) == ListenerPorts()
    assert moves_of([65533, 0, 2, 4]) == ListenerPorts("predictably", 2)
    assert moves_of([10, 11, 13, 14]) == ListenerPorts("predictably", 1)  # somebody else took one
    assert moves_of([10, 4000, 13, 14]) == ListenerPorts("at random")
    assert moves_of([]) == ListenerPorts()
