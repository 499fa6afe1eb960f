"""Keys of the short-term and long-term credential mechanisms (RFC 8489 9.1.1, 9.2.2, 18.5.1)."""

from __future__ import annotations

import hashlib
import unicodedata
from base64 import b64decode, b64encode
from typing import Final, NamedTuple

from nattools.protocols.stun.constants import MD5, SHA256

_DIGEST_NAMES: Final = {MD5: "md5", SHA256: "sha256"}
SUPPORTED_ALGORITHMS: Final = frozenset(_DIGEST_NAMES)

_NONCE_COOKIE: Final = b"obMatJos2"
_PASSWORD_ALGORITHMS_BITS: Final = 0x800001
_USERNAME_ANONYMITY_BITS: Final = 0x400002
# Controls, format and private-use characters, surrogates, unassigned ones, line and paragraph separators.
_FORBIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def opaque_string(text: str) -> str:
    """Prepare a password, realm or user name with the OpaqueString profile (RFC 8265 4.2).

    Spaces other than ASCII's become U+0020, the text is brought to NFC, and case and width stay. ValueError
    if it is empty or has characters that the profile forbids: controls, format characters that are ignored
    when displayed, surrogates, private use and unassigned ones. Of RFC 8264's rules only the general
    categories are checked; so the joiners U+200C and U+200D count as forbidden wherever they stand.
    """
    spaced = "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in text)
    prepared = unicodedata.normalize("NFC", spaced)
    if not prepared:
        raise ValueError("an empty user name, realm or password")
    for letter in prepared:
        if unicodedata.category(letter) in _FORBIDDEN:
            raise ValueError(f"U+{ord(letter):04X} is not allowed in a user name, realm or password")
    return prepared


def short_term_key(password: str) -> bytes:
    """The key of the short-term mechanism, ICE's among others (RFC 8489 9.1.1)."""
    return opaque_string(password).encode()


def long_term_key(username: str, realm: str, password: str, algorithm: int = MD5) -> bytes:
    """The key of the long-term mechanism: 16 bytes for MD5, 32 for SHA-256 (RFC 8489 18.5.1).

    `realm` is taken as the server wrote it. ValueError: an algorithm that is not supported, or a character
    that a user name or password cannot have.
    """
    if algorithm not in SUPPORTED_ALGORITHMS:
        raise ValueError(f"password algorithm {algorithm} is not supported")
    text = f"{opaque_string(username)}:{realm}:{opaque_string(password)}".encode()
    return hashlib.new(_DIGEST_NAMES[algorithm], text, usedforsecurity=False).digest()


def userhash(username: str, realm: str) -> bytes:
    """The value of USERHASH, which hides the user's name (RFC 8489 14.4)."""
    return hashlib.sha256(f"{opaque_string(username)}:{realm}".encode()).digest()


class NonceFeatures(NamedTuple):
    """The security features that a server lists in its nonce (RFC 8489 9.2 and 18.1)."""

    password_algorithms: bool
    username_anonymity: bool


def make_nonce(
    opaque: bytes, *, password_algorithms: bool = False, username_anonymity: bool = False
) -> bytes:
    """A NONCE for servers: the nonce cookie with these features, then `opaque`."""
    features = password_algorithms * 0x000001 | username_anonymity * 0x000002
    return _NONCE_COOKIE + b64encode(features.to_bytes(3, "big")) + opaque


def nonce_features(nonce: bytes) -> NonceFeatures:
    """What a NONCE announces; nothing if it has no nonce cookie.

    Bit 0 is the rightmost one (erratum 6290), yet some servers count from the left, as the RFC's text had
    it. Both are read: the bits of the other reading mean nothing else.
    """
    encoded = nonce[len(_NONCE_COOKIE) : len(_NONCE_COOKIE) + 4]
    if not nonce.startswith(_NONCE_COOKIE) or len(encoded) < 4:
        return NonceFeatures(False, False)
    try:
        features = int.from_bytes(b64decode(encoded, validate=True), "big")
    except ValueError:
        return NonceFeatures(False, False)
    return NonceFeatures(
        bool(features & _PASSWORD_ALGORITHMS_BITS), bool(features & _USERNAME_ANONYMITY_BITS)
    )
