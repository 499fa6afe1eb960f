"""Text files as people give them: compressed by gzip, or in the encoding that their shell writes. Pure."""

from __future__ import annotations

import zlib
from typing import Final

from nattools.errors import ProtocolError

_GZIP: Final = b"\x1f\x8b"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
"""How a redirection in PowerShell begins."""


def unpacked(data: bytes, most: int) -> bytes:
    """What gzip has compressed (RFC 1952), or `data` as it is: of what is larger than `most` bytes, at least
    one byte more than that. ProtocolError: compressed, and no whole file."""
    if not data.startswith(_GZIP) or len(data) > most:
        return data
    unpacking = zlib.decompressobj(wbits=31)
    try:
        contents = unpacking.decompress(data, most + 1)
    except zlib.error as error:
        raise ProtocolError(f"compressed, and damaged: {error}") from None
    if not unpacking.eof and len(contents) <= most:
        raise ProtocolError("compressed, and cut short")
    return contents


def as_utf8(data: bytes) -> bytes:
    """Text as UTF-8 without a mark at its beginning, whether that told UTF-8 or UTF-16."""
    if data.startswith(_UTF16):
        return data.decode("utf-16", "replace").encode()
    return data.removeprefix(b"\xef\xbb\xbf")
