"""The long-term credential mechanism and its keys (RFC 8489 9.2, 18.5.1)."""

from __future__ import annotations

import hashlib
import unicodedata
from base64 import b64decode, b64encode
from typing import Final, NamedTuple, Protocol

import msgspec

from nattools.protocols.stun import constants as c
from nattools.protocols.stun.attributes import pack_algorithms
from nattools.protocols.stun.codec import IntegrityAlgorithm, encode, verify_integrity
from nattools.protocols.stun.constants import MD5, SHA256
from nattools.protocols.stun.message import Attribute, Message

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


_ADDED: Final = frozenset(
    {c.USERNAME, c.USERHASH, c.REALM, c.NONCE, c.PASSWORD_ALGORITHM, c.PASSWORD_ALGORITHMS}
)


class Authentication(Protocol):
    """What a transaction needs to know of credentials."""

    def sign(self, request: Message, *, fingerprint: bool = False) -> bytes:
        """The request as bytes, with what authenticates it."""

    def verify(self, response: Message) -> bool:
        """May this response to the request signed last be believed?"""

    def renew(self, response: Message) -> str | None:
        """Learn from a 401 or 438 response: None if the request is to be signed and sent anew, else why
        that would be of no use. ProtocolError: a malformed challenge."""


class LongTermAuthentication:
    """The long-term mechanism: a user's name and password, a realm and a nonce from the server.

    The first request goes out bare; its 401 response brings realm and nonce. ValueError: a name or password
    that cannot be one.
    """

    def __init__(self, username: str, password: str) -> None:
        self._username = opaque_string(username)
        self._password = opaque_string(password)
        self._realm: str | None = None
        self._nonce = b""
        self._algorithm: int | None = None
        self._offered: bytes | None = None
        self._anonymous = False
        self._key = b""

    @property
    def realm(self) -> str | None:
        """The server's realm, None before its first challenge."""
        return self._realm

    def sign(self, request: Message, *, fingerprint: bool = False) -> bytes:
        """The request, with credentials once the server has asked for them (RFC 8489 9.2.3)."""
        bare = msgspec.structs.replace(request, attributes=_without(request, _ADDED), raw=b"")
        if self._realm is None:
            return encode(bare, fingerprint=fingerprint)
        attributes = (*bare.attributes, *self._credentials(self._realm))
        signed = msgspec.structs.replace(bare, attributes=attributes)
        # SHA-256 alone once the server has shown that it knows it (RFC 8489 9.2.5, at its end).
        algorithm: IntegrityAlgorithm = "sha1" if self._offered is None else "sha256"
        return encode(signed, key=self._key, algorithm=algorithm, fingerprint=fingerprint)

    def verify(self, response: Message) -> bool:
        """Signed with the key of the request; a bare request is answered barely."""
        nonce = response.nonce
        if nonce and nonce_features(nonce).password_algorithms and response.password_algorithms is None:
            return False
        if self._realm is None:
            return True
        return verify_integrity(response, self._key, algorithm="sha1" if self._offered is None else "sha256")

    def renew(self, response: Message) -> str | None:
        """Take realm, nonce and password algorithm from a challenge (RFC 8489 9.2.5)."""
        error = response.error
        realm, nonce, offered = response.realm or self._realm, response.nonce, response.password_algorithms
        if not realm or not nonce:
            return "the server's challenge lacks a realm or a nonce"
        if error is not None and error[0] == 401 and realm == self._realm:
            return "the server does not accept the user name and password"
        features = nonce_features(nonce)
        if features.password_algorithms and not offered:
            return "the list of password algorithms was removed from the server's challenge"
        chosen = next((number for number, _ in offered or () if number in SUPPORTED_ALGORITHMS), None)
        if offered and chosen is None:
            return "the server offers only password algorithms that nattools does not support"
        self._realm, self._nonce, self._algorithm = realm, nonce, chosen
        self._offered = response.get(c.PASSWORD_ALGORITHMS) if offered else None
        self._anonymous = features.username_anonymity
        self._key = long_term_key(self._username, realm, self._password, chosen or c.MD5)
        return None

    def _credentials(self, realm: str) -> tuple[Attribute, ...]:
        user = (c.USERNAME, self._username.encode())
        if self._anonymous:
            user = (c.USERHASH, userhash(self._username, realm))
        credentials = [user, (c.NONCE, self._nonce), (c.REALM, realm.encode())]
        if self._offered is not None and self._algorithm is not None:
            credentials.append((c.PASSWORD_ALGORITHMS, self._offered))
            credentials.append((c.PASSWORD_ALGORITHM, pack_algorithms(((self._algorithm, b""),))))
        return tuple(credentials)


def _without(request: Message, dropped: frozenset[int]) -> tuple[Attribute, ...]:
    if request.kind != "request":
        raise ValueError(f"only requests are signed here, not a {request.kind}")
    return tuple(item for item in request.attributes if item[0] not in dropped)
