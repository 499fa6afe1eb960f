"""From the text that two people share to keys."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Final

import msgspec

from nattools.chance import random_bytes
from nattools.errors import CannotRun

LEAST_SECRET: Final = 8
"""Characters. A knock passes many networks, and whoever sees one can try secrets on it."""
_SALT: Final = b"nattools pwnat 1"
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP = 5, 5


class SharedKeys(msgspec.Struct, frozen=True):
    """`knock` authenticates knocks; `session` gives what the two have in common for one connection."""

    knock: bytes
    root: bytes

    def session(self, nonce: bytes) -> bytes:
        """32 bytes for the session that the caller has named so."""
        return hmac.digest(self.root, b"session " + nonce, "sha256")


@lru_cache(maxsize=16)
def keys_of(secret: str) -> SharedKeys:
    """By scrypt (RFC 7914), which makes each guess cost 16 MB and some 50 ms. CannotRun: there is not so much
    memory."""
    try:
        master = hashlib.scrypt(secret.encode(), salt=_SALT, n=2**14, r=8, p=1, maxmem=2**26, dklen=32)
    except (MemoryError, ValueError) as error:
        raise CannotRun("there is not enough memory to make keys of the secret: it takes 16 MB") from error
    return SharedKeys(hmac.digest(master, b"knock", "sha256"), hmac.digest(master, b"root", "sha256"))


def new_secret() -> str:
    """25 letters and digits, 123 bits: groups of five, none of them easily taken for another."""
    # of each byte only what gives every letter the same chance
    fair = 256 - 256 % len(_LETTERS)
    letters = ""
    while len(letters) < _GROUPS * _GROUP:
        letters += "".join(_LETTERS[each % len(_LETTERS)] for each in random_bytes(64) if each < fair)
    return "-".join(letters[start : start + _GROUP] for start in range(0, _GROUPS * _GROUP, _GROUP))
