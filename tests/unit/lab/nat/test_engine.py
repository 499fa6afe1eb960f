"""The NAT engine, behaviour by behaviour."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from nattools.lab.nat.engine import Emitted, NatEngine
from nattools.lab.nat.ipv6engines import ipv6_engine
from nattools.lab.nat.portallocation import linux_class
from nattools.lab.scenario import FirewallSpec, NatSpec
from nattools.protocols.packet import ACK, FIN, RST, SYN, Packet

WAN = "11.1.0.2"
ALICE, BOB = "10.0.1.2", "10.0.1.3"
S1, S2 = "11.201.0.2", "11.201.0.3"
EIM, ADM, APDM = "endpoint-independent", "address-dependent", "address-and-port-dependent"

AXIS = [(EIM, True, True), (ADM, True, False), (APDM, False, False)]


def engine(seed: int = 1, **axes: Any) -> NatEngine:
    return NatEngine(
        NatSpec(**axes),
        inside="10.0.1.0/24",
        outside_address=WAN,
        inside_address="10.0.1.1",
        rng=random.Random(seed),
    )


def first_expiry(nat: NatEngine, now: float) -> float:
    """When the next of the live bindings ends if nothing passes any more."""
    return min(binding.expires for binding in nat.bindings(now))


def firewall(**axes: Any) -> NatEngine:
    return NatEngine(
        FirewallSpec(**axes),
        inside="11.151.0.0/24",
        outside_address=WAN,
        inside_address="11.151.0.1",
        rng=random.Random(1),
    )


def udp(source: str, source_port: int, destination: str, destination_port: int) -> Packet:
    return Packet("udp", source, source_port, destination, destination_port, b"x")


def tcp(source: str, source_port: int, destination: str, destination_port: int, flags: int) -> Packet:
    return Packet("tcp", source, source_port, destination, destination_port, flags=flags)


def echo(source: str, identifier: int, destination: str, kind: int = 8) -> Packet:
    return Packet("icmp", source, identifier, destination, identifier, icmp_type=kind)


def only(emitted: Emitted, side: str) -> Packet:
    ((where, packet),) = emitted
    assert where == side
    return packet


def mapped(nat: NatEngine, port: int, remote: str = S1, remote_port: int = 3478, now: float = 0.0) -> int:
    return only(nat.from_inside(udp(ALICE, port, remote, remote_port), now), "outside").source_port


def enters(nat: NatEngine, remote: str, remote_port: int, port: int, now: float = 0.0) -> bool:
    return bool(nat.from_outside(udp(remote, remote_port, WAN, port), now))


def test_translates_there_and_back_without_touching_the_packet_handed_in() -> None:
    nat = engine(allocation="random")
    sent = udp(ALICE, 5000, S1, 3478)
    out = only(nat.from_inside(sent, 0.0), "outside")
    assert (out.source, out.destination, out.destination_port) == (WAN, S1, 3478)
    assert (sent.source, sent.source_port) == (ALICE, 5000)
    back = only(nat.from_outside(udp(S1, 3478, WAN, out.source_port), 0.1), "inside")
    assert (back.source, back.source_port, back.destination, back.destination_port) == (S1, 3478, ALICE, 5000)


@pytest.mark.parametrize(
    ("mapping", "same_address", "other_address"),
    [(EIM, True, True), (ADM, True, False), (APDM, False, False)],
)
@pytest.mark.parametrize("allocation", ["sequential", "random", "block"])
def test_mapping(mapping: str, same_address: bool, other_address: bool, allocation: str) -> None:
    nat = engine(mapping=mapping, allocation=allocation)
    first = mapped(nat, 5000, S1, 3478)
    assert (mapped(nat, 5000, S1, 3479) == first) is same_address
    assert (mapped(nat, 5000, S2, 3478) == first) is other_address
    assert mapped(nat, 5000, S1, 3478) == first


@pytest.mark.parametrize("mapping", [EIM, ADM, APDM])
@pytest.mark.parametrize(
    ("filtering", "other_port", "other_address"),
    [(EIM, True, True), (ADM, True, False), (APDM, False, False)],
)
def test_filtering_does_not_depend_on_mapping(
    mapping: str, filtering: str, other_port: bool, other_address: bool
) -> None:
    nat = engine(mapping=mapping, filtering=filtering, allocation="sequential")
    port = mapped(nat, 5000)
    assert enters(nat, S1, 3478, port)
    assert enters(nat, S1, 3479, port) is other_port
    assert enters(nat, S2, 3478, port) is other_address
    assert not enters(nat, S1, 3478, port + 1)


def test_preserving_keeps_the_port_and_two_hosts_share_it_towards_different_remotes() -> None:
    nat = engine()
    assert mapped(nat, 5000, S1) == 5000
    shared = only(nat.from_inside(udp(BOB, 5000, S2, 3478), 0.0), "outside")
    assert shared.source_port == 5000
    assert only(nat.from_outside(udp(S2, 3478, WAN, 5000), 0.0), "inside").destination == BOB
    assert only(nat.from_outside(udp(S1, 3478, WAN, 5000), 0.0), "inside").destination == ALICE
    collided = only(nat.from_inside(udp(BOB, 5000, S1, 3478), 0.0), "outside")
    assert collided.source_port != 5000
    assert only(nat.from_inside(udp(BOB, 5000, S2, 3479), 0.0), "outside").source_port == 5000


def test_preserving_does_not_share_where_the_filter_is_weaker() -> None:
    nat = engine(filtering=EIM)
    assert mapped(nat, 5000, S1) == 5000
    bobs = only(nat.from_inside(udp(BOB, 5000, S2, 3478), 0.0), "outside").source_port
    assert bobs != 5000
    assert only(nat.from_inside(udp(BOB, 5000, S1, 99), 0.0), "outside").source_port == bobs


def test_sequential_steps_and_foreign_sessions() -> None:
    nat = engine(mapping=APDM, allocation="sequential", step=2, range=(20000, 60000), seed=3)
    ports = [mapped(nat, 5000, S1, remote_port) for remote_port in range(10)]
    assert {b - a for a, b in pairwise(ports)} == {2}
    busy = engine(mapping=APDM, allocation="sequential", step=1, foreign_sessions=3, seed=3)
    ports = [mapped(busy, 5000, S1, remote_port) for remote_port in range(10)]
    assert {b - a for a, b in pairwise(ports)} == {4}


def test_block_allocation_is_aligned_and_per_inside_host() -> None:
    nat = engine(mapping=APDM, allocation="block", block=512)
    alice = {mapped(nat, 5000, S1, port) for port in range(200)}
    bob = {only(nat.from_inside(udp(BOB, 5000, S1, port), 0.0), "outside").source_port for port in range(200)}
    assert len({port // 512 for port in alice}) == len({port // 512 for port in bob}) == 1
    assert not {port // 512 for port in alice} & {port // 512 for port in bob}
    assert len(alice) == 200
    assert max(alice) - min(alice) > 200


def test_a_full_block_drops_new_flows() -> None:
    nat = engine(mapping=APDM, allocation="block", block=16)
    emitted = [nat.from_inside(udp(ALICE, 5000, S1, port), 0.0) for port in range(20)]
    assert [bool(out) for out in emitted] == [True] * 16 + [False] * 4


@pytest.mark.parametrize("port", [100, 511, 512, 700, 1023, 1024, 40000])
def test_random_allocation_keeps_the_class_of_the_port(port: int) -> None:
    nat = engine(mapping=APDM)
    low, high = linux_class(port)
    chosen = [mapped(nat, port, S1, remote_port) for remote_port in range(100)]
    assert all(low <= outside <= high for outside in chosen)
    assert len(set(chosen)) > 80


def test_all_ports_of_a_class_can_be_used() -> None:
    nat = engine(mapping=APDM)
    chosen = {mapped(nat, port, S1) for port in range(600, 1024)}
    assert chosen == set(range(600, 1024))
    assert nat.from_inside(udp(BOB, 600, S1, 3478), 0.0) == []


def test_port_range_and_parity() -> None:
    nat = engine(allocation="random", range=(30000, 30099), parity=True)
    for port in range(5000, 5050):
        outside = mapped(nat, port)
        assert 30000 <= outside <= 30099
        assert outside % 2 == port % 2
    assert nat.bindings(0.0)


def test_binding_ends_after_its_lifetime_and_outbound_refreshes() -> None:
    nat = engine(mapping=APDM, lifetime_s=30.0)
    port = mapped(nat, 5000, now=0.0)
    assert mapped(nat, 5000, now=29.0) == port
    assert enters(nat, S1, 3478, port, now=58.9)
    assert first_expiry(nat, 58.9) == pytest.approx(88.9)
    assert not enters(nat, S1, 3478, port, now=89.0)
    assert mapped(nat, 5000, now=90.0) != port


def test_inbound_need_not_refresh() -> None:
    nat = engine(lifetime_s=30.0, refreshed_by="outbound")
    port = mapped(nat, 5000)
    assert enters(nat, S1, 3478, port, now=20.0)
    assert not enters(nat, S1, 3478, port, now=30.0)


def test_hairpinning_has_the_external_source_and_is_filtered() -> None:
    nat = engine(hairpinning=True)
    a, b = mapped(nat, 5000), mapped(nat, 5001)
    assert nat.from_inside(udp(ALICE, 5000, WAN, b), 0.0) == []
    turned = only(nat.from_inside(udp(ALICE, 5001, WAN, a), 0.0), "inside")
    assert (turned.source, turned.source_port) == (WAN, b)
    assert (turned.destination, turned.destination_port) == (ALICE, 5000)


def test_without_hairpinning_the_router_refuses() -> None:
    nat = engine(filtering=EIM)
    port = mapped(nat, 5000)
    error = only(nat.from_inside(udp(ALICE, 5001, WAN, port), 0.0), "inside")
    assert (error.icmp_type, error.icmp_code, error.source, error.destination) == (3, 3, WAN, ALICE)


def test_input_drop_is_silent_and_open_answers() -> None:
    assert engine().from_outside(udp(S1, 1, WAN, 5000), 0.0) == []
    assert engine().from_outside(tcp(S1, 1, WAN, 5000, SYN), 0.0) == []
    nat = engine(input="open")
    early = udp(S1, 1, WAN, 5000)
    error = only(nat.from_outside(early, 0.0), "outside")
    assert (error.icmp_type, error.icmp_code, error.about) == (3, 3, early)
    reset = only(nat.from_outside(tcp(S1, 1, WAN, 5000, SYN), 0.0), "outside")
    assert (reset.flags, reset.ack, reset.source_port, reset.destination) == (RST | ACK, 1, 5000, S1)
    assert nat.from_outside(tcp(S1, 1, WAN, 5000, RST), 0.0) == []
    assert only(nat.from_outside(echo(S1, 7, WAN), 0.0), "outside").icmp_type == 0


def test_an_early_packet_takes_the_port_for_its_own_tuple_only() -> None:
    nat = engine(input="open")
    assert mapped(nat, 2222, S1) == 2222
    nat.from_outside(udp(S2, 4444, WAN, 2222), 0.0)
    moved = mapped(nat, 2222, S2, 4444, now=0.1)
    assert moved != 2222
    assert mapped(nat, 2222, S2, 4445, now=0.1) == 2222
    assert mapped(nat, 2222, S2, 4444, now=0.2) == moved
    assert enters(nat, S2, 4444, moved, now=0.3)
    answer = only(nat.from_outside(udp(S2, 4444, WAN, 2222), 0.3), "outside")
    assert answer.about is not None


def test_an_early_packet_poisons_also_a_port_not_yet_in_use_until_it_is_forgotten() -> None:
    nat = engine(input="open")
    nat.from_outside(udp(S1, 3478, WAN, 2222), 0.0)
    assert mapped(nat, 2222, S1, 3478, now=1.0) != 2222
    fresh = engine(input="open")
    fresh.from_outside(udp(S1, 3478, WAN, 2222), 0.0)
    assert mapped(fresh, 2222, S1, 3478, now=180.0) == 2222


def test_dropped_early_packets_do_no_harm() -> None:
    nat = engine()
    nat.from_outside(udp(S1, 3478, WAN, 2222), 0.0)
    assert mapped(nat, 2222, S1, 3478) == 2222


def test_blocked_udp_and_closed_ports() -> None:
    assert engine(udp="blocked").from_inside(udp(ALICE, 1, S1, 53), 0.0) == []
    assert engine(udp="blocked").from_inside(tcp(ALICE, 1, S1, 443, SYN), 0.0)
    nat = engine(open_ports=("tcp/443", "udp/53"))
    assert nat.from_inside(tcp(ALICE, 1, S1, 443, SYN), 0.0)
    assert nat.from_inside(udp(ALICE, 1, S1, 53), 0.0)
    assert nat.from_inside(udp(ALICE, 1, S1, 443), 0.0) == []
    assert nat.from_inside(tcp(ALICE, 1, S1, 80, SYN), 0.0) == []
    assert nat.from_inside(echo(ALICE, 1, S1), 0.0)


def test_session_limit_and_room_after_expiry() -> None:
    nat = engine(session_limit=2, lifetime_s=10.0)
    assert [bool(nat.from_inside(udp(ALICE, port, S1, 1), 0.0)) for port in (1, 2, 3)] == [True, True, False]
    assert nat.from_inside(udp(ALICE, 3, S1, 1), 11.0)


# --- TCP


def handshake(nat: NatEngine, port: int, now: float) -> int:
    out = only(nat.from_inside(tcp(ALICE, port, S1, 80, SYN), now), "outside")
    assert nat.from_outside(tcp(S1, 80, WAN, out.source_port, SYN | ACK), now)
    assert nat.from_inside(tcp(ALICE, port, S1, 80, ACK), now)
    return out.source_port


def test_tcp_lifetimes() -> None:
    nat = engine()
    port = handshake(nat, 5000, 0.0)
    assert nat.from_outside(tcp(S1, 80, WAN, port, ACK), 7000.0)
    half_open = engine()
    out = only(half_open.from_inside(tcp(ALICE, 5000, S1, 80, SYN), 0.0), "outside")
    assert half_open.from_outside(tcp(S1, 80, WAN, out.source_port, SYN | ACK), 239.0)
    assert not half_open.from_outside(tcp(S1, 80, WAN, out.source_port, SYN | ACK), 500.0)


def test_tcp_closing_shortens_the_lifetime() -> None:
    nat = engine()
    port = handshake(nat, 5000, 0.0)
    nat.from_inside(tcp(ALICE, 5000, S1, 80, FIN | ACK), 1.0)
    assert nat.from_outside(tcp(S1, 80, WAN, port, ACK), 300.0), "half closed connections live on"
    nat.from_outside(tcp(S1, 80, WAN, port, FIN | ACK), 301.0)
    assert nat.from_inside(tcp(ALICE, 5000, S1, 80, ACK), 302.0)
    assert first_expiry(nat, 302.0) == pytest.approx(542.0)


def test_tcp_reset_ends_the_flow() -> None:
    nat = engine()
    port = handshake(nat, 5000, 0.0)
    assert nat.from_outside(tcp(S1, 80, WAN, port, RST), 1.0)
    assert nat.from_outside(tcp(S1, 80, WAN, port, ACK), 10.9)
    assert not nat.from_outside(tcp(S1, 80, WAN, port, ACK), 11.1)


def test_a_refused_attempt_leaves_no_door_and_the_next_one_opens_it_again() -> None:
    nat = engine()
    assert nat.from_inside(tcp(ALICE, 5000, S1, 80, SYN), 0.0)
    assert nat.from_outside(tcp(S1, 80, WAN, 5000, RST | ACK), 0.1)
    assert not nat.from_outside(tcp(S1, 80, WAN, 5000, SYN), 0.2)
    assert nat.from_inside(tcp(ALICE, 5000, S1, 80, SYN), 0.3)
    assert nat.from_outside(tcp(S1, 80, WAN, 5000, SYN), 0.4)


def test_tcp_simultaneous_open() -> None:
    nat = engine()
    assert nat.from_inside(tcp(ALICE, 5000, S1, 80, SYN), 0.0)
    assert only(nat.from_outside(tcp(S1, 80, WAN, 5000, SYN), 0.1), "inside").flags == SYN
    assert nat.from_inside(tcp(ALICE, 5000, S1, 80, SYN | ACK), 0.2)
    assert nat.from_outside(tcp(S1, 80, WAN, 5000, ACK), 0.3)
    assert nat.sessions(0.3)[0].established


def test_tcp_inbound_connection_through_a_weak_filter() -> None:
    nat = engine(filtering=EIM)
    port = handshake(nat, 5000, 0.0)
    assert only(nat.from_outside(tcp(S2, 1, WAN, port, SYN), 1.0), "inside").destination == ALICE
    assert nat.from_inside(tcp(ALICE, 5000, S2, 1, SYN | ACK), 1.1)
    assert nat.from_outside(tcp(S2, 1, WAN, port, ACK), 1.2)
    assert not nat.from_outside(tcp(S2, 2, WAN, port, ACK), 1.2)


def test_tcp_begins_with_a_syn() -> None:
    assert engine().from_inside(tcp(ALICE, 5000, S1, 80, ACK), 0.0) == []


def test_a_closed_connection_may_be_opened_again_from_inside_only() -> None:
    nat = engine()
    port = handshake(nat, 5000, 0.0)
    nat.from_inside(tcp(ALICE, 5000, S1, 80, FIN | ACK), 1.0)
    nat.from_outside(tcp(S1, 80, WAN, port, FIN | ACK), 1.1)
    assert not nat.from_outside(tcp(S1, 80, WAN, port, SYN), 2.0)
    assert handshake(nat, 5000, 3.0) == port
    assert nat.sessions(3.0)[0].established


# --- ICMP


def test_echo_identifiers_are_mapped() -> None:
    nat = engine(mapping=APDM)
    out = only(nat.from_inside(echo(ALICE, 7, S1), 0.0), "outside")
    assert (out.source, out.source_port) == (WAN, out.destination_port)
    back = only(nat.from_outside(echo(S1, out.source_port, WAN, kind=0), 0.1), "inside")
    assert (back.destination, back.source_port, back.destination_port) == (ALICE, 7, 7)
    assert nat.from_outside(echo(S1, out.source_port, WAN, kind=8), 0.1) == []
    assert nat.from_outside(echo(S1, out.source_port, WAN, kind=0), 61.0) == []


def time_exceeded(about: Packet, to: str) -> Packet:
    return Packet("icmp", "11.9.9.9", 0, to, 0, icmp_type=11, about=about)


def test_errors_are_translated_with_what_they_quote() -> None:
    nat = engine(allocation="random")
    out = only(nat.from_inside(udp(ALICE, 5000, S1, 3478), 0.0), "outside")
    error = only(nat.from_outside(time_exceeded(out, WAN), 0.1), "inside")
    assert (error.source, error.destination, error.icmp_type) == ("11.9.9.9", ALICE, 11)
    assert error.about is not None
    assert (error.about.source, error.about.source_port) == (ALICE, 5000)
    assert (error.about.destination, error.about.destination_port) == (S1, 3478)
    assert first_expiry(nat, 0.1) == pytest.approx(180.0), "an error refreshes nothing"
    stranger = udp(WAN, out.source_port, S2, 3478)
    assert nat.from_outside(time_exceeded(stranger, WAN), 0.1) == []


def test_errors_about_echo_requests_carry_the_inside_identifier() -> None:
    nat = engine(mapping=APDM)
    out = only(nat.from_inside(echo(ALICE, 7, "3.3.3.3"), 0.0), "outside")
    error = only(nat.from_outside(time_exceeded(out, WAN), 0.1), "inside")
    assert error.about is not None
    assert (error.about.source, error.about.source_port, error.about.destination_port) == (ALICE, 7, 7)


def test_errors_from_inside_are_translated() -> None:
    nat = engine(allocation="random")
    port = mapped(nat, 5000)
    got = only(nat.from_outside(udp(S1, 3478, WAN, port), 0.0), "inside")
    refusal = Packet("icmp", ALICE, 0, S1, 0, icmp_type=3, icmp_code=3, about=got)
    error = only(nat.from_inside(refusal, 0.1), "outside")
    assert error.source == WAN
    assert error.about is not None
    assert (error.about.destination, error.about.destination_port) == (WAN, port)
    unknown = Packet("icmp", BOB, 0, S1, 0, icmp_type=3, about=udp(S1, 3478, BOB, 9))
    assert nat.from_inside(unknown, 0.1) == []


@pytest.mark.parametrize("ends", [False, True])
def test_req_12_and_its_violation(ends: bool) -> None:
    nat = engine(icmp_ends_mapping=ends)
    out = only(nat.from_inside(udp(ALICE, 5000, S1, 3478), 0.0), "outside")
    assert nat.from_outside(time_exceeded(out, WAN), 0.1)
    assert enters(nat, S1, 3478, out.source_port, now=0.2) is not ends


# --- without translation


@pytest.mark.parametrize(
    ("filtering", "other_port", "other_address"),
    [(EIM, True, True), (ADM, True, False), (APDM, False, False)],
)
def test_firewall(filtering: str, other_port: bool, other_address: bool) -> None:
    wall = firewall(filtering=filtering)
    host = "11.151.0.2"
    assert wall.from_outside(udp(S1, 3478, host, 5000), 0.0) == []
    assert only(wall.from_inside(udp(host, 5000, S1, 3478), 0.0), "outside").source == host
    assert wall.from_outside(udp(S1, 3478, host, 5000), 0.0)
    assert bool(wall.from_outside(udp(S1, 3479, host, 5000), 0.0)) is other_port
    assert bool(wall.from_outside(udp(S2, 3478, host, 5000), 0.0)) is other_address
    assert wall.from_outside(udp(S2, 3478, host, 5001), 0.0) == []
    assert wall.from_outside(udp(S2, 3478, WAN, 5001), 0.0) == []


def test_ipv6_firewall_and_open_door() -> None:
    host, remote, wan = "2a10:1:0:1::2", "2a10:c9::2", "2a10:1::2"
    sides = {
        "inside": "2a10:1:0:1::/64",
        "outside_address": wan,
        "inside_address": "2a10:1:0:1::1",
        "rng": random.Random(1),
    }
    wall = ipv6_engine(NatSpec(ipv6="firewall"), **sides)  # type: ignore[arg-type]
    assert wall.from_outside(udp(remote, 1, host, 2), 0.0) == []
    assert only(wall.from_inside(udp(host, 2, remote, 1), 0.0), "outside").source == host
    assert wall.from_outside(udp(remote, 1, host, 2), 0.0)
    assert wall.from_inside(echo(host, 5, remote, kind=128), 0.0)
    assert wall.from_outside(echo(remote, 5, host, kind=129), 0.0)
    door = ipv6_engine(NatSpec(ipv6="open"), **sides)  # type: ignore[arg-type]
    assert door.from_outside(udp(remote, 1, host, 2), 0.0)
    assert door.from_outside(udp(remote, 1, wan, 2), 0.0) == []
    limited = ipv6_engine(NatSpec(ipv6="open", udp="blocked"), **sides)  # type: ignore[arg-type]
    assert limited.from_inside(udp(host, 2, remote, 1), 0.0) == []
    assert limited.from_outside(udp(remote, 1, host, 2), 0.0)
    assert limited.from_inside(udp(host, 2, remote, 1), 0.0)
