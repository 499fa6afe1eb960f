"""The userspace router: one hop, with the right addresses and checksums, around any NAT engine."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from nattools.lab.impairment import BurstSpec, Impairment
from nattools.lab.layout import plan
from nattools.lab.nat.engine import NatEngine
from nattools.lab.netns.userspace import (
    Forwarder,
    FrameLoop,
    fragments,
    inside_nodes,
    join,
    sender,
    userspace_router,
)
from nattools.lab.netns.wiring import NOWHERE, WIRES, Cable, wire_up
from nattools.lab.scenario import INTERNET, HostSpec, NatSpec, Scenario, ServerSpec
from nattools.protocols import ip
from nattools.protocols.packet import Packet

HOST, SERVER = "10.0.1.2", "11.201.0.2"


def scenario_of(spec: NatSpec) -> Scenario:
    return Scenario(
        title="one home",
        nat={"home": spec},
        host={"alice": HostSpec(behind="home")},
    )


class Rig:
    """A forwarder with what it sent, as (side, destination hardware address, packet)."""

    def __init__(self, spec: NatSpec) -> None:
        layout = plan(scenario_of(spec))
        self.wiring = wire_up(layout)
        self.router = userspace_router(layout, self.wiring, "home", spec)
        engine = NatEngine(
            spec,
            inside=self.router.inside_network,
            outside_address=self.router.outside.address,
            inside_address=self.router.inside.address,
            rng=random.Random(1),
        )
        self.sent: list[tuple[str, str, Packet]] = []
        self.forwarder = Forwarder(
            self.router,
            engine,
            {"inside": lambda f: self._note("inside", f), "outside": lambda f: self._note("outside", f)},
        )

    def _note(self, side: str, frame: bytes) -> None:
        assert frame[12:14] == b"\x08\x00"
        self.sent.append((side, frame[:6].hex(":"), ip.parse(frame[14:])))

    def inside(self, packet: Packet) -> None:
        self.forwarder.receive("inside", bytes(12) + b"\x08\x00" + ip.build(packet), 0.0)

    def outside(self, packet: Packet) -> None:
        self.forwarder.receive("outside", bytes(12) + b"\x08\x00" + ip.build(packet), 0.0)


def question(ttl: int = 64) -> Packet:
    return Packet("udp", HOST, 4000, SERVER, 3478, b"question", ttl=ttl)


def test_a_packet_leaves_translated_one_hop_on_towards_the_gateway() -> None:
    rig = Rig(NatSpec())
    rig.inside(question())
    [(side, mac, packet)] = rig.sent
    assert (side, mac) == ("outside", rig.wiring.mac("internet", "to-home"))
    assert (packet.source, packet.source_port, packet.ttl) == ("11.1.0.2", 4000, 63)


def test_the_answer_goes_to_the_host_one_hop_on() -> None:
    rig = Rig(NatSpec())
    rig.inside(question())
    rig.outside(Packet("udp", SERVER, 3478, "11.1.0.2", 4000, b"answer", ttl=64))
    side, mac, packet = rig.sent[-1]
    assert (side, mac) == ("inside", rig.wiring.mac("alice", "eth0"))
    assert (packet.destination, packet.destination_port, packet.ttl) == (HOST, 4000, 63)


def test_time_exceeded_comes_from_the_side_where_the_packet_came_in() -> None:
    rig = Rig(NatSpec())
    rig.inside(question(ttl=1))
    [(side, _, error)] = rig.sent
    assert (side, error.source, error.destination) == ("inside", "10.0.1.1", HOST)
    about = error.about
    assert about is not None
    assert about.checksum == ip.udp_checksum(question())
    assert (error.icmp_type, replace(about, checksum=None)) == (11, question(ttl=1))
    rig.inside(question())
    rig.outside(Packet("udp", SERVER, 3478, "11.1.0.2", 4000, b"answer", ttl=1))
    side, _, error = rig.sent[-1]
    assert (side, error.source, error.destination, error.icmp_type) == ("outside", "11.1.0.2", SERVER, 11)


def test_a_router_may_keep_silent_about_the_ttl() -> None:
    rig = Rig(NatSpec(answers_ttl=False))
    rig.inside(question(ttl=1))
    assert rig.sent == []


def test_a_hairpinned_packet_is_one_hop_on_too() -> None:
    rig = Rig(NatSpec(hairpinning=True, filtering="endpoint-independent"))
    rig.inside(Packet("udp", HOST, 5000, SERVER, 3478, b"open"))
    rig.inside(Packet("udp", HOST, 4000, "11.1.0.2", 5000, b"hairpin", ttl=9))
    side, _, packet = rig.sent[-1]
    assert (side, packet.destination_port, packet.payload, packet.ttl) == ("inside", 5000, b"hairpin", 8)


def test_a_packet_too_big_for_the_other_side_is_answered_with_its_mtu() -> None:
    rig = Rig(NatSpec(mtu=1280))
    big = Packet("udp", HOST, 4000, SERVER, 3478, bytes(1400), dont_fragment=True)
    rig.inside(big)
    [(side, _, error)] = rig.sent
    assert (side, error.icmp_type, error.icmp_code, error.icmp_rest) == ("inside", 3, 4, 1280)
    assert error.about is not None
    assert error.about.source == HOST


def test_a_packet_too_big_that_may_be_fragmented_is() -> None:
    whole = ip.build(Packet("udp", HOST, 4000, SERVER, 3478, bytes(range(256)) * 5))
    pieces = fragments(whole, 576, 7)
    assert all(len(piece) <= 576 and ip.checksum(piece[:20]) == 0 for piece in pieces)
    assert b"".join(piece[20:] for piece in pieces) == whole[20:]
    places = [int.from_bytes(piece[6:8], "big") for piece in pieces]
    assert [place & 0x1FFF for place in places] == [0, 69, 138]
    assert [bool(place & 0x2000) for place in places] == [True, True, False]


@pytest.mark.parametrize("destination", ["10.0.1.1", "224.0.0.251", "255.255.255.255"])
def test_what_is_for_the_kernel_or_a_group_is_left_alone(destination: str) -> None:
    rig = Rig(NatSpec())
    rig.inside(Packet("udp", HOST, 4000, destination, 1900, b"x"))
    assert rig.sent == []


@pytest.mark.parametrize("frame", [b"", bytes(14), bytes(40), bytes(12) + b"\x08\x00" + b"\x45" * 20])
def test_garbage_is_dropped(frame: bytes) -> None:
    rig = Rig(NatSpec())
    rig.forwarder.receive("outside", frame, 0.0)
    assert rig.sent == []


def test_an_impaired_uplink_passes_through_the_namespace_of_wires() -> None:
    layout = plan(scenario_of(NatSpec(delay_ms=10)))
    wiring = wire_up(layout)
    [wire] = wiring.wires
    assert (wire.left.node, wire.right.node, wire.impairment.delay_ms) == (WIRES, WIRES, 10)
    assert len(wiring.devices(WIRES)) == 2
    assert (
        Cable(wiring.devices("home")[-1], wire.left) in wiring.cables
    )  # the router's own end is the left one


def test_a_shared_segment_is_a_bridge_on_the_router() -> None:
    scenario = Scenario(
        title="a household",
        nat={"home": NatSpec()},
        host={name: HostSpec(behind="home") for name in ("alice", "bob", "carol")},
        server={"stun": ServerSpec()},
    )
    wiring = wire_up(plan(scenario))
    bridges = [(bridge.node, bridge.name) for bridge in wiring.bridges]
    assert bridges == [("home", "lan0"), (INTERNET, NOWHERE)]
    plugs = [device for device in wiring.devices("home") if device.bridge == "lan0"]
    assert len(plugs) == 3
    macs = [device.mac for cable in wiring.cables for device in (cable.left, cable.right)]
    assert len(set(macs)) == len(macs)
    assert inside_nodes(scenario, "home") == 3


def test_every_neighbour_is_known_beforehand() -> None:
    layout = plan(scenario_of(NatSpec()))
    wiring = wire_up(layout)
    known = {(n.node, n.ip): n.mac for n in wiring.neighbours}
    assert known["alice", "10.0.1.1"] == wiring.mac("home", "lan0")
    assert known["internet", "11.1.0.2"] == wiring.mac("home", "wan0")


# --- the loop over packet sockets, with a fake socket


class Stopped(Exception):  # noqa: N818 -- it is no error
    """Ends a loop that runs for ever."""


class PacketSocket:
    """Gives the frames that it is told of, and notes what is sent; the frame "stop" ends the loop. `read` is
    called once all have been read."""

    def __init__(self, *arriving: tuple[bytes, str]) -> None:
        self.ours, self._wakes = socket.socketpair()
        self._wakes.send(b"1")
        self.arriving = list(arriving)
        self.read: Callable[[], None] | None = None
        self.sent: list[tuple[bytes, str]] = []

    def fileno(self) -> int:
        return self.ours.fileno()

    def recvfrom(self, size: int) -> tuple[bytes, tuple[Any, ...]]:
        if not self.arriving:
            read, self.read = self.read, None
            if read is not None:
                read()
            raise BlockingIOError
        frame, device = self.arriving.pop(0)
        return frame, (device, 0x0800, 0)

    def sendto(self, frame: bytes, address: tuple[str, int]) -> None:
        if address[0] == "down":
            raise OSError
        self.sent.append((frame, address[0]))
        if frame == b"stop":
            raise Stopped

    def close(self) -> None:
        self.ours.close()
        self._wakes.close()


def carried(impairment: Impairment, *frames: bytes) -> tuple[list[bytes], float]:
    """What comes out at the other end of an impaired wire, and in how many seconds. The way back is whole."""
    sock: Any = PacketSocket(*((frame, "left") for frame in frames), (b"elsewhere", "nowhere"))
    loop = FrameLoop()
    join(loop, sock, "left", "right", impairment, random.Random(3))
    began = time.monotonic()

    def read() -> None:  # however late they were read, all of them are due before this
        now = time.monotonic()
        loop.later(now + 0.08, sender(sock, "down"), b"lost as on a link that is down")
        loop.later(now + 0.1, sender(sock, "right"), b"stop")

    sock.read = read
    with pytest.raises(Stopped):
        loop.run()
    loop.close()
    assert {device for _, device in sock.sent} == {"right"}
    return [frame for frame, _ in sock.sent[:-1]], time.monotonic() - began


FRAMES = [bytes([number]) for number in range(40)]


def test_a_wire_delays_and_keeps_the_order() -> None:
    out, seconds = carried(Impairment(delay_ms=10, jitter_ms=20), *FRAMES)
    assert out == FRAMES
    assert seconds >= 0.1


def test_a_wire_with_a_bounded_rate_drops_what_its_queue_cannot_hold() -> None:
    frames = [bytes([number]) + bytes(1013) for number in range(40)]  # an IP packet of 1000 bytes each
    out, _ = carried(Impairment(rate_mbps=1, rate_up_mbps=8, queue_ms=9.5), *frames)
    assert out[:10] == frames[:10]  # the first leaves after 1 ms, the tenth has waited for 9 ms
    assert out == sorted(out)
    assert len(out) < 40


def test_a_wire_in_its_bad_state_loses_everything() -> None:
    out, _ = carried(Impairment(bursts=BurstSpec(good_s=1e-6, bad_s=1e6)), *FRAMES)
    assert out == []


def test_a_wire_loses_and_reorders() -> None:
    lossy, _ = carried(Impairment(loss=0.5), *FRAMES)
    assert 5 < len(lossy) < 35
    assert lossy == sorted(lossy)
    mixed, _ = carried(Impairment(reorder=0.5), *FRAMES)
    assert sorted(mixed) == FRAMES
    assert mixed != FRAMES
