"""What is on its way at most, by hand and over a path that loses packets at random."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicSentPacket
from aioquic.tls import Epoch
from linked import both, narrow_paths, quic_links, read_exactly
from simulated import open_internet, run

from nattools.lab.sim.lab import SimLab
from nattools.traversal.congestion import CongestionControl

SIZE = 1200
RTT_S = 0.1


class Path:
    """One that is emptied at `bytes_per_s`, with the sender's window on it; each `round` is a round trip."""

    def __init__(self, bytes_per_s: float) -> None:
        self.control = CongestionControl(max_datagram_size=SIZE)
        self.bytes_per_s = bytes_per_s
        self.now = 10.0
        self._number = 0

    def round(self, *, lost: int = 0) -> None:
        """A window is sent, and comes to be acknowledged, the first packets of it lost."""
        sent = [self._packet() for _ in range(self.control.congestion_window // SIZE)]
        takes_s = max(RTT_S, len(sent) * SIZE / self.bytes_per_s)
        for place, packet in enumerate(sent[lost:], 1):
            self.control.on_packet_acked(now=self.now + takes_s * place / len(sent), packet=packet)
        self.now += takes_s
        self.control.on_rtt_measurement(now=self.now, rtt=takes_s)
        if lost:
            self.control.on_packets_lost(now=self.now, packets=sent[:lost])

    def _packet(self) -> QuicSentPacket:
        self._number += 1
        packet = QuicSentPacket(
            epoch=Epoch.ONE_RTT,
            in_flight=True,
            is_ack_eliciting=True,
            is_crypto_packet=False,
            packet_number=self._number,
            packet_type=QuicPacketType.ONE_RTT,
            sent_time=self.now,
            sent_bytes=SIZE,
        )
        self.control.on_packet_sent(packet=packet)
        return packet


def steady(window: int, bytes_per_s: float) -> Path:
    """With a constant window, for long enough to know what the path carries."""
    path = Path(bytes_per_s)
    for _ in range(40):
        path.control.congestion_window = path.control.ssthresh = window
        path.round()
    path.control.congestion_window = window
    return path


def test_a_loss_without_a_queue_costs_little() -> None:
    path = steady(100 * SIZE, 1e9)
    path.round(lost=1)
    assert 90 * SIZE <= path.control.congestion_window <= 100 * SIZE


def test_a_loss_with_a_queue_empties_it() -> None:
    path = steady(100 * SIZE, 1e9)
    path.bytes_per_s = 80 * SIZE / RTT_S  # a fifth of the window now waits
    for _ in range(40):
        path.control.congestion_window = 100 * SIZE
        path.round()
    path.control.congestion_window = 100 * SIZE
    path.round(lost=1)
    assert path.control.congestion_window == pytest.approx(80 * SIZE, rel=0.1)


def test_it_is_never_less_than_half_and_once_a_round_trip() -> None:
    path = steady(100 * SIZE, 1e9)
    path.bytes_per_s = 10 * SIZE / RTT_S
    for _ in range(40):
        path.control.congestion_window = 100 * SIZE
        path.round()
    path.control.congestion_window = 100 * SIZE
    path.round(lost=3)
    assert path.control.congestion_window == 50 * SIZE


@pytest.mark.parametrize("forgotten", [True, False])
def test_without_a_measurement_the_window_is_halved(forgotten: bool) -> None:
    path = steady(100 * SIZE, 1e9) if forgotten else Path(1e9)
    path.control.new_path(path.now)
    path.now += 1.0
    path.control.congestion_window = 100 * SIZE
    packet = path._packet()
    path.control.on_packets_lost(now=path.now, packets=[packet])
    assert path.control.congestion_window == 50 * SIZE


def test_a_pause_is_not_taken_for_a_slow_path() -> None:
    path = steady(100 * SIZE, 1e9)
    path.now += 60.0
    path.round()
    path.round()
    path.round(lost=1)
    assert path.control.congestion_window >= 90 * SIZE


def test_slow_start_outlasts_a_queue_that_others_fill() -> None:
    """Echoes beside a transfer the other way, which makes the round trip three times as long."""
    path = Path(1e9)
    for number in range(200):
        packet, rtt_s = path._packet(), RTT_S * (1 + number / 100)
        path.now += rtt_s
        path.control.on_packet_acked(now=path.now, packet=packet)
        path.control.on_rtt_measurement(now=path.now, rtt=rtt_s)
    assert path.control.ssthresh is None


def test_slow_start_ends_once_its_own_queue_grows() -> None:
    path = Path(50 * SIZE / RTT_S)
    for _ in range(20):
        sent = [path._packet() for _ in range(path.control.congestion_window // SIZE)]
        waits_s = max(0.0, len(sent) / 50 - 1) * RTT_S
        for packet in sent:
            path.now += RTT_S / len(sent)
            path.control.on_packet_acked(now=path.now + waits_s, packet=packet)
            path.control.on_rtt_measurement(now=path.now + waits_s, rtt=RTT_S + waits_s)
        path.now += waits_s
    assert path.control.ssthresh is not None
    assert 50 * SIZE <= path.control.ssthresh <= 400 * SIZE


def test_another_path_is_begun_with_anew() -> None:
    path = steady(100 * SIZE, 1e9)
    old = [path._packet() for _ in range(20)]
    path.now += 1.0
    path.control.new_path(path.now)
    assert path.control.congestion_window == 10 * SIZE
    path.control.on_packets_lost(now=path.now, packets=old)
    assert path.control.congestion_window == 10 * SIZE
    path.now += 1.0
    path.round()
    assert path.control.congestion_window == 20 * SIZE


def test_what_was_carried_long_ago_does_not_count() -> None:
    path = steady(100 * SIZE, 1e9)
    path.now += 60.0
    path.control.on_packets_lost(now=path.now, packets=[path._packet()])
    assert path.control.congestion_window == 50 * SIZE


def test_the_window_grows_by_a_datagram_each_round_trip() -> None:
    path = steady(100 * SIZE, 1e9)
    before = path.control.congestion_window
    for _ in range(10):
        path.round()
    assert path.control.congestion_window - before == pytest.approx(10 * SIZE, rel=0.25)


def test_random_losses_leave_most_of_a_path_in_use() -> None:
    """NewReno carries 3 Mbit/s of these 20: one packet in 100 is lost, and the round trip takes 40 ms."""
    data = Random(7).randbytes(5_000_000)

    async def main(lab: SimLab) -> float:
        ends = await narrow_paths(lab.network("alice"), lab.network("bob"), 2.5e6, 0.05)
        ours, theirs = await quic_links(*ends)
        began = lab.loop.time()

        async def write() -> bytes:
            for start in range(0, len(data), 16_000):
                ours.write(data[start : start + 16_000])
                await ours.drain()
            return b""

        _, got = await both(write(), read_exactly(theirs, len(data)))
        assert got == data
        return len(data) * 8e-6 / (lab.loop.time() - began)

    assert run(open_internet(delay_ms=20, loss=0.01), main) > 9.0


def test_the_handshake_takes_ours() -> None:
    async def main(lab: SimLab) -> None:
        ends = await narrow_paths(lab.network("alice"), lab.network("bob"), 2.5e6, 0.05)
        for link in await quic_links(*ends):
            assert isinstance(link._quic._loss._cc, CongestionControl)
            link.abort()
        await asyncio.sleep(0)

    run(open_internet(), main)
