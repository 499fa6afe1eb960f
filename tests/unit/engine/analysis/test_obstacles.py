"""What keeps others out, and what the user is told to do about it, by networks that differ in one thing."""

from __future__ import annotations

from typing import Any

import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.run import measure
from nattools.errors import CannotRun
from nattools.lab.scenario import HostSpec, MapperSpec, Nat64Spec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.report import Report
from nattools.model.serveruri import parse_server

MAPS = NatSpec(mapper=MapperSpec())
ABOUT_ROUTERS = {
    "enable-mappings",
    "enable-mappings-at",
    "forward-port",
    "enable-protocol",
    "enable-protocol-at",
}


def diagnosed(nats: dict[str, NatSpec], alice: HostSpec, **more: Any) -> Report:
    scenario = Scenario(title="a network", nat=nats, host={"alice": alice}, **more)
    with SimLab(scenario, seed=1) as lab:
        options = MeasureOptions("diagnose", tuple(parse_server(uri) for uri in lab.server_uris()))
        return lab.run(lambda: measure(lab.network("alice"), options, lambda event: None, MemoryJournal()))


def to_do(report: Report) -> list[str]:
    assert report.advice is not None
    return [each.code for each in report.advice.actions]


def advised(report: Report) -> set[str]:
    """All that the user is told to do, in the summary or in a row."""
    return {each.code for row in report.techniques for each in row.remedy} | set(to_do(report))


def noticed(report: Report) -> list[str]:
    return [each.code for each in report.notices]


VPN = {"provider": NatSpec(), "home": MAPS}


@pytest.mark.parametrize(
    ("nats", "alice", "actions", "notices"),
    [
        pytest.param({"home": NatSpec()}, HostSpec(behind="home"), ["enable-mappings-at"], [], id="home"),
        pytest.param({"home": MAPS}, HostSpec(behind="home"), ["keep-port"], [], id="a router that maps"),
        pytest.param(
            VPN, HostSpec(behind=("provider", "home"), vpn=("provider",), routing="by-rule"),
            ["ask-vpn"], ["vpn-measured", "several-default-routes", "router-off-path"], id="by a rule",
        ),
        pytest.param(
            VPN, HostSpec(behind=("provider", "home"), vpn=("provider",), routing="by-halves"),
            ["ask-vpn"], ["vpn-measured", "several-default-routes"], id="by halves",
        ),
        pytest.param(
            {"inner": NatSpec(), **VPN},
            HostSpec(behind=("inner", "provider", "home"), vpn=("inner", "provider"), routing="by-rule"),
            ["ask-vpn"], ["vpn-measured", "several-default-routes", "router-off-path"], id="a VPN in a VPN",
        ),
        pytest.param(
            {"home": MAPS, "cafe": NatSpec()},
            HostSpec(behind=("home", "cafe"), vpn=("home",), routing="by-halves"),
            ["keep-port"], ["vpn-measured", "several-default-routes"], id="a VPN to a router that maps",
        ),
        pytest.param(
            {"home": NatSpec(), "mesh": NatSpec(address="100.64.0.0/10")},
            HostSpec(behind=("home", "mesh"), vpn=("mesh",), default_route=("home",)),
            ["enable-mappings-at"], [], id="an overlay without an exit node",
        ),
        pytest.param(
            {"home": NatSpec(), "provider": NatSpec(ipv6="firewall")},
            HostSpec(
                behind=("provider", "home"), vpn=("provider",), routing="by-metric",
                default_route=("provider/6", "home/4"),
            ),
            ["enable-mappings-at"], ["vpn-carries"], id="a VPN for IPv6 alone",
        ),
        pytest.param(
            {"phone": NatSpec(address="172.20.10.0/28")}, HostSpec(behind="phone"),
            ["phone-forwards-nothing"], [], id="a phone's hotspot",
        ),
        pytest.param(
            {"aftr": NatSpec(address="192.0.0.0/29"), "a": NatSpec(behind="aftr", address="192.168.43.0/24")},
            HostSpec(behind="a"),
            ["phone-forwards-nothing"], [], id="an Android phone's hotspot",
        ),
        pytest.param(
            {"home": MAPS, "windows": NatSpec(behind="home", address="192.168.137.0/24")},
            HostSpec(behind="windows"),
            ["windows-shares"], [], id="a Windows machine that shares its connection",
        ),
        pytest.param(
            {"home": MAPS, "windows": NatSpec(behind="home", address="172.20.0.0/20")},
            HostSpec(behind="windows", runs_in="wsl"),
            ["mirror-networking"], [], id="WSL",
        ),
        pytest.param(
            {"home": MAPS}, HostSpec(behind="home", runs_in="wsl"),
            ["keep-port"], [], id="WSL on the network of Windows",
        ),
        pytest.param(
            {"isp": NatSpec(ipv6="open", nat64=Nat64Spec(prefix="2a10:64::/96", says="2a10:dead::/96"))},
            HostSpec(behind="isp"),
            [], ["nat64-of-dns-leads-nowhere"], id="IPv6 alone, open",
        ),
        pytest.param(
            {"outer": NatSpec(), "home": NatSpec(behind="outer")}, HostSpec(behind="home"),
            ["bridge-one-router", "enable-mappings-then"], [], id="two routers",
        ),
        pytest.param(
            {"isp": NatSpec(address="100.64.0.0/10"), "home": NatSpec(behind="isp")}, HostSpec(behind="home"),
            ["ask-for-own-address"], [], id="a carrier",
        ),
        pytest.param(
            {"aftr": NatSpec(address="192.0.0.0/29"), "home": NatSpec(behind="aftr")},
            HostSpec(behind="home"),
            ["ask-for-own-address"], [], id="DS-Lite",
        ),
        pytest.param(
            {"home": NatSpec(udp="blocked")}, HostSpec(behind="home"), ["let-udp-out"], [], id="no UDP",
        ),
        pytest.param(
            {"home": NatSpec(dmz="alice")}, HostSpec(behind="home"), [], [], id="a DMZ",
        ),
        pytest.param(
            {"first": NatSpec(), "second": NatSpec()}, HostSpec(behind=("first", "second")),
            ["enable-mappings-at"], ["several-default-routes"], id="two providers",
        ),
    ],
)  # fmt: skip
def test_what_is_in_the_way(
    nats: dict[str, NatSpec], alice: HostSpec, actions: list[str], notices: list[str]
) -> None:
    report = diagnosed(nats, alice)
    assert to_do(report) == actions
    assert noticed(report) == notices
    if "enable-mappings-at" not in actions and "keep-port" not in actions:
        assert not ABOUT_ROUTERS & advised(report)


def test_a_router_of_a_private_address_that_maps() -> None:
    report = diagnosed(
        {"outer": NatSpec(), "home": NatSpec(behind="outer", mapper=MapperSpec())}, HostSpec(behind="home")
    )
    assert to_do(report) == ["bridge-or-forward-twice"]


def test_a_kill_switch_is_named() -> None:
    with pytest.raises(CannotRun, match="own firewall lets nothing out") as refusal:
        diagnosed({"home": NatSpec()}, HostSpec(behind="home", lets_out=()))
    assert "kill switch" in (refusal.value.remedy or "")


def test_a_kill_switch_while_the_vpn_is_up() -> None:
    alice = HostSpec(
        behind=("provider", "home"), vpn=("provider",), routing="by-rule", lets_out=("provider",)
    )
    report = diagnosed(VPN, alice)
    assert report.nat.udp4 is not None
    assert report.nat.udp4.external == ("11.1.0.2",)
    assert to_do(report) == ["ask-vpn"]


def test_nothing_but_tcp_to_443() -> None:
    servers = {"stun": ServerSpec(), "web": ServerSpec(port=443)}
    report = diagnosed({"home": NatSpec(open_ports=("tcp/443",))}, HostSpec(behind="home"), server=servers)
    assert to_do(report) == ["let-udp-out"]
    assert not ABOUT_ROUTERS & advised(report)
