"""The picture of the way out: whose address it begins with, and over what it was found."""

from __future__ import annotations

from msgspec.structs import replace
from report_samples import home_router, port_restricted

from nattools.model.ending import Ending
from nattools.model.host import Host, Interface, Way
from nattools.model.nat import Nat, NatByTransport
from nattools.model.observation import Hop
from nattools.model.report import Report
from nattools.report.document import PathChart, View
from nattools.report.sections.natpath import path


def stations(report: Report) -> list[tuple[str, str]]:
    """What the path shows, station by station; empty: it is not drawn."""
    charts = [block for section in path(report, View()) for block in section.blocks]
    return [
        (node.name, node.detail) for chart in charts if isinstance(chart, PathChart) for node in chart.nodes
    ]


def host(*ways: Way) -> Host:
    bridge = Interface(name="docker0", kind="virtual", up=True, addresses=("172.17.0.1",))
    tunnel = Interface(name="tun0", kind="vpn", up=True, addresses=("fd00::2", "10.8.0.2"))
    return Host(os="x", interfaces=(bridge, tunnel), ways=ways)


def test_it_begins_with_the_address_that_packets_leave_with() -> None:
    ways = tuple(
        Way(family=family, interface="tun0", source=source)
        for family, source in ((6, "fd00::2"), (4, "10.8.0.2"))
    )
    assert stations(replace(home_router(), host=host(*ways)))[0] == ("This machine", "10.8.0.2")
    assert stations(replace(home_router(), host=host(ways[0])))[0] == ("This machine", "fd00::2")
    assert stations(replace(home_router(), host=host()))[0] == ("This machine", "172.17.0.1")
    assert stations(replace(home_router(), host=Host(os="x")))[0] == ("This machine", "?")


def test_where_udp_is_blocked_it_is_what_tcp_found() -> None:
    tcp = replace(port_restricted(), layers=())
    blocked = replace(home_router(), nat=NatByTransport(udp4=Nat(reachable=False), tcp4=tcp))
    assert [name for name, _ in stations(blocked)] == ["This machine", "NAT", "Internet"]
    assert stations(replace(blocked, nat=NatByTransport(udp4=Nat(reachable=False)))) == []


def test_where_nothing_answered_it_shows_the_routers_of_one_family() -> None:
    hops = (
        Hop(id=1, family=4, destination="192.0.2.1", ttl=1, address="10.0.0.1", sent=1),
        Hop(id=2, family=6, destination="2001:db8::1", ttl=1, address="fd00::1", sent=1),
        Hop(id=3, family=6, destination="2001:db8::1", ttl=2, address="fd01::1", sent=1),
    )
    report = replace(home_router(), ended=Ending(step="answer"), observations=hops)
    assert stations(report)[1:] == [("Router", "10.0.0.1"), ("Internet", "did not answer")]
    six = replace(report, observations=hops[1:])
    assert stations(six)[1:-1] == [("Router", "fd00::1"), ("Router", "fd01::1")]
