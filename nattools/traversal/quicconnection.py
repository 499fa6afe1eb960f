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
from aioquic.quic.packet import QuicFrameType
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream
from aioquic.tls import CipherSuite, Epoch, SessionTicket

from nattools.traversal.identity import NAME, derive, identity

PEER: Final = ("peer", 0)
"""The only address that aioquic ever sees: which path is used is none of its business."""
DATAGRAM_SIZE: Final = 1200
"""What every path carries (RFC 9000 14). aioquic cannot find out whether a path carries more, and the path
may change at any time."""
MAX_DATAGRAM: Final = DATAGRAM_SIZE - 1 - 8 - 2 - 16 - 3
"""Of a DATAGRAM frame: what a packet leaves besides its first byte, connection ID, number and tag, and the
frame's type and length (RFC 9221 4)."""
WINDOW: Final = 4 << 20
"""So many bytes may wait for a reader: enough for 160 Mbit/s at a round trip of 200 ms."""
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

    def delivered(self, stream_id: int) -> bool:
        """Did the peer confirm all of a stream, its end included?"""
        stream = self._streams.get(stream_id)
        return stream is None or stream.sender.is_finished

    def path_changed(self, now: float) -> None:
        """Begin anew to measure the round trip (RFC 9000 9.4), and try the path at once."""
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
        """As aioquic's, with a new key in time."""
        if self._packet_number >= self._last_of_key:
            self._last_of_key = self._packet_number + KEY_PACKETS
            self.request_key_update()
        return super().datagrams_to_send(now)

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
