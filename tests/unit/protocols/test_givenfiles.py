"""Files that are compressed by gzip: all of their members, no more than is asked for, and nothing else."""

from __future__ import annotations

import gzip
import zlib

import pytest

from nattools.errors import ProtocolError
from nattools.protocols.givenfiles import MOST_MEMBERS, unpacked

MOST = 1_000_000
ONE, TWO = b'{"a": 1,\n' * 5000, b'"b": 2}\n'


def in_blocks(contents: bytes, size: int) -> bytes:
    """As bgzip writes a file: a member for each block, and an empty one at the end."""
    blocks = [contents[at : at + size] for at in range(0, len(contents), size)]
    return b"".join(gzip.compress(block) for block in (*blocks, b""))


@pytest.mark.parametrize(
    ("data", "contents"),
    [
        (b"plain", b"plain"),
        (gzip.compress(ONE), ONE),
        (gzip.compress(ONE) + gzip.compress(TWO), ONE + TWO),
        (gzip.compress(b"") + gzip.compress(TWO), TWO),
        (gzip.compress(ONE, 0) + gzip.compress(TWO, 0), ONE + TWO),
        (in_blocks(ONE + TWO, 700), ONE + TWO),
        (gzip.compress(ONE) + bytes(1000), ONE),
        (gzip.compress(b""), b""),
    ],
)
def test_all_members_are_read(data: bytes, contents: bytes) -> None:
    assert unpacked(data, MOST) == contents


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (gzip.compress(ONE) + b"x", "followed by 1 bytes of something else"),
        (gzip.compress(ONE) + bytes(9) + gzip.compress(TWO), "followed by"),
        (gzip.compress(ONE) + b"\x1f\x8b", "cut short"),
        (gzip.compress(ONE) + gzip.compress(TWO)[:-1], "cut short"),
        (gzip.compress(ONE) + gzip.compress(TWO)[:-8] + bytes(8), "damaged"),
        (gzip.compress(ONE) + b"\x1f\x8bsomething else", "damaged"),
        (gzip.compress(b"") * (MOST_MEMBERS + 1), f"in more than {MOST_MEMBERS} parts"),
    ],
)
def test_what_is_no_whole_file_is_told(data: bytes, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        unpacked(data, MOST)


@pytest.mark.parametrize(("each", "times"), [(MOST, 100), (1000, 1100)])
def test_of_what_is_too_large_there_is_little_more(each: int, times: int) -> None:
    """Also where no member alone is too large."""
    assert MOST < len(unpacked(gzip.compress(bytes(each)) * times, MOST)) <= 2 * MOST


def test_it_is_asked_of_no_more_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Unpacking:
        """Notes how much it may give."""

        def __init__(self) -> None:
            self._zlib = real(wbits=31)

        def decompress(self, data: bytes, most: int) -> bytes:
            asked.append(most)
            return self._zlib.decompress(data, most)

        def __getattr__(self, name: str) -> object:
            return getattr(self._zlib, name)

    real = zlib.decompressobj
    monkeypatch.setattr("nattools.protocols.givenfiles.zlib.decompressobj", lambda wbits: Unpacking())
    assert len(unpacked(gzip.compress(bytes(MOST * 50)), MOST)) == MOST + 1
    assert set(asked) == {MOST + 1}
