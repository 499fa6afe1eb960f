"""aioquic's QUIC connection, configured for two peers that share a secret, and bounded where it is not.

Importing this imports aioquic, which takes a while: only where a link is made. What aioquic has no option for
is here and nowhere else, in a subclass that reaches into it.

Both sides prove that they know the secret by using it as the pre-shared key of the TLS handshake, with fresh
Diffie-Hellman keys (psk_dhe_ke, RFC 8446 2.2 and 4.2.11): aioquic takes it for a resumed session. Only the
leader is ever a client, so that nobody's own messages can be turned back at him (RFC 9257 4.1).
"""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime
from typing import Final

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import NetworkAddress, QuicConnection, QuicConnectionState
from aioquic.quic.events import ConnectionTerminated
from aioquic.quic.packet import QuicFrameType, QuicPacketType
from aioquic.quic.packet_builder import QuicDeliveryState, QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream
from aioquic.tls import CipherSuite, Epoch, SessionTicket

from nattools.traversal import congestion
from nattools.traversal.identity import NAME, derive, identity

PEER: Final = ("peer", 0)
"""The only address that aioquic ever sees: which path is used is none of its business."""
DATAGRAM_SIZE: Final = 1200
"""What every path carries (RFC 9000 14)."""
LARGER: Final = (1440, 1372)
"""What a path may carry besides: the first where Ethernet or PPPoE is the narrowest part, over IPv6, too; the
second in most tunnels. Each packet costs much the same, so that larger ones carry more a second."""
TRIES: Final = 2
"""Of each size that is not answered."""
BLACK_HOLE: Final = 3
"""After so many timeouts without an answer the larger packets may be what is lost (RFC 8899 4.3)."""
MOST_VAIN_LOSSES: Final = 6
"""So they may be, too, where the smaller ones are still answered."""
MAX_DATAGRAM: Final = DATAGRAM_SIZE - 1 - 8 - 2 - 16 - 3
"""Of a DATAGRAM frame: what a packet leaves besides its first byte, connection ID, number and tag, and the
frame's type and length (RFC 9221 4)."""
WINDOW: Final = 4 << 20
"""So many bytes may wait for a reader: enough for 160 Mbit/s at a round trip of 200 ms."""
MOST_UNSENT: Final = 65_536
IDLE_S: Final = 300.0
PROBE_S: Final = 1.0
"""A path that is silent is tried this often, however long it has been silent: it may be back at any time."""
KEY_PACKETS: Final = 1 << 22
"""One key seals half as many packets as AES-128-GCM may at most (RFC 9001 6.6): 5 GB. What is on its way at
the change is lost, since aioquic keeps no old keys, and sent again."""

logging.getLogger("quic").addHandler(logging.NullHandler())  # or its warnings go to standard error


class PeerConnection(QuicConnection):
    """One stream each way, and nothing else.

    `consumed` bytes were read from the peer's stream: the peer is granted `WINDOW` bytes more than these.
    aioquic itself grants ever more, whether they are read or not.
    """

    def __init__(
        self, *, configuration: QuicConfiguration, secret: bytes, original: bytes | None = None
    ) -> None:
        ticket = _ticket(secret)
        if configuration.is_client:
            configuration.session_ticket = ticket
        super().__init__(
            configuration=configuration,
            original_destination_connection_id=original,
            session_ticket_fetcher=lambda name: ticket if name == ticket.ticket else None,
        )
        self.consumed = 0
        self._size_round = 0
        self._size_asked = self._answered = -1
        self._shrink()
        self._last_of_key = KEY_PACKETS
        self._local_max_streams_bidi.value = self._local_max_streams_bidi.sent = 0
        self._local_max_streams_uni.value = self._local_max_streams_uni.sent = 1

    @property
    def proven(self) -> bool:
        """Was the secret used? Until the handshake is complete the peer may still be a replay."""
        return self._state is not QuicConnectionState.FIRSTFLIGHT and self.tls.session_resumed

    @property
    def heard_at(self) -> float:
        """When the proven peer sent anything last."""
        return self._spaces[Epoch.ONE_RTT].largest_received_time or 0.0

    @property
    def over(self) -> ConnectionTerminated | None:
        """Why it ended or is about to, on either side."""
        return self._close_event

    @property
    def credit_due(self) -> bool:
        """Has so much been read that the peer should be told?"""
        return any(
            stream.max_stream_data_local
            and self.consumed + WINDOW - stream.max_stream_data_local >= WINDOW // 4
            for stream in self._streams.values()
        )

    @property
    def datagrams_waiting(self) -> int:
        """DATAGRAM frames that did not leave yet."""
        return len(self._datagrams_pending)

    def unacknowledged(self, stream_id: int) -> int:
        """Bytes written that the peer has not confirmed."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else len(stream.sender._buffer)

    def unsent(self, stream_id: int) -> int:
        """Bytes written that have never left: whatever is written next waits for them."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else stream.sender._buffer_stop - stream.sender.highest_offset

    @property
    def room(self) -> int:
        """So many bytes may be unsent without what comes behind them being much the later: they leave within
        a fraction of a round trip."""
        return min(MOST_UNSENT, self._loss.congestion_window // 4)

    def delivered(self, stream_id: int) -> bool:
        """Did the peer confirm all of a stream, its end included?"""
        stream = self._streams.get(stream_id)
        return stream is None or stream.sender.is_finished

    # --- the size of datagrams (RFC 9000 14.3, RFC 8899)

    @property
    def datagram_size(self) -> int:
        """As large as packets are made at present."""
        return self._max_datagram_size

    def _shrink(self) -> None:
        """Nothing is known of the path; find out once it works."""
        self._max_datagram_size = DATAGRAM_SIZE
        self._size_round += 1
        self._congestion.vain_losses = 0
        self._sizes = [size for size in LARGER for _ in range(TRIES)]
        self._unanswered = 0

    def _try_size(self, now: float) -> list[tuple[bytes, NetworkAddress]]:
        """A packet that says nothing, as large as might be. Its loss is no sign of congestion."""
        assert self._version is not None
        size = self._sizes.pop(0)
        self._size_asked = self._size_round
        builder = QuicPacketBuilder(
            host_cid=self.host_cid,
            is_client=self._is_client,
            max_datagram_size=size,
            packet_number=self._packet_number,
            peer_cid=self._peer_cid.cid,
            peer_token=self._peer_token,
            spin_bit=self._spin_bit,
            version=self._version,
        )
        builder.start_packet(QuicPacketType.ONE_RTT, self._cryptos[Epoch.ONE_RTT])
        handler_args = (size, self._size_round)
        builder.start_frame(
            QuicFrameType.PING, capacity=1, handler=self._size_answered, handler_args=handler_args
        )
        builder._datagram_needs_padding = True
        builder._end_packet()
        builder._packets[-1].in_flight = False
        path = self._network_paths[0]
        return self._flush_builder(builder, path, self._peer_cid.cid, now)

    def _size_answered(self, delivery: QuicDeliveryState, size: int, number: int) -> None:
        if number != self._size_round:
            return
        self._size_asked = -1
        if delivery == QuicDeliveryState.ACKED:
            self._max_datagram_size = size
            self._sizes = []

    @property
    def _congestion(self) -> congestion.CongestionControl:
        control = self._loss._cc
        assert isinstance(control, congestion.CongestionControl)
        return control

    def _size_due(self) -> bool:
        return (
            bool(self._sizes)
            and self._size_asked != self._size_round
            and self._handshake_confirmed
            and self._loss._pto_count == 0
            and self._close_event is None
        )

    def handle_timer(self, now: float) -> None:
        """As aioquic's, with an eye on whether large packets still pass."""
        before = self._loss._pto_count
        super().handle_timer(now)
        if self._loss._pto_count <= before or self._max_datagram_size == DATAGRAM_SIZE:
            return
        answered = self._spaces[Epoch.ONE_RTT].largest_acked_packet
        self._unanswered = self._unanswered + 1 if answered == self._answered else 1
        self._answered = answered
        if self._unanswered >= BLACK_HOLE:
            self._shrink()

    # --- the path

    def path_changed(self, now: float) -> None:
        """Begin anew to measure the round trip (RFC 9000 9.4), and try the path at once."""
        self._shrink()
        self._congestion.new_path(now)
        self._loss._rtt_initialized = False
        self._loss._rtt_min = math.inf
        self._loss._pto_count = 0
        self._loss.reschedule_data(now=now)

    def get_timer(self) -> float | None:
        """As aioquic's, but the pause between probes does not grow beyond `PROBE_S` or one PTO."""
        pto_s = self._loss.get_probe_timeout()
        longest = max(0, math.floor(math.log2(PROBE_S / pto_s))) if pto_s > 0 else 0
        self._loss._pto_count = min(self._loss._pto_count, longest)
        return super().get_timer()

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, NetworkAddress]]:
        """As aioquic's, with a new key in time, and a larger one to see whether it passes."""
        if self._packet_number >= self._last_of_key:
            self._last_of_key = self._packet_number + KEY_PACKETS
            self.request_key_update()
        if self._max_datagram_size > DATAGRAM_SIZE and self._congestion.vain_losses >= MOST_VAIN_LOSSES:
            self._shrink()
        sending = super().datagrams_to_send(now)
        return sending + self._try_size(now) if self._size_due() else sending

    def _write_stream_limits(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream
    ) -> None:
        if stream.stream_id is None or not stream.max_stream_data_local:  # our own
            return
        limit = self.consumed + WINDOW
        if limit - stream.max_stream_data_local >= WINDOW // 4:
            stream.max_stream_data_local = limit
        if stream.max_stream_data_local_sent == stream.max_stream_data_local:
            return
        frame = builder.start_frame(
            QuicFrameType.MAX_STREAM_DATA,
            capacity=17,
            handler=self._on_max_stream_data_delivery,
            handler_args=(stream,),
        )
        frame.push_uint_var(stream.stream_id)
        frame.push_uint_var(stream.max_stream_data_local)
        stream.max_stream_data_local_sent = stream.max_stream_data_local


def connection(secret: bytes, *, leads: bool, original: bytes | None = None) -> PeerConnection:
    """The leader is the client; the follower's needs `original`, the connection ID that the client's first
    packet goes to."""
    own = identity(secret, leads=leads)
    configuration = QuicConfiguration(
        is_client=leads,
        alpn_protocols=[NAME],
        server_name=NAME if leads else None,
        cadata=identity(secret, leads=False).pem,
        certificate=own.certificate,
        private_key=own.key,
        cipher_suites=[CipherSuite.AES_128_GCM_SHA256],
        congestion_control_algorithm=congestion.NAME,
        idle_timeout=IDLE_S,
        max_datagram_size=DATAGRAM_SIZE,
        max_datagram_frame_size=DATAGRAM_SIZE,
        max_data=2 * WINDOW,
        max_stream_data=WINDOW,
    )
    return PeerConnection(configuration=configuration, secret=secret, original=original)


def _ticket(secret: bytes) -> SessionTicket:
    """The pre-shared key. Without a size for early data, nothing is sent before the peer is proven."""
    return SessionTicket(
        age_add=0,
        cipher_suite=CipherSuite.AES_128_GCM_SHA256,
        not_valid_before=datetime.min.replace(tzinfo=UTC),
        not_valid_after=datetime.max.replace(tzinfo=UTC),
        resumption_secret=derive(secret, b"pre-shared key"),
        server_name=NAME,
        ticket=NAME.encode(),
    )
