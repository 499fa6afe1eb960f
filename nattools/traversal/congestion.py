"""How much a QUIC connection has on its way: NewReno (RFC 9002 7) that knows what the path carries.

NewReno halves its window for each loss, though on radio many losses say nothing about the load. Here the
window becomes what the path has carried lately within its shortest round trip, as with TCP Westwood+ (Grieco
and Mascolo, "Performance evaluation and comparison of Westwood+, New Reno and Vegas TCP congestion control",
ACM SIGCOMM CCR 34 (2), 2004): where a queue stood, this empties it; where none did, the loss costs little. It
is never less than NewReno's half, and it grows as NewReno does.

Importing this imports aioquic.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Final

from aioquic.quic.congestion.base import register_congestion_control
from aioquic.quic.congestion.reno import RenoCongestionControl
from aioquic.quic.packet_builder import QuicSentPacket

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
        self.forget_path()

    def forget_path(self) -> None:
        """What was measured is of no use on another path."""
        self._shortest_rtt_s = math.inf
        self._rtt_s = 0.0
        self._bytes_per_s: deque[float] = deque(maxlen=SAMPLES)
        self._acknowledged = 0
        self._sample_began = self._sampled_at = self._acknowledged_at = -math.inf

    def on_rtt_measurement(self, *, now: float, rtt: float) -> None:
        """Called for most acknowledgments, after their packets."""
        super().on_rtt_measurement(now=now, rtt=rtt)
        self._rtt_s = rtt
        self._shortest_rtt_s = min(self._shortest_rtt_s, rtt)

    def on_packet_acked(self, *, now: float, packet: QuicSentPacket) -> None:
        """Called for each packet."""
        super().on_packet_acked(now=now, packet=packet)
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
