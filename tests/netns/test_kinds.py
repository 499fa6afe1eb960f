"""Kinds of networks that the simulator shows, with the kernel's own errors, routes and resolving: names with
dead addresses, routes that come and go, a LAN without a way out, and routers with few ports."""

from __future__ import annotations

import asyncio

import pytest
from punching import APDM, look, pair
from simulated import behind_nat

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.errors import CannotRun
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.system.hostnetwork import HostNetwork
from nattools.server.serving import ServeConfig, serve

pytestmark = pytest.mark.netns
STUN, DEAD = "11.201.0.2", "11.201.0.77"


async def measured(lab: NetnsLab, server: str, names: dict[str, tuple[str, ...]]) -> Report:
    """What alice finds with a server of such a name."""
    network = HostNetwork(lab.network_path("alice"), names)
    options = MeasureOptions("nat", (parse_server(server),), families=(4, 6))
    return await measure(network, options, lambda event: None)


def mapping(report: Report) -> tuple[str, str]:
    """Over UDP and TCP."""
    assert report.nat.udp4 is not None
    assert report.nat.tcp4 is not None
    return report.nat.udp4.mapping, report.nat.tcp4.mapping


def test_names_and_routes() -> None:
    """One lab for all, since it is building it that takes the time."""
    names = {"two.example": (DEAD, STUN), "six.example": ("2a10:c9::2",)}
    with NetnsLab(behind_nat()) as lab:
        report = lab.run(lambda: measured(lab, "two.example", names))
        assert report.servers[0].address == f"{STUN}:3478"
        assert mapping(report) == ("endpoint-independent", "endpoint-independent")
        with pytest.raises(CannotRun, match="IPv6 has no route here"):
            lab.run(lambda: measured(lab, "six.example", names))
        for kind, back_s in (("unreachable", 0.7), ("prohibit", None)):
            route(lab, "add", kind)
            found = lab.run(lambda: _while_lost(lab, kind, back_s))  # noqa: B023
            if back_s is None:
                assert isinstance(found, CannotRun)
                assert "a firewall rejects packets to it" in str(found)
                route(lab, "del", kind)
            else:
                assert isinstance(found, Report)
                assert found.nat.udp4 is not None
                assert found.nat.udp4.reachable
                assert found.nat.udp4.mapping == "endpoint-independent"


def route(lab: NetnsLab, action: str, kind: str) -> None:
    """The router on the internet answers what goes to the servers with an ICMP error of that kind, or no
    longer."""
    assert lab.popen("internet", ["ip", "route", action, kind, f"{STUN}/32"]).wait() == 0


async def _while_lost(lab: NetnsLab, kind: str, back_s: float | None) -> Report | CannotRun:
    if back_s is not None:
        asyncio.get_running_loop().call_later(back_s, route, lab, "del", kind)
    try:
        return await measured(lab, STUN, {})
    except CannotRun as error:
        return error


def test_a_lan_without_a_way_out_has_a_server_of_its_own() -> None:
    hosts = {"alice": HostSpec(behind="home", default_route=False), "carol": HostSpec(behind="home")}
    with NetnsLab(Scenario(title="LAN", nat={"home": NatSpec()}, host=hosts)) as lab:

        async def main() -> Report:
            running = await serve(lab.network("carol"), ServeConfig(addresses=("10.0.1.3",)))
            try:
                return await measured(lab, "carol.example", {"carol.example": ("10.0.1.3",)})
            finally:
                await running.close()

        report = lab.run(main)
    assert report.nat.udp4 is not None
    assert (report.nat.udp4.present, report.nat.udp4.reachable) == (False, True)


MASK, VALUE = 0x0FC0, 0x0340
"""Of MAP-E with an offset of 4 bits and a PSID of 6: 15 blocks of 64 ports (RFC 7597 5.1)."""


def test_a_block_of_ports_and_a_port_set_are_learnt() -> None:
    block = NatSpec(mapping=APDM, allocation="random", range=(40000, 40511))
    map_e = NatSpec(mapping=APDM, allocation="random", port_set=(MASK, VALUE))
    with NetnsLab(pair(block, map_e)) as lab:
        seen = [lab.run(lambda: look(lab, host)).udp4 for host in ("alice", "bob")]  # type: ignore[arg-type]  # noqa: B023
    in_block, in_set = seen
    assert in_block is not None
    assert in_block.port_block
    assert in_block.port_range is not None
    assert in_block.port_range[0] > 39000
    assert in_block.port_range[1] < 41500
    assert in_set is not None
    assert in_set.port_mask is not None
    assert (in_set.port_mask[0] & MASK, in_set.port_mask[1] & MASK) == (MASK, VALUE)
