"""Noise_XX_25519_ChaChaPoly_SHA256 (the Noise Protocol Framework, revision 34): both ends learn each other's
static keys, and share two keys afterwards.

    -> e
    <- e, ee, s, es
    -> s, se
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from nattools.chance import random_bytes
from nattools.errors import ProtocolError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

NAME: Final = b"Noise_XX_25519_ChaChaPoly_SHA256"
KEY_SIZE: Final = 32
TAG_SIZE: Final = 16
MAX_MESSAGE: Final = 65_535
MAX_CLEAR: Final = MAX_MESSAGE - TAG_SIZE
_LAST_NONCE: Final = (1 << 64) - 2


class Cipher:
    """One direction of a conversation (CipherState, 5.1): messages in their order."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        self._cipher = ChaCha20Poly1305(key)
        self._count = 0

    def encrypt(self, clear: bytes, beside: bytes = b"") -> bytes:
        """`clear` has at most 65,519 bytes; `beside` is authenticated with it."""
        return self._cipher.encrypt(self._nonce(), clear, beside)

    def decrypt(self, sealed: bytes, beside: bytes = b"") -> bytes:
        """ProtocolError: it is not what the other end encrypted next."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(self._nonce(), sealed, beside)
        except (InvalidTag, ValueError):
            raise ProtocolError("a message that cannot be decrypted") from None

    def _nonce(self) -> bytes:
        if self._count > _LAST_NONCE:
            raise ProtocolError("as many messages as one key may have")
        nonce = bytes(4) + self._count.to_bytes(8, "little")
        self._count += 1
        return nonce


class NoiseXX:
    """One end's handshake: `write` and `read` by turns, the one that `initiates` first, three messages in
    all. Then `ciphers` has (what is sent, what is received), and `remote_static` is the other end's key.

    `static` and `ephemeral` are private keys of 32 bytes (None: new ones)."""

    def __init__(
        self,
        *,
        initiates: bool,
        static: bytes | None = None,
        ephemeral: bytes | None = None,
        prologue: bytes = b"",
    ) -> None:
        self._initiates = initiates
        self._static = _private(static)
        self._ephemeral = _private(ephemeral)
        self._remote_ephemeral = b""
        self.remote_static = b""
        self.static = self._static.public_key().public_bytes_raw()
        self.ciphers: tuple[Cipher, Cipher] | None = None
        self._chaining = self._hash = NAME
        self._cipher: Cipher | None = None
        self._step = 0
        self._mix_hash(prologue)

    @property
    def writes(self) -> bool:
        """Is it this end's turn to write?"""
        return self.ciphers is None and (self._step % 2 == 0) == self._initiates

    def write(self, payload: bytes) -> bytes:
        """The next message. ValueError: it is not this end's turn, or too long."""
        if not self.writes:
            raise ValueError("it is the other end's turn")
        message = b""
        if self._step < 2:
            message = self._ephemeral.public_key().public_bytes_raw()
            self._mix_hash(message)
        if self._step == 1:
            self._mix_key(self._shared(self._ephemeral, self._remote_ephemeral))
        if self._step > 0:
            message += self._encrypt(self.static)
            self._mix_key(self._shared(self._static, self._remote_ephemeral))
        message += self._encrypt(payload)
        if len(message) > MAX_MESSAGE:
            raise ValueError("a payload that no message holds")
        self._next()
        return message

    def read(self, message: bytes) -> bytes:
        """The payload of the next message. ProtocolError: it is not what it has to be; all is over then.
        ValueError: it is this end's turn."""
        if self.writes or self.ciphers is not None:
            raise ValueError("it is not the other end's turn")
        at = 0
        if self._step < 2:
            if len(message) < KEY_SIZE:
                raise ProtocolError("a handshake message is cut off")
            self._remote_ephemeral = message[:KEY_SIZE]
            self._mix_hash(self._remote_ephemeral)
            at = KEY_SIZE
        if self._step == 1:
            self._mix_key(self._shared(self._ephemeral, self._remote_ephemeral))
        if self._step > 0:
            end = at + KEY_SIZE + TAG_SIZE
            if len(message) < end:
                raise ProtocolError("a handshake message is cut off")
            self.remote_static = self._decrypt(message[at:end])
            at = end
            self._mix_key(self._shared(self._ephemeral, self.remote_static))
        payload = self._decrypt(message[at:])
        self._next()
        return payload

    def _next(self) -> None:
        self._step += 1
        if self._step == 3:
            first, second = (Cipher(key) for key in _derive(self._chaining, b""))
            self.ciphers = (first, second) if self._initiates else (second, first)

    @staticmethod
    def _shared(own: X25519PrivateKey, other: bytes) -> bytes:
        """ProtocolError: a key with which every secret is the same (RFC 7748 6.1)."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

        try:
            return own.exchange(X25519PublicKey.from_public_bytes(other))
        except ValueError:
            raise ProtocolError("a key that makes no secret") from None

    def _mix_hash(self, data: bytes) -> None:
        self._hash = hashlib.sha256(self._hash + data).digest()

    def _mix_key(self, secret: bytes) -> None:
        self._chaining, key = _derive(self._chaining, secret)
        self._cipher = Cipher(key)

    def _encrypt(self, clear: bytes) -> bytes:
        sealed = clear if self._cipher is None else self._cipher.encrypt(clear, self._hash)
        self._mix_hash(sealed)
        return sealed

    def _decrypt(self, sealed: bytes) -> bytes:
        clear = sealed if self._cipher is None else self._cipher.decrypt(sealed, self._hash)
        self._mix_hash(sealed)
        return clear


def _derive(chaining: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """Two keys (HKDF, 4.3)."""
    root = hmac.digest(chaining, secret, "sha256")
    first = hmac.digest(root, b"\x01", "sha256")
    return first, hmac.digest(root, first + b"\x02", "sha256")


def _private(key: bytes | None) -> X25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(random_bytes(KEY_SIZE) if key is None else key)
