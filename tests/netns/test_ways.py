"""Which way packets take, in a namespace with rules, tables and tunnels as VPN clients make them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.errors import CannotRun
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.model.host import Gateway, Way
from nattools.model.serveruri import parse_server
from nattools.net.system.hostnetwork import HostNetwork

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or os.geteuid() != 0 or shutil.which("ip") is None,
        reason="needs Linux, root and the ip command",
    ),
]

NAME = f"ntways{os.getpid()}"
HOME = """\
link add wg0 type veth peer name behind
link set lo up
link set wg0 up
link set behind up
addr add 10.9.0.2/24 dev wg0
route add default via 10.9.0.1 dev wg0 metric 7
tuntap add corp mode tun
link set corp up
addr add 10.66.0.2/24 dev corp
"""
"""A cable that is called as WireGuard's devices often are, and a tunnel that is not."""
BY_RULE = """\
route add default dev corp table 51820
rule add priority 99 table main suppress_prefixlength 0
rule add priority 100 not fwmark 51820 table 51820
"""
BY_HALVES = """\
route add 0.0.0.0/1 via 10.66.0.1
route add 128.0.0.0/1 via 10.66.0.1
"""
BY_SOURCE = """\
route add default via 10.9.0.1 dev wg0 table 77
rule add priority 98 from 10.9.0.2 table 77
"""
MULTIPATH = "route add default metric 1 nexthop via 10.9.0.1 dev wg0 nexthop via 10.9.0.9 dev wg0\n"

AT_HOME = Way(family=4, interface="wg0", source="10.9.0.2", gateway="10.9.0.1")
IN_TUNNEL = Way(family=4, interface="corp", source="10.66.0.2")
BY_ROUTER = Way(family=4, interface="corp", source="10.66.0.2", gateway="10.66.0.1")
HOME_GATEWAY = Gateway(interface="wg0", family=4, address="10.9.0.1", metric=7)


@pytest.fixture
def network() -> Iterator[HostNetwork]:
    subprocess.run(["ip", "netns", "add", NAME], check=True)
    try:
        configure(HOME)
        yield HostNetwork(f"/run/netns/{NAME}")
    finally:
        subprocess.run(["ip", "netns", "delete", NAME], check=True)


def configure(lines: str) -> None:
    subprocess.run(["ip", "-n", NAME, "-batch", "-"], input=lines, text=True, check=True)


@pytest.mark.parametrize(
    ("lines", "way", "from_home", "first"),
    [
        ("", AT_HOME, AT_HOME, HOME_GATEWAY),
        (BY_RULE, IN_TUNNEL, Way(family=4, interface="corp", source="10.9.0.2"),
         Gateway(interface="corp", family=4, metric=0)),
        (BY_RULE + BY_SOURCE, IN_TUNNEL, AT_HOME, Gateway(interface="corp", family=4, metric=0)),
        (BY_HALVES, BY_ROUTER, Way(family=4, interface="corp", source="10.9.0.2", gateway="10.66.0.1"),
         Gateway(interface="corp", family=4, address="10.66.0.1", metric=0)),
        ("route add blackhole default\n", None, None, HOME_GATEWAY),
        ("route add unreachable default metric 1\n", None, None, HOME_GATEWAY),
        ("route add prohibit 11.0.0.0/8\n", None, None, HOME_GATEWAY),
    ],
)  # fmt: skip
def test_the_way_that_packets_take(
    network: HostNetwork, lines: str, way: Way | None, from_home: Way | None, first: Gateway
) -> None:
    configure(lines)
    assert network.way("11.5.0.2") == way
    assert network.way("11.5.0.2", source="10.9.0.2") == from_home
    assert network.gateways()[0] == first
    assert HOME_GATEWAY in network.gateways()


def test_several_routers_of_one_route(network: HostNetwork) -> None:
    configure(MULTIPATH)
    assert {each.address for each in network.gateways()} == {"10.9.0.1", "10.9.0.9"}


def test_kinds_follow_from_what_interfaces_are(network: HostNetwork) -> None:
    kinds = {each.name: each.kind for each in network.interfaces()}
    assert kinds == {"lo": "loopback", "wg0": "ethernet", "behind": "ethernet", "corp": "vpn"}


def test_an_interface_that_is_named_is_the_way(network: HostNetwork) -> None:
    configure(BY_RULE)
    assert network.way("11.5.0.2", interface="wg0") == AT_HOME
    assert network.way("2a10::2") is None


def test_a_kill_switch_is_named() -> None:
    """The kernel's own refusal to send, as the simulator has it too."""
    scenario = Scenario(
        title="a kill switch", nat={"home": NatSpec()}, host={"alice": HostSpec(behind="home", lets_out=())}
    )
    with NetnsLab(scenario) as lab:
        options = MeasureOptions("nat", tuple(parse_server(uri) for uri in lab.server_uris()))
        with pytest.raises(CannotRun, match="own firewall lets nothing out"):
            lab.run(lambda: measure(lab.network("alice"), options, lambda event: None))
