"""Pieces of a sequence of bytes that have come before their turn. Pure.

A peer may send the same piece again and again, or leave a hole behind each byte: what is kept is bounded all
the same, in bytes and in number.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final

MOST_PIECES: Final = 32_768
"""Nobody honest leaves so many holes: there are as many as connections that are sent over."""


class EarlyPieces:
    """`add` what is early, and `due` gives it once it is its turn. It keeps at most twice `span` bytes, where
    all that is added lies within `span` bytes."""

    def __init__(self, span: int) -> None:
        self._span = span
        self._pieces: list[tuple[int, bytes]] = []
        self.size = 0

    def __len__(self) -> int:
        return len(self._pieces)

    def add(self, offset: int, data: bytes) -> bool:
        """Keep it. False: there are more holes than an honest peer leaves, and it is time to end."""
        if data:
            self._push(offset, data)
        if self.size > 2 * self._span or len(self._pieces) > MOST_PIECES:
            self._merge()
            return len(self._pieces) <= MOST_PIECES // 2
        return True

    def due(self, expected: int) -> Iterator[tuple[int, bytes]]:
        """Those that begin at `expected` or before, in order, and their offsets; each moves it on."""
        while self._pieces and self._pieces[0][0] <= expected:
            offset, data = heapq.heappop(self._pieces)
            self.size -= len(data)
            yield offset, data
            expected = max(expected, offset + len(data))

    def _push(self, offset: int, data: bytes) -> None:
        heapq.heappush(self._pieces, (offset, data))
        self.size += len(data)

    def _merge(self) -> None:
        """Keep no byte twice, and one piece for what has no hole."""
        pieces, self._pieces, self.size = sorted(self._pieces), [], 0
        begin, run = pieces[0][0], bytearray()
        for offset, data in pieces:
            known = begin + len(run) - offset
            if known < 0:
                self._push(begin, bytes(run))
                begin, run, known = offset, bytearray(), 0
            run += data[known:]
        self._push(begin, bytes(run))
