"""How much a QUIC connection has on its way: NewReno (RFC 9002 7) that knows what the path carries.

NewReno halves its window for each loss, though on radio many losses say nothing about the load. Here the
window becomes what the path has carried lately within its shortest round trip, as with TCP Westwood+ (Grieco
and Mascolo, "Performance evaluation and comparison of Westwood+, New Reno and Vegas TCP congestion control",
ACM SIGCOMM CCR 34 (2), 2004): where a queue stood, this empties it; where none did, the loss costs little. It
is never less than NewReno's half, and it grows as NewReno does. Slow start ends as RFC 9406 has it.

Importing this imports aioquic.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Final

from aioquic.quic.congestion.base import K_INITIAL_WINDOW, register_congestion_control
from aioquic.quic.congestion.reno import RenoCongestionControl
from aioquic.quic.packet_builder import QuicSentPacket

from nattools.traversal.slowstart import SlowStart

NAME: Final = "nattools"
"""For `QuicConfiguration.congestion_control_algorithm`."""
SHORTEST_SAMPLE_S: Final = 0.05
SAMPLES: Final = 4
"""One a round trip, of which the best counts (as in BBR): losses make the others poorer than the path is."""


class CongestionControl(RenoCongestionControl):
    """aioquic's, but for what a loss does."""

    def __init__(self, *, max_datagram_size: int) -> None:
        super().__init__(max_datagram_size=max_datagram_size)
        self.vain_losses = 0
        """Times that larger packets were lost since one was acknowledged (RFC 8899 4.3)."""
        self._smallest = max_datagram_size
        self._forget()

    def new_path(self, now: float) -> None:
        """What was measured, and found out, is of no use on another path (RFC 9000 9.4). What was lost on the
        old one says nothing about it."""
        self.congestion_window = K_INITIAL_WINDOW * self._smallest
        self.ssthresh = None
        self._congestion_recovery_start_time = now
        self._forget()

    def _forget(self) -> None:
        self._slow_start = SlowStart()
        self._shortest_rtt_s = math.inf
        self._rtt_s = 0.0
        self._bytes_per_s: deque[float] = deque(maxlen=SAMPLES)
        self._acknowledged = 0
        self._sample_began = self._sampled_at = self._acknowledged_at = -math.inf

    def on_rtt_measurement(self, *, now: float, rtt: float) -> None:
        """Called for most acknowledgments, after their packets."""
        if self.ssthresh is None:
            self._slow_start.measured(rtt)
        self._rtt_s = rtt
        self._shortest_rtt_s = min(self._shortest_rtt_s, rtt)

    def on_packet_acked(self, *, now: float, packet: QuicSentPacket) -> None:
        """Called for each packet."""
        before = self.congestion_window
        super().on_packet_acked(now=now, packet=packet)
        if self.ssthresh is None:
            self._start(packet, before, now)
        if packet.sent_bytes > self._smallest:
            self.vain_losses = 0
        long_enough_s = max(self._rtt_s, SHORTEST_SAMPLE_S)
        if now - self._acknowledged_at > long_enough_s:  # nothing was on its way for a while
            self._sample_began, self._acknowledged = now, 0
        elif now - self._sample_began >= long_enough_s:
            self._bytes_per_s.append(self._acknowledged / (now - self._sample_began))
            self._sample_began, self._acknowledged = now, 0
            self._sampled_at = now
        self._acknowledged_at = now
        self._acknowledged += packet.sent_bytes

    def _start(self, packet: QuicSentPacket, before: int, now: float) -> None:
        """NewReno has taken the window from `before` to twice as much a round trip, which may be too much."""
        if packet.sent_time is not None:
            self._slow_start.acknowledged(packet.sent_time, now)
        self.congestion_window = before + (self.congestion_window - before) // self._slow_start.divisor
        if self._slow_start.over:
            self.ssthresh = self.congestion_window

    def on_packets_lost(self, *, now: float, packets: Iterable[QuicSentPacket]) -> None:
        """NewReno decides whether it is a new event (RFC 9002 7.3.2), and has the window halved then."""
        packets = list(packets)
        self.vain_losses += any(packet.sent_bytes > self._smallest for packet in packets)
        before = self.congestion_window
        super().on_packets_lost(now=now, packets=packets)
        if now - self._sampled_at > SAMPLES * 2 * max(self._rtt_s, SHORTEST_SAMPLE_S):
            self._bytes_per_s.clear()  # perhaps nothing passes any more
        if self.congestion_window < before and self._bytes_per_s:
            carried = int(max(self._bytes_per_s) * self._shortest_rtt_s)
            self.congestion_window = self.ssthresh = min(before, max(self.congestion_window, carried))


register_congestion_control(NAME, CongestionControl)
