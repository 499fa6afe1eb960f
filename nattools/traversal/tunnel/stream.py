"""One stream of a tunnel, as its user holds it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from nattools.protocols.tunnel import Purpose, TunnelSession
from nattools.traversal.links.link import Changes, joined

SMALL: Final = 1024
"""Pieces that are smaller together are kept as one."""


class TunnelStream:
    """Bytes both ways, in order, each way ended for itself; through losses of the connection.

    `failed`: None, or why the stream was reset or the tunnel ended before the stream did, as a sentence.
    `over`: each side has all of the other's bytes, or it failed. Datagrams go beside it, on the connection
    that there is at the time, and may be lost.
    """

    def __init__(
        self,
        number: int,
        purpose: Purpose,
        session: TunnelSession,
        changed: Callable[[], None],
        send_datagram: Callable[[int, bytes], bool],
    ) -> None:
        self.id = number
        self.purpose = purpose
        self.failed: str | None = None
        self.over = False
        self.on_datagram: Callable[[bytes], None] | None = None
        self.on_reset: Callable[[TunnelStream], None] | None = None
        self._session = session
        self._changed = changed
        self._send_datagram = send_datagram
        self._received: deque[bytes] = deque()
        self._ended = False
        self._changes = Changes()

    async def read(self, limit: int = 262_144) -> bytes:
        """Some bytes; b"" at the end, and once it has failed."""
        while not self._received and not self._ended and not self.over:
            await self._changes.next()
        if not self._received:
            return b""
        data = joined(self._received, limit)
        self._session.consume(self.id, len(data))
        self._changed()
        return data

    def write(self, data: bytes) -> None:
        """Queue bytes. They are kept until the peer has them, so drain between writes; never raises."""
        if data and not self.over:
            self._session.write(self.id, data)
            self._changed()

    @property
    def kept(self) -> int:
        """Bytes that were written and are not known to have arrived."""
        return self._session.kept(self.id)

    async def drain(self) -> None:
        """Wait until there is room for more, or it is over."""
        while not self.over and not self._session.has_room(self.id):
            await self._changes.next()

    def end(self) -> None:
        """Nothing more will be written; reading goes on. Idempotent."""
        self._session.end(self.id)
        self._changed()

    def reset(self, reason: str) -> None:
        """End both ways at once and tell the peer why. Idempotent."""
        if not self.over:
            self._session.reset(self.id, reason)
            self.note_over(reason)
            if self.on_reset is not None:
                self.on_reset(self)
            self._changed()

    async def finished(self) -> str | None:
        """Wait until it is over; None if all went well, else why not."""
        while not self.over:
            await self._changes.next()
        return self.failed

    def send_datagram(self, data: bytes) -> bool:
        """Of at most the tunnel's `max_datagram` bytes; False if it was dropped here."""
        return not self.over and self._send_datagram(self.id, data)

    # What the tunnel tells.

    def note_data(self, data: bytes) -> None:
        """Bytes have come."""
        last = len(self._received[-1]) if self._received else SMALL
        if last + len(data) < SMALL:  # or each byte would take fifty
            data = self._received.pop() + data
        self._received.append(data)
        self._changes.tell()

    def note_end(self) -> None:
        """The peer has no more to say."""
        self._ended = True
        self._changes.tell()

    def note_progress(self) -> None:
        """The peer has more of what was written."""
        self._changes.tell()

    def note_over(self, failed: str | None = None) -> None:
        """Done, or failed: then what was not read yet is dropped."""
        if self.over:
            return
        self.over, self.failed = True, failed
        if failed is not None:
            self._received.clear()
        self._changes.tell()
