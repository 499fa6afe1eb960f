"""UDP in the simulator: addresses, ports, delay, loss, TTL and ICMP errors."""

from __future__ import annotations

import asyncio

import pytest
from simulated import STUN, STUN_OTHER, behind_nat, open_internet, pass_time, run, udp

from nattools.errors import CannotRun
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import IcmpError

BOB = "11.102.0.2"


def test_a_datagram_goes_and_its_answer_comes_back_after_twice_the_delay() -> None:
    async def main(lab: SimLab) -> None:
        server = await udp(lab.network("stun"), STUN, echo=True)
        alice = await udp(lab.network("alice"))
        assert alice.local.host == "11.101.0.2"
        assert alice.send(b"ping", STUN) is None
        assert alice.got == []
        await pass_time(1)
        assert server.got == [(0.04, b"ping", alice.local)]
        assert alice.got == [(0.08, b"ping", STUN)]

    run(open_internet(delay_ms=40), main)


def test_no_handler_runs_inside_send() -> None:
    async def main(lab: SimLab) -> None:
        await udp(lab.network("stun"), STUN, echo=True)
        alice = await udp(lab.network("alice"))
        alice.send(b"ping", STUN)
        assert alice.got == []
        await pass_time(0)
        assert alice.payloads == [b"ping"]

    run(open_internet(), main)


def test_loss_is_as_often_as_said() -> None:
    async def main(lab: SimLab) -> int:
        server = await udp(lab.network("stun"), STUN)
        alice = await udp(lab.network("alice"))
        for _ in range(4000):
            alice.send(b"", STUN)
        await pass_time(1)
        return len(server.got)

    arrived = run(open_internet(loss=0.1), main)
    assert 3600 - 4 * 19 < arrived < 3600 + 4 * 19  # four standard deviations


def test_jitter_stays_in_its_bounds_and_keeps_the_order() -> None:
    async def main(lab: SimLab) -> None:
        server = await udp(lab.network("stun"), STUN)
        alice = await udp(lab.network("alice"))
        delays = []
        for number in range(300):
            began = asyncio.get_running_loop().time()
            alice.send(str(number).encode(), STUN)
            await pass_time(0.1)
            delays.append(server.got[-1][0] - began)
        assert 0.0299 < min(delays) < 0.034
        assert 0.046 < max(delays) < 0.0501
        for number in range(300):
            alice.send(str(number).encode(), STUN)
        await pass_time(1)
        assert server.payloads == [str(number).encode() for number in range(300)] * 2

    run(open_internet(delay_ms=40, jitter_ms=10), main)


def test_reordering_lets_later_packets_pass() -> None:
    async def main(lab: SimLab) -> None:
        server = await udp(lab.network("stun"), STUN)
        alice = await udp(lab.network("alice"))
        sent = [str(number).encode() for number in range(200)]
        for data in sent:
            alice.send(data, STUN)
            await pass_time(0.001)
        await pass_time(1)
        assert sorted(server.payloads, key=int) == sent
        overtaken = sum(int(a) > int(b) for a, b in zip(server.payloads, server.payloads[1:], strict=False))
        assert 10 < overtaken < 70

    run(open_internet(delay_ms=20, reorder=0.2), main)


@pytest.mark.parametrize(("ttl", "offender"), [(1, "10.0.1.1"), (2, "11.1.0.1"), (3, None)])
def test_time_exceeded_comes_from_the_router_where_the_ttl_ends(ttl: int, offender: str | None) -> None:
    async def main(lab: SimLab) -> None:
        server = await udp(lab.network("stun"), STUN)
        alice = await udp(lab.network("alice"))
        alice.send(b"probe", STUN, ttl=ttl)
        await pass_time(1)
        assert [error.offender for error in alice.errors] == ([offender] if offender else [])
        assert len(server.got) == (offender is None)
        for error in alice.errors:
            assert (error.kind, error.icmp_type) == ("time-exceeded", 11)
            assert (error.destination, error.quoted) == (STUN, b"probe")

    run(behind_nat(), main)


def test_a_router_may_be_silent_about_the_ttl() -> None:
    async def main(lab: SimLab) -> None:
        alice = await udp(lab.network("alice"))
        alice.send(b"", STUN, ttl=1)
        alice.send(b"", STUN, ttl=2)
        await pass_time(1)
        assert [error.offender for error in alice.errors] == ["11.1.0.1"]

    run(behind_nat(NatSpec(answers_ttl=False)), main)


def test_a_packet_from_outside_expires_at_the_nat_only_where_it_would_have_gone_in() -> None:
    async def main(lab: SimLab) -> None:
        server = await udp(lab.network("stun"), STUN)
        alice = await udp(lab.network("alice"))
        alice.send(b"open", STUN)
        await pass_time(0.1)
        server.send(b"late", server.sources[0], ttl=2)
        stranger = await udp(lab.network("stun"), STUN_OTHER)
        stranger.send(b"late", server.sources[0], ttl=2)
        await pass_time(0.1)
        assert [error.offender for error in server.errors] == ["11.1.0.2"]
        assert stranger.errors == []
        assert alice.got == []

    run(behind_nat(), main)


def test_a_closed_port_answers_with_icmp() -> None:
    async def main(lab: SimLab) -> None:
        alice = await udp(lab.network("alice"))
        alice.send(b"anyone?", STUN)
        await pass_time(1)
        assert alice.errors == [
            IcmpError(
                kind="port-unreachable",
                icmp_type=3,
                icmp_code=3,
                offender=STUN.host,
                destination=STUN,
                quoted=b"anyone?",
            )
        ]

    run(behind_nat(), main)


def test_private_destinations_are_unreachable_and_unallocated_ones_silent() -> None:
    async def main(lab: SimLab) -> None:
        alice = await udp(lab.network("alice"))
        assert alice.send(b"", Endpoint("10.77.0.1", 9)) is None
        assert alice.send(b"", Endpoint("11.250.0.1", 9)) is None
        await pass_time(10)
        assert [(e.kind, e.offender, e.destination.host) for e in alice.errors] == [
            ("unreachable", "11.101.0.1", "10.77.0.1")
        ]

    run(open_internet(), main)


def test_no_route_is_said_at_once() -> None:
    async def main(lab: SimLab) -> None:
        alice = await udp(lab.network("alice"), family=6)
        assert alice.local.host == "::"
        assert alice.send(b"", Endpoint("2a10:c9::2", 9)) == "unreachable"
        assert alice.send(b"", STUN) == "error"

    run(open_internet(), main)


def test_loopback_and_own_addresses_are_delivered_locally() -> None:
    async def main(lab: SimLab) -> None:
        network = lab.network("alice")
        receiver = await udp(network, port=5000)
        sender = await udp(network)
        sender.send(b"lo", Endpoint("127.0.0.1", 5000))
        sender.send(b"own", Endpoint("11.101.0.2", 5000))
        sender.send(b"closed", Endpoint("127.0.0.1", 5001))
        await pass_time(0)
        assert receiver.got == [
            (0.0, b"lo", Endpoint("127.0.0.1", sender.local.port)),
            (0.0, b"own", sender.local),
        ]
        await pass_time(0)
        assert lab.loop.time() == 0.0

    run(open_internet(delay_ms=100), main)


def test_hosts_behind_one_nat_reach_each_other_directly() -> None:
    async def main(lab: SimLab) -> None:
        alice = await udp(lab.network("alice"))
        carol = await udp(lab.network("carol"), echo=True)
        alice.send(b"hello", carol.local, ttl=1)
        await pass_time(0.1)
        assert carol.got == [(0.005, b"hello", alice.local)]
        assert alice.payloads == [b"hello"]

    run(behind_nat(delay_ms=5), main)


def test_ports_taken_and_addresses_not_here_cannot_be_bound() -> None:
    async def main(lab: SimLab) -> None:
        network = lab.network("alice")
        first = await udp(network, port=4000)
        with pytest.raises(CannotRun, match="in use"):
            await udp(network, port=4000)
        with pytest.raises(CannotRun, match="in use"):
            await udp(network, Endpoint("11.101.0.2", 4000))
        with pytest.raises(CannotRun, match="no address"):
            await udp(network, Endpoint("11.9.9.9", 4000))
        with pytest.raises(CannotRun, match="no interface"):
            await udp(network, interface="wlan0")
        with pytest.raises(CannotRun, match="no IPv6 address"):
            await udp(network, family=6, interface="eth0")
        first.socket.close()
        first.socket.close()
        assert first.send(b"", STUN) == "error"
        await udp(network, Endpoint("11.101.0.2", 4000))
        await udp(network, Endpoint("127.0.0.1", 4000))
        with pytest.raises(CannotRun, match="in use"):
            await udp(network, port=4000)

    run(open_internet(), main)


def test_ephemeral_ports_are_not_used_again_soon() -> None:
    async def main(lab: SimLab) -> None:
        ports = set()
        for _ in range(3000):
            socket = (await udp(lab.network("alice"))).socket
            socket.close()
            ports.add(socket.local.port)
        assert len(ports) == 3000
        assert min(ports) > 32768
        assert max(ports) <= 60999

    run(open_internet(), main)


def test_a_closed_socket_hears_nothing() -> None:
    async def main(lab: SimLab) -> None:
        server = await udp(lab.network("stun"), STUN)
        alice = await udp(lab.network("alice"))
        alice.send(b"early", STUN)
        server.socket.close()
        await pass_time(1)
        assert server.got == []
        assert [error.kind for error in alice.errors] == ["port-unreachable"]

    run(open_internet(), main)


def test_two_interfaces_each_send_from_their_own_address() -> None:
    scenario = Scenario(
        title="two ISPs",
        nat={"second": NatSpec(), "first": NatSpec()},
        host={"alice": HostSpec(behind=("first", "second"), vpn=("second",))},
    )

    async def main(lab: SimLab) -> None:
        network = lab.network("alice")
        server = await udp(lab.network("stun"), STUN, echo=True)
        names = [(interface.name, interface.kind) for interface in network.interfaces()]
        assert names == [("lo", "loopback"), ("eth0", "ethernet"), ("tun1", "vpn")]
        assert [(g.interface, g.address) for g in network.gateways()] == [
            ("eth0", "10.0.2.1"),
            ("tun1", "10.0.1.1"),
        ]
        assert network.route(STUN.host) == ("eth0", "10.0.2.2")
        plain = await udp(network)
        by_interface = await udp(network, interface="tun1")
        by_source = await udp(network, Endpoint("10.0.1.2", 7000))
        for each in (plain, by_interface, by_source):
            each.send(str(each.local).encode(), STUN)
        await pass_time(1)
        assert [source.host for source in server.sources] == ["11.2.0.2", "11.1.0.2", "11.1.0.2"]
        assert [each.local.host for each in (plain, by_interface)] == ["10.0.2.2", "10.0.1.2"]
        assert [each.payloads for each in (plain, by_interface, by_source)] == [
            [str(each.local).encode()] for each in (plain, by_interface, by_source)
        ]

    run(scenario, main)


def test_datagrams_too_big_for_the_path() -> None:
    async def main(lab: SimLab) -> None:
        server = await udp(lab.network("stun"), STUN)
        alice = await udp(lab.network("alice"), dont_fragment=True)
        careless = await udp(lab.network("alice"))
        assert alice.send(bytes(1473), STUN) == "too-big"
        assert alice.send(bytes(1372), STUN) is None
        assert alice.send(bytes(1373), STUN) is None
        assert careless.send(bytes(3000), STUN) is None
        assert careless.send(bytes(70000), STUN) == "too-big"
        await pass_time(1)
        assert sorted(map(len, server.payloads)) == [1372, 3000]
        assert [(e.kind, e.mtu, e.offender) for e in alice.errors] == [("too-big", 1400, "10.0.1.1")]

    run(behind_nat(NatSpec(mtu=1400)), main)


def test_too_big_for_the_inside_is_told_to_the_outside() -> None:
    async def main(lab: SimLab) -> None:
        server = await udp(lab.network("stun"), STUN, dont_fragment=True)
        alice = await udp(lab.network("alice"))
        alice.send(b"open", STUN)
        await pass_time(0.1)
        server.send(bytes(1300), server.sources[0])
        server.send(bytes(1200), server.sources[0])
        await pass_time(0.1)
        assert [len(data) for data in alice.payloads] == [1200]
        assert [(e.kind, e.mtu, e.offender) for e in server.errors] == [("too-big", 1280, "11.1.0.2")]
        assert server.errors[0].destination == server.sources[0]

    run(behind_nat(mtu=1280), main)
