"""libp2p's use of Noise: frames with two bytes of length, and in the handshake a payload by which each end
proves with its host's key that the Noise key is its own.

    NoiseHandshakePayload { identity_key = 1, identity_sig = 2, extensions = 4 }
"""

from __future__ import annotations

from typing import Final

from nattools.errors import ProtocolError
from nattools.protocols.libp2p.hostkey import MAX_KEY, MAX_SIGNATURE, HostKey, verify
from nattools.protocols.libp2p.noise import MAX_CLEAR, Cipher, NoiseXX
from nattools.protocols.libp2p.peerid import PeerId, peer_id_of
from nattools.protocols.libp2p.protobuf import octets_field, parse_fields

NOISE: Final = "/noise"
_PREFIX: Final = b"noise-libp2p-static-key:"
_MAX_HANDSHAKE: Final = 8192
"""Bytes of a handshake message: a host's key, a signature and a few extensions."""


class NoiseChannel:
    """One end of a secured conversation. Pure: write what `data_to_send` returns, at first and after each
    call; pass what is read to `receive`, which gives what the other end said.

    `peer` is who that is, once `secured`. `expected`: nobody else is taken."""

    def __init__(self, key: HostKey, *, initiates: bool, expected: PeerId | None = None) -> None:
        self.peer: PeerId | None = None
        self._key = key
        self._expected = expected
        self._handshake = NoiseXX(initiates=initiates)
        self._ciphers: tuple[Cipher, Cipher] | None = None
        self._buffer = bytearray()
        self._leaving: list[bytes] = []
        if initiates:
            self._leaving.append(_framed(self._handshake.write(b"")))

    @property
    def secured(self) -> bool:
        """Is the handshake over?"""
        return self._ciphers is not None

    def data_to_send(self) -> bytes:
        """What is due now."""
        data = b"".join(self._leaving)
        self._leaving.clear()
        return data

    def send_before(self, data: bytes) -> None:
        """Queue bytes that go before the handshake as they are."""
        self._leaving.insert(0, data)

    def send(self, clear: bytes) -> None:
        """Queue bytes. ValueError: the handshake is not over."""
        if self._ciphers is None:
            raise ValueError("not secured yet")
        for at in range(0, len(clear), MAX_CLEAR):
            self._leaving.append(_framed(self._ciphers[0].encrypt(clear[at : at + MAX_CLEAR])))

    def receive(self, data: bytes) -> bytes:
        """What the other end said. ProtocolError: it is not who it says, or not who is expected, or somebody
        has changed what was said; then this is of no use."""
        self._buffer += data
        said, at = bytearray(), 0
        while len(self._buffer) - at >= 2:
            size = int.from_bytes(self._buffer[at : at + 2], "big")
            if self._ciphers is None and size > _MAX_HANDSHAKE:
                raise ProtocolError(f"a handshake message of {size} bytes")
            if len(self._buffer) - at - 2 < size:
                break
            frame = bytes(self._buffer[at + 2 : at + 2 + size])
            at += 2 + size
            said += self._take(frame)
        del self._buffer[:at]
        return bytes(said)

    def _take(self, frame: bytes) -> bytes:
        if self._ciphers is not None:
            return self._ciphers[1].decrypt(frame)
        payload = self._handshake.read(frame)
        if self._handshake.remote_static:
            self._believe(payload)
        if self._handshake.writes:
            self._leaving.append(_framed(self._handshake.write(self._proof())))
        self._ciphers = self._handshake.ciphers
        return b""

    def _proof(self) -> bytes:
        signature = self._key.sign(_PREFIX + self._handshake.static)
        return octets_field(1, self._key.public) + octets_field(2, signature)

    def _believe(self, payload: bytes) -> None:
        fields = parse_fields(payload)
        public, signature = fields.octets(1, MAX_KEY), fields.octets(2, MAX_SIGNATURE)
        if public is None or signature is None:
            raise ProtocolError("it does not prove who it is")
        verify(public, _PREFIX + self._handshake.remote_static, signature)
        self.peer = peer_id_of(public)
        if self._expected not in (None, self.peer):
            raise ProtocolError(f"it is {self.peer}, and not {self._expected}")


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message
