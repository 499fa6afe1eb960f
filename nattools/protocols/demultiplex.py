"""Several protocols on one UDP socket, told apart by their first byte (RFC 7983, updated by RFC 9443)."""

from __future__ import annotations

from typing import Final, Literal

SharedProtocol = Literal["stun", "zrtp", "dtls", "turn-channel", "quic", "rtp", "unknown"]

_RANGES: Final[tuple[tuple[int, SharedProtocol], ...]] = (
    (3, "stun"),
    (15, "unknown"),
    (19, "zrtp"),
    (63, "dtls"),
    (127, "quic"),
    (191, "rtp"),
    (255, "quic"),
)
"""(highest first byte, protocol)."""

_BY_BYTE: Final[tuple[SharedProtocol, ...]] = tuple(
    next(protocol for highest, protocol in _RANGES if first <= highest) for first in range(256)
)


def protocol_of(data: bytes, *, from_relay: bool = False) -> SharedProtocol:
    """What a datagram is; "unknown" for an empty one. Channel data of TURN shares 64 to 79 with QUIC, so it
    is looked for only in what comes `from_relay`, the TURN server's own address (RFC 9443 3)."""
    if not data:
        return "unknown"
    if from_relay and 64 <= data[0] <= 79:
        return "turn-channel"
    return _BY_BYTE[data[0]]
