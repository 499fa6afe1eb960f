"""RFC 4787's requirements as invariants of the NAT engine, over arbitrary traffic."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from nattools.lab.nat.engine import NatEngine
from nattools.lab.nat.portallocation import allocation_of
from nattools.lab.scenario import Behaviour, NatSpec
from nattools.protocols.packet import Packet

WAN = "11.1.0.2"
INSIDE = ("10.0.1.2", "10.0.1.3")
REMOTES = ("11.201.0.2", "11.201.0.3", "11.101.0.2")
BEHAVIOURS = get_args(Behaviour)

specs = st.builds(
    NatSpec,
    mapping=st.sampled_from(BEHAVIOURS),
    filtering=st.sampled_from(BEHAVIOURS),
    allocation=st.sampled_from(["preserving", "sequential", "random", "block", None]),
    block=st.sampled_from([16, 32]),
    step=st.integers(1, 3),
    range=st.sampled_from([None, (30000, 30063)]),
    parity=st.booleans(),
    hairpinning=st.booleans(),
    lifetime_s=st.sampled_from([10.0, 60.0]),
    refreshed_by=st.sampled_from(["outbound", "both"]),
    input=st.sampled_from(["drop", "open"]),
    foreign_sessions=st.integers(0, 2),
)
step = st.tuples(
    st.sampled_from(["out", "in"]),
    st.sampled_from(INSIDE),
    st.sampled_from([5000, 5001, 5002]),
    st.sampled_from(REMOTES),
    st.sampled_from([3478, 3479]),
    st.sampled_from([0.0, 0.0, 1.0, 9.0, 30.0]),
)
traffic = st.lists(step, max_size=40)


class Watched:
    """An engine, and beside it an independent account of what RFC 4787 lets it do."""

    def __init__(self, spec: NatSpec) -> None:
        self.spec = spec
        self.now = 0.0
        self.nat = NatEngine(
            spec,
            inside="10.0.1.0/24",
            outside_address=WAN,
            inside_address="10.0.1.1",
            rng=random.Random(7),
        )
        # (inside endpoint, outside port, remote) and when it last went out or (if that counts) in
        self.refreshed: dict[tuple[tuple[str, int], int, tuple[str, int]], float] = {}

    def alive(self) -> list[tuple[tuple[str, int], int, tuple[str, int]]]:
        return [key for key, at in self.refreshed.items() if at + self.spec.lifetime_s > self.now]

    def send(self, inside: tuple[str, int], remote: tuple[str, int]) -> int | None:
        emitted = self.nat.from_inside(Packet("udp", *inside, *remote), self.now)
        if not emitted:
            return None
        ((side, packet),) = emitted
        assert side == "outside"
        assert packet.source == WAN
        assert (packet.destination, packet.destination_port) == remote
        self.refreshed[(inside, packet.source_port, remote)] = self.now
        return packet.source_port

    def receive(self, port: int, remote: tuple[str, int]) -> tuple[str, int] | None:
        emitted = self.nat.from_outside(Packet("udp", *remote, WAN, port), self.now)
        entered = [packet for side, packet in emitted if side == "inside"]
        if not entered:
            return None
        inside = (entered[0].destination, entered[0].destination_port)
        if self.spec.refreshed_by == "both":
            for key in self.admitting(port, remote):
                self.refreshed[key] = self.now
        return inside

    def admitting(
        self, port: int, remote: tuple[str, int]
    ) -> list[tuple[tuple[str, int], int, tuple[str, int]]]:
        """The live sessions that, by the filtering behaviour, open this port to this remote endpoint."""
        depth = BEHAVIOURS.index(self.spec.filtering)
        return [key for key in self.alive() if key[1] == port and key[2][:depth] == remote[:depth]]


def play(spec: NatSpec, steps: list[Any]) -> Any:
    """Run the traffic; yields the world after each packet with what became of it."""
    world = Watched(spec)
    ports: list[int] = [5000]
    for direction, host, port, remote, remote_port, pause in steps:
        world.now += pause
        if direction == "out":
            before = world.alive()
            outside = world.send((host, port), (remote, remote_port))
            if outside is not None:
                ports.append(outside)
            yield world, "out", (host, port), (remote, remote_port), outside, before
        else:
            target = ports[(port + remote_port) % len(ports)]
            admitting = world.admitting(target, (remote, remote_port))
            inside = world.receive(target, (remote, remote_port))
            yield world, "in", inside, (remote, remote_port), target, admitting


@given(specs, traffic)
@settings(deadline=None, max_examples=60)
def test_the_filter_lets_in_what_its_axis_allows_and_nothing_else(spec: NatSpec, steps: list[Any]) -> None:
    """REQ-8, and REQ-5 and REQ-6 for the time that it holds."""
    for _, direction, inside, _, _, admitting in play(spec, steps):
        if direction == "in":
            assert (inside is not None) == bool(admitting)
            if inside is not None:
                assert inside in {key[0] for key in admitting}


@given(specs, traffic)
@settings(deadline=None, max_examples=60)
def test_a_live_mapping_is_reused_as_its_axis_says(spec: NatSpec, steps: list[Any]) -> None:
    """REQ-1 and its weaker kin. Linux alone, which keeps the port until flows collide, may deviate."""
    if allocation_of(spec) == "preserving" and spec.mapping == "endpoint-independent":
        return
    depth = BEHAVIOURS.index(spec.mapping)
    for _, direction, inside, remote, outside, before in play(spec, steps):
        if direction == "out" and outside is not None:
            same = {key[1] for key in before if key[0] == inside and key[2][:depth] == remote[:depth]}
            assert same <= {outside}


@given(specs, traffic)
@settings(deadline=None, max_examples=60)
def test_no_two_inside_endpoints_share_a_port(spec: NatSpec, steps: list[Any]) -> None:
    """REQ-3: no overloading. Where Linux overloads, the flows differ in their remote endpoint."""
    for world, direction, *_ in play(spec, steps):
        if direction != "out":
            continue
        owners: dict[Any, tuple[str, int]] = {}
        for inside, outside, remote in world.alive():
            key = (outside, remote) if world.nat._overloads else outside
            assert owners.setdefault(key, inside) == inside


@given(specs, traffic)
@settings(deadline=None, max_examples=60)
def test_ports_stay_in_range_block_and_parity(spec: NatSpec, steps: list[Any]) -> None:
    """REQ-4 for the parity."""
    allocation = allocation_of(spec)
    blocks: dict[str, int] = {}
    for _, direction, inside, _, outside, _ in play(spec, steps):
        if direction != "out" or outside is None:
            continue
        low, high = spec.range or (1024, 65535)
        assert low <= outside <= high
        if spec.parity:
            assert outside % 2 == inside[1] % 2
        if allocation == "block":
            assert blocks.setdefault(inside[0], outside // spec.block) == outside // spec.block


@given(st.integers(1, 5), st.integers(0, 3), st.integers(2, 40))
@settings(deadline=None, max_examples=60)
def test_sequential_allocation_steps(stride: int, foreign: int, count: int) -> None:
    spec = NatSpec(
        mapping="address-and-port-dependent", allocation="sequential", step=stride, foreign_sessions=foreign
    )
    world = Watched(spec)
    ports = [world.send((INSIDE[0], 5000), (REMOTES[0], port)) for port in range(1, count)]
    span = 65535 - 1024 + 1
    for first, second in pairwise(ports):
        assert first is not None
        assert second is not None
        assert (second - first) % span == stride * (1 + foreign)


@given(specs, traffic)
@settings(deadline=None, max_examples=60)
def test_hairpinned_packets_have_the_external_source(spec: NatSpec, steps: list[Any]) -> None:
    """REQ-9."""
    for world, *_ in play(spec, steps):
        for inside, outside, _ in world.alive()[:2]:
            sent = Packet("udp", "10.0.1.9", 7000, WAN, outside)
            for side, packet in world.nat.from_inside(sent, world.now):
                assert side == "inside"
                if packet.protocol == "udp":
                    assert spec.hairpinning
                    assert packet.source == WAN
                    assert (packet.destination, packet.destination_port) == inside
                else:
                    assert packet.destination == "10.0.1.9"
