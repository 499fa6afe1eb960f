"""Keys of the short-term and long-term credential mechanisms (RFC 8489 9.1.1, 9.2.2, 18.5.1)."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Final

from nattools.errors import ProtocolError
from nattools.protocols.stun.constants import MD5, SHA256

SUPPORTED_ALGORITHMS: Final = (SHA256, MD5)


def opaque_string(text: str) -> str:
    """Prepare a password, realm or user name with the OpaqueString profile (RFC 8265 4.2).

    Spaces other than ASCII's become U+0020, the text is brought to NFC, and case and width stay. ValueError
    if it is empty or has characters that the profile forbids: controls, format characters that are ignored
    when displayed, surrogates, private use and unassigned ones. Of the contextual rules of RFC 5892 only
    this is checked: the joiners U+200C and U+200D count as forbidden format characters.
    """
    spaced = "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in text)
    prepared = unicodedata.normalize("NFC", spaced)
    if not prepared:
        raise ValueError("an empty user name, realm or password")
    for letter in prepared:
        if unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
            raise ValueError(f"U+{ord(letter):04X} is not allowed in a user name, realm or password")
    return prepared


def short_term_key(password: str) -> bytes:
    """The key of the short-term mechanism, ICE's among others (RFC 8489 9.1.1)."""
    return opaque_string(password).encode()


def long_term_key(username: str, realm: str, password: str, algorithm: int = MD5) -> bytes:
    """The key of the long-term mechanism: 16 bytes for MD5, 32 for SHA-256 (RFC 8489 18.5.1).

    ProtocolError: an algorithm that is not supported.
    """
    text = f"{username}:{realm}:{opaque_string(password)}".encode()
    if algorithm == MD5:
        return hashlib.md5(text, usedforsecurity=False).digest()
    if algorithm == SHA256:
        return hashlib.sha256(text).digest()
    raise ProtocolError(f"password algorithm {algorithm} is not supported")


def userhash(username: str, realm: str) -> bytes:
    """The value of USERHASH, which hides the user's name (RFC 8489 14.4)."""
    return hashlib.sha256(f"{opaque_string(username)}:{realm}".encode()).digest()
