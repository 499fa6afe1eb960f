"""A connection to a peer, from its first byte: which security (Noise), who the peer is, which multiplexer
(yamux), and then its streams."""

from __future__ import annotations

from typing import Literal

from nattools.errors import ProtocolError
from nattools.protocols.libp2p.hostkey import HostKey
from nattools.protocols.libp2p.multistream import Negotiation
from nattools.protocols.libp2p.noisechannel import NOISE, NoiseChannel
from nattools.protocols.libp2p.peerid import PeerId
from nattools.protocols.libp2p.yamux import YAMUX, YamuxEvent, YamuxSession

PeerStage = Literal["security", "handshake", "multiplexer", "ready"]
"""What is being agreed on, in this order."""


class PeerSession:
    """One end. Pure: write what `data_to_send` returns, at first and after each call here or to `streams`;
    pass what is read to `receive`. Once `stage` is "ready", `streams` has the streams.

    `expected`: nobody else than this peer is taken. The end that `initiates` proposes everything."""

    def __init__(
        self,
        key: HostKey,
        *,
        initiates: bool,
        expected: PeerId | None = None,
    ) -> None:
        self.stage: PeerStage = "security"
        self.streams = YamuxSession(initiates=initiates)
        self._key = key
        self._initiates = initiates
        self._expected = expected
        self._negotiation = self._negotiate(NOISE)
        self._channel: NoiseChannel | None = None

    @property
    def peer(self) -> PeerId | None:
        """Who it is, once it has proved that."""
        return None if self._channel is None else self._channel.peer

    def data_to_send(self) -> bytes:
        """What is due now."""
        if self._channel is None:
            return self._negotiation.data_to_send()
        if self._channel.secured:
            clear = b"" if self.stage == "handshake" else self._negotiation.data_to_send()
            clear += self.streams.data_to_send() if self.stage == "ready" else b""
            if clear:
                self._channel.send(clear)
        return self._channel.data_to_send()

    def receive(self, data: bytes) -> list[YamuxEvent]:
        """What came of bytes that were read. ProtocolError: the peer breaks the protocol, has no security or
        multiplexer that is known here, or is not who it should be."""
        if self._channel is None:
            self._negotiation.receive(data)
            if not self._negotiation.over:
                return []
            data = self._negotiation.rest
            self._channel = self._handshake()
        clear = self._channel.receive(data) if data else b""
        if self.stage == "handshake" and self._channel.secured:
            self.stage = "multiplexer"
            self._negotiation = self._negotiate(YAMUX)
        if self.stage == "multiplexer":
            clear = self._agree(clear)
        return self.streams.receive(clear) if self.stage == "ready" else []

    def _handshake(self) -> NoiseChannel:
        """The answer to the proposal goes before it."""
        if self._negotiation.chosen is None:
            raise ProtocolError("it has no security that is known here: it refuses /noise")
        self.stage = "handshake"
        channel = NoiseChannel(self._key, initiates=self._initiates, expected=self._expected)
        channel.send_before(self._negotiation.data_to_send())
        return channel

    def _agree(self, clear: bytes) -> bytes:
        """On a multiplexer. What came behind the agreement."""
        self._negotiation.receive(clear)
        if not self._negotiation.over:
            return b""
        if self._negotiation.chosen is None:
            raise ProtocolError("it has no multiplexer that is known here: it refuses /yamux/1.0.0")
        self.stage = "ready"
        return self._negotiation.rest

    def _negotiate(self, protocol: str) -> Negotiation:
        if self._initiates:
            return Negotiation(proposed=(protocol,))
        return Negotiation(offered=(protocol,))
