"""How a server that does not speak DTLS says so to one who begins with it (RFC 6347 4.1, RFC 5246 7.2)."""

from __future__ import annotations

from typing import Final

_HANDSHAKE: Final = 22
_ALERT: Final = 21
_CLIENT_HELLO: Final = 1
_VERSIONS: Final = (b"\xfe\xff", b"\xfe\xfd")  # 1.0 and 1.2, which 1.3 says as well
_HEAD: Final = 13
_HANDSHAKE_FAILURE: Final = b"\x00\x02\x02\x28"  # of two bytes: fatal, 40


def refusal(datagram: bytes) -> bytes | None:
    """A fatal alert, shorter than what it answers; None: the datagram begins no DTLS handshake."""
    if len(datagram) < 2 * _HEAD or datagram[0] != _HANDSHAKE or datagram[_HEAD] != _CLIENT_HELLO:
        return None
    version, number = datagram[1:3], datagram[3:11]
    if version not in _VERSIONS or number[:2] != bytes(2):
        return None
    return bytes((_ALERT,)) + version + number + _HANDSHAKE_FAILURE
