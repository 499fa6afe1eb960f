"""What one who stands by the way can forge while a QUIC handshake is under way: first packets are sealed with
keys that follow from what everybody sees (RFC 9001 5.2)."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

VERSION = (1).to_bytes(4, "big")
SALT = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
RETRY_KEY = bytes.fromhex("be0c690b9f66575a1d766b54e368c84e")
RETRY_NONCE = bytes.fromhex("461599d35d632bf2239825bb")
CLOSE = bytes((0x1C, 0x0A, 0x00, 0x00))
"""CONNECTION_CLOSE: PROTOCOL_VIOLATION, no frame, no reason (RFC 9000 19.19)."""
PING = b"\x01"
NO_HELLO = bytes((0x06, 0x00, 0x08)) + bytes.fromhex("ff000004deadbeef")
"""CRYPTO, from the beginning: a handshake message of a type that there is none of."""


def labelled(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446 7.1)."""
    name = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes((len(name),)) + name + b"\0"
    return HKDFExpand(hashes.SHA256(), size, info).derive(secret)


def initial(
    original: bytes, to: bytes, by: bytes, frames: bytes, *, client: bool, number: int = 1 << 20
) -> bytes:
    """A datagram with one Initial packet, as the client or the server of that connection would send it."""
    extract = HMAC(SALT, hashes.SHA256())
    extract.update(original)
    secret = labelled(extract.finalize(), b"client in" if client else b"server in", 32)
    key, iv, mask_key = (
        labelled(secret, name, size) for name, size in ((b"quic key", 16), (b"quic iv", 12), (b"quic hp", 16))
    )
    size = 1200 - (1 + 4 + 1 + len(to) + 1 + len(by) + 1 + 2)
    head = b"\xc3" + VERSION + bytes((len(to),)) + to + bytes((len(by),)) + by + b"\0"
    head += (0x4000 | size).to_bytes(2, "big") + number.to_bytes(4, "big")
    nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
    sealed = AESGCM(key).encrypt(nonce, frames.ljust(size - 4 - 16, b"\0"), head)
    mask = Cipher(algorithms.AES(mask_key), modes.ECB()).encryptor().update(sealed[:16])
    first = bytes((head[0] ^ mask[0] & 0x0F,))
    hidden = bytes(one ^ other for one, other in zip(head[-4:], mask[1:5], strict=True))
    return first + head[1:-4] + hidden + sealed


def ids(data: bytes) -> tuple[bytes, bytes]:
    """Destination's and source's connection IDs of a packet with a long header."""
    end = 6 + data[5]
    return data[6:end], data[end + 1 : end + 1 + data[end]]


class Known(NamedTuple):
    """A connection that has just been begun: the client's ID, and what the client calls the server."""

    client: bytes
    original: bytes


def begun(data: bytes, before: Collection[Known]) -> Known | None:
    """Which connection this datagram begins; None if it begins none."""
    if data[0] & 0xF0 != 0xC0 or len(data) < 1200:
        return None
    to, by = ids(data)
    known = Known(by, to)
    ours = any(to == each.client for each in before)  # the server's answer
    return None if ours or known in before else known


def to_client(known: Known, frames: bytes, *, by: bytes = b"mallory!") -> bytes:
    """In the server's name."""
    return initial(known.original, known.client, by, frames, client=False)


def to_server(known: Known, frames: bytes) -> bytes:
    """In the client's name."""
    return initial(known.original, known.original, known.client, frames, client=True)


def other_versions(known: Known) -> bytes:
    """Version Negotiation (RFC 9000 17.2.1): anything but the one in use."""
    addressed = b"".join(bytes((len(each),)) + each for each in known)
    return b"\xc0" + bytes(4) + addressed + bytes.fromhex("ff00001d6b3343cf")


def retry(known: Known) -> bytes:
    """With a tag that is right (RFC 9001 5.8): everybody can make one."""
    packet = b"\xf0" + VERSION + bytes((len(known.client),)) + known.client + b"\x08mallory!" + b"token"
    original = bytes((len(known.original),)) + known.original
    return packet + AESGCM(RETRY_KEY).encrypt(RETRY_NONCE, b"", original + packet)
