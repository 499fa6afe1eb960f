"""Who a peer is: the multihash of its public key, in base 58 as `12D3KooW...` and `Qm...`, or as a CID in
base 32 as `bafz...` (libp2p's peer id specification)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final, NamedTuple

from nattools.errors import ProtocolError

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS: Final = {digit: value for value, digit in enumerate(_ALPHABET)}
_IDENTITY, _SHA256 = b"\x00", b"\x12\x20"
_INLINED: Final = 42
"""A public key of so many bytes is its own hash."""
_LIBP2P_KEY: Final = b"\x01\x72"
"""A CID of version 1 whose content is a public key."""
_LONGEST_TEXT: Final = 128


class PeerId(NamedTuple):
    """`octets`: the multihash."""

    octets: bytes

    def __str__(self) -> str:
        return to_base58(self.octets)


def peer_id_of(public_key: bytes) -> PeerId:
    """The peer id of a public key, in the form of `hostkey`."""
    if len(public_key) <= _INLINED:
        return PeerId(_IDENTITY + bytes((len(public_key),)) + public_key)
    return PeerId(_SHA256 + hashlib.sha256(public_key).digest())


def decode_peer_id(octets: bytes) -> PeerId:
    """ProtocolError: no public key has that multihash."""
    inlined = octets[:1] == _IDENTITY and len(octets) >= 2 and octets[1] == len(octets) - 2 <= _INLINED
    if not inlined and not (octets[:2] == _SHA256 and len(octets) == 34):
        raise ProtocolError("not a peer id")
    return PeerId(bytes(octets))


def parse_peer_id(text: str) -> PeerId:
    """ProtocolError: it is none."""
    if len(text) > _LONGEST_TEXT or not text.isascii():
        raise ProtocolError(f"not a peer id: {text[:20]!r}")
    if text.startswith(("1", "Qm")):
        return decode_peer_id(from_base58(text))
    if text.startswith("b"):
        octets = _from_base32(text[1:])
    elif text.startswith("z"):
        octets = from_base58(text[1:])
    else:
        raise ProtocolError(f"not a peer id: {text[:20]!r}")
    if not octets.startswith(_LIBP2P_KEY):
        raise ProtocolError(f"not the CID of a public key: {text[:20]!r}")
    return decode_peer_id(octets[2:])


def to_base58(octets: bytes) -> str:
    """As Bitcoin has it: a leading zero is a digit of its own."""
    number, digits = int.from_bytes(octets, "big"), []
    while number:
        number, digit = divmod(number, 58)
        digits.append(_ALPHABET[digit])
    zeros = len(octets) - len(octets.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(digits))


def from_base58(text: str) -> bytes:
    """ProtocolError: a character that is no digit, or too many."""
    if len(text) > _LONGEST_TEXT:
        raise ProtocolError("a number in base 58 is too long")
    number = 0
    for character in text:
        if character not in _DIGITS:
            raise ProtocolError(f"{character!r} is not a digit of base 58")
        number = number * 58 + _DIGITS[character]
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _from_base32(text: str) -> bytes:
    try:
        return base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        raise ProtocolError("not a number in base 32") from None
