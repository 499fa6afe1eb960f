"""From a shared code to keys, and messages sealed under them.

SPAKE2 in its symmetric form: whoever does not know the code learns from a whole exchange no more than whether
one guess was right. HKDF-SHA256 (RFC 5869) makes from its key one key and one proof for each direction;
ChaCha20-Poly1305 (RFC 8439) seals, the message's number being the nonce. The direction with the lower SPAKE2
message is "low": so both sides agree without the mailbox telling them who is who.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from nattools.chance import random_bytes
from nattools.errors import ProtocolError
from nattools.protocols.mailbox.messages import MAX_NAMEPLATE, MAX_ROOM, PROOF_SIZE, Sealed

if TYPE_CHECKING:
    from spake2 import SPAKE2_Symmetric

_CONTEXT: Final = b"nattools mailbox 1 "


class Agreement:
    """One try to agree on a key. `element` is for the other side, which does the same.

    Imports `spake2` and costs about 10 ms of computing for each of its two steps.
    """

    def __init__(self, secret: bytes, nameplate: int) -> None:
        from spake2 import SPAKE2_Symmetric

        self._exchange: SPAKE2_Symmetric = SPAKE2_Symmetric(
            secret, idSymmetric=_CONTEXT + str(nameplate).encode(), entropy_f=random_bytes
        )
        self.element: bytes = self._exchange.start()

    def finish(self, element: bytes) -> Channel:
        """The channel that follows from the other side's element; once only. ProtocolError: it is none."""
        from spake2.spake2 import SPAKEError

        try:
            key: bytes = self._exchange.finish(element)
        except (SPAKEError, ValueError, AssertionError) as error:
            raise ProtocolError(f"not a message of SPAKE2: {error or 'wrong side'}") from None
        return Channel(key, low=self.element < element)


class Channel:
    """Seals what goes to the other side and opens what comes from it.

    `proof` is to be sent first; only a side with the same key can make the other side's, `expected_proof`.
    """

    def __init__(self, key: bytes, *, low: bool) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        self._key = key
        own, other = (b"low", b"high") if low else (b"high", b"low")
        self.proof = _derive(key, b"proof " + own, PROOF_SIZE)
        self.expected_proof = _derive(key, b"proof " + other, PROOF_SIZE)
        self._seal = ChaCha20Poly1305(_derive(key, b"seal " + own, 32))
        self._open = ChaCha20Poly1305(_derive(key, b"seal " + other, 32))

    def proves(self, proof: bytes) -> bool:
        """Does the other side have the same key?"""
        return hmac.compare_digest(proof, self.expected_proof)

    def seal(self, sequence: int, plaintext: bytes) -> Sealed:
        """Seal the message with this number; each number once."""
        return Sealed(sequence, self._seal.encrypt(_nonce(sequence), plaintext, None))

    def open(self, sealed: Sealed) -> bytes:
        """ProtocolError: not sealed by the other side with this number."""
        plaintext = _decrypt(self._open, sealed)
        if plaintext is None:
            raise ProtocolError("a message does not authenticate")
        return plaintext

    def is_own(self, sealed: Sealed) -> bool:
        """Was it sealed by this side, and comes back?"""
        return _decrypt(self._seal, sealed) is not None

    def export(self, label: str, size: int = 32) -> bytes:
        """Key material for another purpose, the same on both sides: for example to bind certificates."""
        return _derive(self._key, b"export " + label.encode(), size)

    @property
    def room(self) -> int:
        """The number of a room that nobody but the two sides can name before they enter it."""
        drawn = int.from_bytes(_derive(self._key, b"room", 16), "big")
        return MAX_NAMEPLATE + 1 + drawn % (MAX_ROOM - MAX_NAMEPLATE)


def _derive(key: bytes, info: bytes, size: int) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), size, salt=None, info=_CONTEXT + info).derive(key)


def _nonce(sequence: int) -> bytes:
    return sequence.to_bytes(12, "big")


def _decrypt(cipher: object, sealed: Sealed) -> bytes | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    assert isinstance(cipher, ChaCha20Poly1305)
    try:
        return cipher.decrypt(_nonce(sealed.sequence), sealed.box, None)
    except InvalidTag:
        return None
