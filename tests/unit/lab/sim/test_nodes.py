"""Routers of the simulator: NAT and firewall filters, IPv6, several NATs in a row, hairpinning."""

from __future__ import annotations

import pytest
from simulated import STUN, STUN_OTHER, behind_nat, pass_time, run, udp

from nattools.lab.scenario import FirewallSpec, HostSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.protocols.packet import Packet

STUN6 = Endpoint("2a10:c9::2", 3478)
PORT_79 = Endpoint(STUN.host, 79)


async def filter_of(lab: SimLab) -> tuple[bool, bool]:
    """After a packet to STUN: does one from its other port get in, and one from its other address?"""
    server = await udp(lab.network("stun"), STUN)
    other_port = await udp(lab.network("stun"), PORT_79)
    other_address = await udp(lab.network("stun"), STUN_OTHER)
    alice = await udp(lab.network("alice"))
    alice.send(b"", STUN)
    await pass_time(0.1)
    for each in (server, other_port, other_address):
        each.send(b"in", server.sources[0])
    await pass_time(0.1)
    assert STUN in alice.sources
    return PORT_79 in alice.sources, STUN_OTHER in alice.sources


@pytest.mark.parametrize(
    ("filtering", "gets_in"),
    [
        ("endpoint-independent", (True, True)),
        ("address-dependent", (True, False)),
        ("address-and-port-dependent", (False, False)),
    ],
)
def test_the_nat_filters_as_told(filtering: str, gets_in: tuple[bool, bool]) -> None:
    nat = NatSpec(filtering=filtering, allocation="random")  # type: ignore[arg-type]
    assert run(behind_nat(nat, delay_ms=3), filter_of) == gets_in


def test_a_symmetric_nat_shows_another_port_to_everybody() -> None:
    async def main(lab: SimLab) -> None:
        servers = [await udp(lab.network("stun"), at) for at in (STUN, STUN_OTHER)]
        alice = await udp(lab.network("alice"))
        for server in servers:
            alice.send(b"", server.local)
        await pass_time(0.1)
        first, second = (server.sources[0] for server in servers)
        assert first.host == second.host == "11.1.0.2"
        assert first.port != second.port

    run(behind_nat(NatSpec(mapping="address-and-port-dependent", allocation="random")), main)


@pytest.mark.parametrize(("idle_s", "alive"), [(29.0, True), (31.0, False)])
def test_a_mapping_lives_as_long_as_said(idle_s: float, alive: bool) -> None:
    async def main(lab: SimLab) -> None:
        server = await udp(lab.network("stun"), STUN)
        alice = await udp(lab.network("alice"))
        alice.send(b"", STUN)
        await pass_time(idle_s)
        server.send(b"in", server.sources[0])
        await pass_time(1)
        assert bool(alice.got) is alive

    run(behind_nat(NatSpec(lifetime_s=30)), main)


@pytest.mark.parametrize("hairpinning", [True, False])
def test_hairpinning(hairpinning: bool) -> None:
    async def main(lab: SimLab) -> None:
        server = await udp(lab.network("stun"), STUN)
        alice, carol = await udp(lab.network("alice")), await udp(lab.network("carol"))
        alice.send(b"", STUN)
        carol.send(b"", STUN)
        await pass_time(0.1)
        alice_outside, carol_outside = server.sources
        alice.send(b"loop", carol_outside)
        await pass_time(0.1)
        assert carol.got == ([(0.1, b"loop", alice_outside)] if hairpinning else [])

    nat = NatSpec(hairpinning=hairpinning, filtering="endpoint-independent")
    run(behind_nat(nat), main)


def test_two_nats_in_a_row() -> None:
    scenario = Scenario(
        title="carrier",
        nat={"isp": NatSpec(address="100.64.0.0/10"), "flat": NatSpec(behind="isp")},
        host={"alice": HostSpec(behind="flat")},
    )

    async def main(lab: SimLab) -> None:
        server = await udp(lab.network("stun"), STUN, echo=True)
        alice = await udp(lab.network("alice"))
        for ttl in (1, 2, 3, 4):
            alice.send(str(ttl).encode(), STUN, ttl=ttl)
        await pass_time(0.1)
        assert [error.offender for error in alice.errors] == ["10.0.2.1", "100.64.0.1", "11.1.0.1"]
        assert alice.payloads == [b"4"]
        assert server.sources[0].host == "11.1.0.2"

    run(scenario, main)


def test_udp_blocked() -> None:
    async def main(lab: SimLab) -> None:
        server = await udp(lab.network("stun"), STUN)
        alice = await udp(lab.network("alice"))
        alice.send(b"", STUN)
        await pass_time(1)
        assert (server.got, alice.errors) == ([], [])

    run(behind_nat(NatSpec(udp="blocked")), main)


def six(protection: str, kind: str = "nat") -> Scenario:
    """Alice and carol with IPv6 behind a router."""
    router = (NatSpec if kind == "nat" else FirewallSpec)(ipv6=protection)  # type: ignore[arg-type]
    hosts = {"alice": HostSpec(behind="home"), "carol": HostSpec(behind="home")}
    if isinstance(router, NatSpec):
        return Scenario(title="six", nat={"home": router}, host=hosts)
    return Scenario(title="six", firewall={"home": router}, host=hosts)


@pytest.mark.parametrize("kind", ["nat", "firewall"])
@pytest.mark.parametrize("protection", ["firewall", "open"])
def test_ipv6_is_routed_and_perhaps_filtered(kind: str, protection: str) -> None:
    async def main(lab: SimLab) -> None:
        server = await udp(lab.network("stun"), STUN6, echo=True)
        stranger = await udp(lab.network("stun"), Endpoint("2a10:c9::3", 1))
        alice = await udp(lab.network("alice"), family=6)
        stranger.send(b"before", alice.local)
        alice.send(b"out", STUN6)
        await pass_time(0.1)
        stranger.send(b"after", alice.local)
        await pass_time(0.1)
        assert server.sources == [alice.local]
        assert alice.payloads == ([b"out"] if protection == "firewall" else [b"before", b"out", b"after"])

    run(six(protection, kind), main)


def test_ipv6_errors_come_back_through_the_firewall() -> None:
    async def main(lab: SimLab) -> None:
        alice = await udp(lab.network("alice"), family=6)
        for ttl in (1, 2, 3):
            alice.send(b"", STUN6, ttl=ttl)
        await pass_time(0.1)
        assert [(error.kind, error.offender) for error in alice.errors] == [
            ("time-exceeded", "2a10:1:0:1::1"),
            ("time-exceeded", "2a10:1::1"),
            ("port-unreachable", STUN6.host),
        ]

    run(six("firewall"), main)


def test_a_firewall_filters_without_translating() -> None:
    scenario = Scenario(
        title="firewall", firewall={"wall": FirewallSpec()}, host={"alice": HostSpec(behind="wall")}
    )

    async def main(lab: SimLab) -> None:
        assert await filter_of(lab) == (False, False)
        alice = await udp(lab.network("alice"))
        server = await udp(lab.network("stun"), Endpoint(STUN.host, 80))
        alice.send(b"", server.local)
        await pass_time(0.1)
        assert server.sources == [alice.local]

    run(scenario, main)


def test_a_ping_is_answered_through_a_nat() -> None:
    async def main(lab: SimLab) -> None:
        alice = lab.net.node("alice")
        replies: list[Packet] = []
        alice.input = replies.append
        for destination in ("10.0.1.1", STUN.host):
            request = Packet("icmp", "10.0.1.2", 77, destination, 77, b"data", icmp_type=8)
            alice.send(request)
        await pass_time(0.1)
        assert [(r.source, r.icmp_type, r.destination_port, r.payload) for r in replies] == [
            ("10.0.1.1", 0, 77, b"data"),
            (STUN.host, 0, 77, b"data"),
        ]

    run(behind_nat(), main)


def test_errors_are_not_answered_with_errors() -> None:
    async def main(lab: SimLab) -> None:
        bob = lab.net.node("bob")
        got: list[Packet] = []
        bob.input = got.append
        about = Packet("udp", "11.101.0.2", 1, STUN.host, 2)
        error = Packet("icmp", "11.101.0.2", 0, STUN.host, 0, ttl=1, icmp_type=3, icmp_code=3, about=about)
        bob.send(error)
        await pass_time(0.1)
        assert got == []

    run(behind_nat(), main)
