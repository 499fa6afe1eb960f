"""Forwardings in the NAT engine, and multicast on a simulated segment."""

from __future__ import annotations

import random

import pytest
from simulated import behind_nat, pass_time, run, udp

from nattools.lab.nat.bindings import Forwards
from nattools.lab.nat.engine import NatEngine
from nattools.lab.scenario import FirewallSpec, NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.protocols.packet import ACK, SYN, Packet

OUTSIDE, INSIDE = Endpoint("11.1.0.2", 5000), Endpoint("10.0.1.2", 4000)


def engine(spec: NatSpec | FirewallSpec | None = None) -> NatEngine:
    return NatEngine(
        spec or NatSpec(),
        inside="10.0.1.0/24",
        outside_address="11.1.0.2",
        inside_address="10.0.1.1",
        rng=random.Random(1),
    )


def knock(
    remote: str = "11.101.0.2", protocol: str = "udp", flags: int = 0, to: Endpoint = OUTSIDE
) -> Packet:
    packet = Packet("tcp" if protocol == "tcp" else "udp", remote, 700, to.host, to.port)
    packet.flags = flags
    return packet


@pytest.mark.parametrize(
    "spec",
    [
        NatSpec(),
        NatSpec(filtering="endpoint-independent"),
        NatSpec(mapping="address-and-port-dependent", allocation="random"),
        NatSpec(mapping="address-dependent", allocation="sequential"),
        NatSpec(refreshed_by="outbound"),
    ],
)
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_anybody_gets_in_and_the_answer_gets_out(spec: NatSpec, protocol: str) -> None:
    nat = engine(spec)
    assert nat.from_outside(knock(protocol=protocol, flags=SYN), 0.0) == []
    nat.forwards.open(protocol, OUTSIDE, INSIDE)
    for remote in ("11.101.0.2", "11.102.0.2"):
        ((side, packet),) = nat.from_outside(knock(remote, protocol, SYN), 0.0)
        assert (side, packet.destination, packet.destination_port) == ("inside", *INSIDE)
        answer = Packet(packet.protocol, *INSIDE, remote, 700)
        answer.flags = SYN | ACK
        ((side, out),) = nat.from_inside(answer, 0.1)
        assert (side, out.source, out.source_port) == ("outside", *OUTSIDE)


def test_closed_expired_and_cleared() -> None:
    nat = engine()
    nat.forwards.open("udp", OUTSIDE, INSIDE, expires=10.0)
    assert nat.from_outside(knock("11.103.0.1"), 9.9)
    assert nat.from_outside(knock("11.103.0.2"), 10.1) == []
    nat.forwards.open("udp", OUTSIDE, INSIDE)
    nat.forwards.close("udp", OUTSIDE)
    nat.forwards.close("udp", OUTSIDE)
    assert nat.from_outside(knock("11.103.0.3"), 11.0) == []
    nat.forwards.open("udp", OUTSIDE, INSIDE)
    nat.forwards.clear()
    assert nat.from_outside(knock("11.103.0.4"), 11.0) == []
    assert Forwards().target(("udp", *OUTSIDE), 0.0) is None


def test_a_pinhole_in_a_firewall() -> None:
    host = Endpoint("11.151.0.2", 80)
    wall = engine(FirewallSpec())
    assert wall.from_outside(knock(to=host, protocol="tcp", flags=SYN), 0.0) == []
    wall.forwards.open("tcp", host, host)
    ((side, packet),) = wall.from_outside(knock(to=host, protocol="tcp", flags=SYN), 0.0)
    assert (side, packet.destination, packet.destination_port) == ("inside", *host)
    assert wall.from_outside(knock(to=Endpoint(host.host, 81), protocol="tcp", flags=SYN), 0.0) == []


def test_multicast_reaches_the_segment_and_no_further() -> None:
    async def main(lab: SimLab) -> list[list[bytes]]:
        alice = await udp(lab.network("alice"))
        listeners = [
            await udp(lab.network(node), family=4, port=1900) for node in ("carol", "home", "bob", "alice")
        ]
        elsewhere = await udp(lab.network("carol"), family=4, port=1901)
        assert alice.send(b"who?", Endpoint("239.255.255.250", 1900), ttl=2) is None
        await pass_time(1.0)
        assert alice.errors == []
        return [each.payloads for each in (*listeners, elsewhere)]

    assert run(behind_nat(), main) == [[b"who?"], [b"who?"], [], [], []]


def test_multicast_suffers_what_the_link_does() -> None:
    async def main(lab: SimLab) -> list[float]:
        home = await udp(lab.network("home"), family=4, port=1900)
        alice = await udp(lab.network("alice"))
        for _ in range(100):
            alice.send(b"who?", Endpoint("239.255.255.250", 1900))
        await pass_time(1.0)
        return [when for when, _, _ in home.got]

    times = run(behind_nat(loss=0.5, delay_ms=30), main)
    assert 20 < len(times) < 80
    assert min(times) == max(times) == pytest.approx(0.03)
