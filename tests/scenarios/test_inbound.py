"""What a server that listens tells of a dial-back, by what stands in the way; and who stops it, on a machine
that cannot see what comes to its interface."""

from __future__ import annotations

import pytest

from nattools.engine.measureoptions import Event, MeasureOptions
from nattools.engine.run import measure
from nattools.errors import CannotRun
from nattools.lab.scenariofiles import load
from nattools.lab.sim.simarrivals import SimArrivals
from nattools.lab.sim.simlab import SimLab, SimNetwork
from nattools.model.endpoint import Family
from nattools.model.ipv6trial import InboundCheck
from nattools.model.report import Report
from nattools.model.serveruri import parse_server

ROUTER, ALICE = "2a10:1::2", "2a10:1:0:1::2"


def silent(event: Event) -> None:
    """No progress."""


def measured(name: str) -> Report:
    with SimLab(load(name)) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        options = MeasureOptions(command="ipv6", servers=servers)

        async def work() -> Report:
            return await measure(lab.network("alice"), options, silent)

        return lab.run(work)


def checks(report: Report) -> dict[str, tuple[str, str | None, bool | None]]:
    """By transport: what came of it, who said so, and whether it came to the interface."""
    return {
        each.transport: (each.outcome, each.offender, each.reached_card)
        for each in report.observations
        if isinstance(each, InboundCheck)
    }


@pytest.mark.parametrize(
    ("name", "udp", "tcp", "icmp"),
    [
        ("ipv6-reached", ("arrived", None, True), ("arrived", None, True), ("arrived", None, True)),
        ("ipv6-filtered", ("timeout", None, False), ("timeout", None, False), ("timeout", None, False)),
        ("ipv6-rejecting", ("refused", ROUTER, False), ("refused", None, False), ("refused", ROUTER, False)),
        (
            "ipv6-prohibiting",
            ("prohibited", ROUTER, False),
            ("prohibited", None, False),
            ("prohibited", ROUTER, False),
        ),
        ("ipv6-host-drop", ("timeout", None, True), ("timeout", None, True), ("timeout", None, True)),
        (
            "ipv6-host-prohibit",
            ("prohibited", ALICE, True),
            ("prohibited", None, True),
            ("prohibited", ALICE, True),
        ),
    ],
)
def test_what_comes_back_and_how_far_it_came(
    name: str,
    udp: tuple[str, str | None, bool],
    tcp: tuple[str, str | None, bool],
    icmp: tuple[str, str | None, bool],
) -> None:
    assert checks(measured(name)) == {"udp": udp, "tcp": tcp, "icmp": icmp}


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("ipv6-filtered", "router"),
        ("ipv6-host-drop", "host"),
        ("ipv6-beyond", "beyond"),
        ("ipv6-reached", None),
    ],
)
def test_without_a_packet_socket_openers_tell(
    monkeypatch: pytest.MonkeyPatch, name: str, where: str | None
) -> None:
    def refused(network: SimNetwork, family: Family) -> SimArrivals:
        raise CannotRun("not permitted to look at what arrives")

    monkeypatch.setattr(SimNetwork, "watch_arrivals", refused)
    report = measured(name)
    assert report.ipv6 is not None
    assert report.ipv6.dropped_at == where
    seen = {each.reached_card for each in report.observations if isinstance(each, InboundCheck)}
    assert seen <= {None, True}
