"""Text files as people give them: compressed by gzip, or in the encoding that their shell writes. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from nattools.errors import ProtocolError

_GZIP: Final = b"\x1f\x8b"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
"""How a redirection in PowerShell begins."""
MOST_MEMBERS: Final = 10_000
_PIECE: Final = 16_384
"""Bytes that are fed at a time: what follows a member is copied at its end."""


def unpacked(data: bytes, most: int) -> bytes:
    """What gzip has compressed (RFC 1952), or `data` as it is: of what is larger than `most` bytes, at least
    one byte more than that. A file may have several members one after the other (2.2), as `cat a.gz b.gz` and
    bgzip make it: their contents follow each other. Zeros at the end are padding, as for gzip(1).
    ProtocolError: compressed, and no whole file, or followed by something else."""
    if not data.startswith(_GZIP) or len(data) > most:
        return data
    contents = bytearray()
    try:
        for part in _members(data, most):
            contents += part
            if len(contents) > most:
                break
    except zlib.error as error:
        raise ProtocolError(f"compressed, and damaged: {error}") from None
    return bytes(contents)


def _members(data: bytes, most: int) -> Iterator[bytes]:
    """The contents of all members in parts, none of them larger than `most` bytes and one."""
    at = 0
    for _ in range(MOST_MEMBERS):
        unpacking = zlib.decompressobj(wbits=31)
        while not unpacking.eof:
            piece = data[at : at + _PIECE]
            if not piece:
                raise ProtocolError("compressed, and cut short")
            part = unpacking.decompress(piece, most + 1)
            at += len(piece) - len(unpacking.unused_data)
            yield part
        if not data.startswith(_GZIP, at):
            rest = len(data) - at
            if data.count(b"\0", at) == rest:
                return
            raise ProtocolError(f"compressed, and followed by {rest} bytes of something else")
    raise ProtocolError(f"compressed, in more than {MOST_MEMBERS} parts")


def as_utf8(data: bytes) -> bytes:
    """Text as UTF-8 without a mark at its beginning, whether that told UTF-8 or UTF-16."""
    if data.startswith(_UTF16):
        return data.decode("utf-16", "replace").encode()
    return data.removeprefix(b"\xef\xbb\xbf")
