"""Routers that make mappings, as a scenario draws them: read, refused, and built."""

from __future__ import annotations

import random
import subprocess
from typing import Any

import pytest
from conftest import tool

from nattools.errors import UsageError
from nattools.lab.layout import plan
from nattools.lab.nat.bindings import Forwards
from nattools.lab.netns import nft
from nattools.lab.netns.netnslab import userspace_routers
from nattools.lab.netns.nft import alive, rules
from nattools.lab.routers import daemons
from nattools.lab.routers.fakerouter import behaviour, families
from nattools.lab.scenario import HostSpec, MapperSpec, NatSpec, Scenario
from nattools.lab.scenariofiles import parse
from nattools.model.endpoint import Endpoint

HEAD = 'title = "x"\n[host.alice]\nbehind = "home"\n'


def drawn(mapper: str) -> MapperSpec:
    nat = parse(f"{HEAD}[nat.home]\nmapper = {mapper}\n", "x.toml").nat["home"]
    assert nat.mapper is not None
    return nat.mapper


def test_an_empty_table_is_an_ordinary_router() -> None:
    spec = drawn("{}")
    assert spec == MapperSpec()
    assert set(spec.protocols) == {"upnp-igd", "nat-pmp", "pcp"}
    assert (spec.igd, spec.ports) == (2, (1024, 65535))


def test_all_that_can_be_said() -> None:
    spec = drawn('{ protocols = ["pcp"], igd = 1, ports = [2000, 3000], faults = { lies = true } }')
    assert (spec.protocols, spec.igd, spec.ports, spec.faults) == (("pcp",), 1, (2000, 3000), {"lies": True})
    table = f"{HEAD}[nat.home.mapper]\nshortest_s = 60\nlongest_s = 3600\n"
    nat = parse(table, "x.toml").nat["home"]
    assert nat.mapper == MapperSpec(shortest_s=60, longest_s=3600)


@pytest.mark.parametrize(
    ("mapper", "words"),
    [
        ("3", "expected a table"),
        ("{ protocols = [] }", "name at least one protocol"),
        ('{ protocols = ["pcp", "pcp"] }', "each only once"),
        ('{ protocols = ["upnp"] }', "upnp"),
        ("{ igd = 3 }", "igd"),
        ("{ ports = [3000, 2000] }", "not a range of ports"),
        ("{ shortest_s = 600, longest_s = 60 }", "longer than longest_s"),
        ("{ lifetime = 3 }", "unknown key"),
        ("{ faults = { lazy = true } }", "unknown key"),
        ('{ faults = { xml = "good enough" } }', "not one of"),
        ('{ faults = { taken = "all" } }', "wrong type"),
    ],
)
def test_what_makes_no_sense_is_named_with_its_line(mapper: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        drawn(mapper)
    assert "x.toml, line 5" in str(error.value)
    assert words in str(error.value)


# --- on kernel routers


def on_netns(**nat: Any) -> dict[str, str]:
    router = NatSpec(mapper=nat.pop("mapper", MapperSpec()), **nat)
    return userspace_routers(Scenario(title="x", nat={"home": router}, host={"a": HostSpec(behind="home")}))


def test_the_kernels_router_has_miniupnpd() -> None:
    assert on_netns() == {}
    assert on_netns(mapper=MapperSpec(faults={"lies": True}, protocols=("pcp",))) == {}


@pytest.mark.parametrize(
    ("nat", "words"),
    [
        ({"mapper": MapperSpec(protocols=("pcp",))}, "together"),
        ({"mapper": MapperSpec(protocols=("upnp-igd", "nat-pmp"))}, "together"),
        ({"hairpinning": True}, "hairpins"),
    ],
)
def test_what_the_kernels_router_cannot_be(nat: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        on_netns(**nat)


def test_the_daemon_is_told_what_the_scenario_says() -> None:
    nat = NatSpec(ipv6="firewall")
    mapper = MapperSpec(protocols=("upnp-igd",), igd=1, ports=(2000, 3000), shortest_s=60, longest_s=600)
    text = daemons.configuration(nat, mapper, "10.0.1.0/24")
    lines = text.splitlines()
    assert {"enable_upnp=yes", "enable_natpmp=no", "force_igd_desc_v1=yes", "ipv6_disable=no"} < set(lines)
    assert {"min_lifetime=60", "max_lifetime=600", "listening_ip=lan0", "ext_ifname=wan0"} < set(lines)
    assert lines[-2:] == ["allow 2000-3000 10.0.1.0/24 2000-3000", "deny 0-65535 0.0.0.0/0 0-65535"]


def test_its_chains_come_before_what_is_dropped() -> None:
    text = nft.ruleset(NatSpec(mapper=MapperSpec()), translate=True)
    forward = text.index(f"jump {nft.MAPPER_CHAINS['forward']}")
    assert forward < text.rindex(f'iifname "{nft.WAN}" drop')
    assert text.index(f"jump {nft.MAPPER_CHAINS['postrouting']}") < text.index("masquerade")
    assert f"jump {nft.MAPPER_CHAINS['prerouting']}" in text
    assert "mapper" not in nft.ruleset(NatSpec(), translate=True)


# --- fakes


def test_a_fake_does_what_the_scenario_says() -> None:
    mapper = MapperSpec(protocols=("upnp-igd", "pcp"), igd=1, ports=(2000, 3000), faults={"copies": 3})
    manner = behaviour(NatSpec(), mapper, public=True)
    assert (manner.protocols, manner.igd_version, manner.copies) == (("upnp", "pcp"), 1, 3)
    assert manner.services == ("WANIPConnection:1",)
    assert manner.maps(2000, 3000)
    assert not manner.maps(1999)
    assert (manner.lifetime_s(5), manner.lifetime_s(10**6)) == (120, 86400)


def test_a_fake_without_a_public_address_refuses_as_miniupnpd_does() -> None:
    manner = behaviour(NatSpec(), MapperSpec(), public=False)
    assert (manner.external, manner.upnp_error, manner.natpmp_result, manner.pcp_result) == ("", 501, 3, 8)


def test_pinholes_only_where_there_is_ipv6() -> None:
    nat = {"isp": NatSpec(), "home": NatSpec(behind="isp", ipv6="open"), "own": NatSpec(ipv6="firewall")}
    drawn = plan(Scenario(title="three", nat=nat, host={"alice": HostSpec(behind="home")}))
    assert {name: families(drawn, name) for name in nat} == {"isp": (4,), "home": (4,), "own": (4, 6)}
    with_ipv6 = behaviour(NatSpec(ipv6="firewall"), MapperSpec(), public=True)
    assert "WANIPv6FirewallControl:1" in with_ipv6.services


def test_forwardings_become_rules_that_end() -> None:
    forwards = Forwards()
    forwards.open("udp", Endpoint("11.1.0.2", 5001), Endpoint("10.0.1.2", 5000), expires=10.0)
    forwards.open("tcp", Endpoint("2a10::5", 6000), Endpoint("2a10::5", 6000))
    text = "\n".join(rules(alive(forwards, 5.0)))
    assert 'iifname "wan0" udp dport 5001 dnat ip to 10.0.1.2:5000' in text
    assert 'iifname "wan0" ip daddr 10.0.1.2 udp dport 5000 accept' in text
    assert 'iifname "wan0" ip6 daddr 2a10::5 tcp dport 6000 accept' in text
    assert text.count("dnat") == 1
    assert text.startswith("flush chain")
    assert [protocol for protocol, _, _ in alive(forwards, 11.0)] == ["tcp"]


@pytest.mark.netns
def test_nft_accepts_both_rulesets() -> None:
    random.seed(1)
    forwards = Forwards()
    forwards.open("udp", Endpoint("11.1.0.2", 5001), Endpoint("10.0.1.2", 5000))
    base = nft.ruleset(NatSpec(mapper=MapperSpec()), translate=True)
    program = str(tool("nft"))
    for text in (base, f"{base}\n" + "\n".join(rules(alive(forwards, 0.0))) + "\n"):
        command = ["unshare", "-rn", program, "-c", "-f", "-"]
        subprocess.run(command, input=text, text=True, check=True)
