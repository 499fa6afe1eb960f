"""QUIC (RFC 9000) over a path that may change: bytes on one stream each way, and DATAGRAM frames (RFC 9221).

Import cost: aioquic is imported with the first link that is made.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from nattools.traversal.link import Changes, DatagramPath, LinkEnd

if TYPE_CHECKING:
    from nattools.traversal.quicdriver import QuicDriver

MAX_WAITING_DATAGRAMS: Final = 64
CLOSE_S: Final = 60.0
"""`close` waits for the peer's confirmation as long as confirmations come at all, and so long after the
last."""
_LEADERS_STREAM: Final = 2
_FOLLOWERS_STREAM: Final = 3
"""The first unidirectional stream of each side (RFC 9000 2.1): either side may be the first to write."""


async def quic_link(path: DatagramPath, secret: bytes, *, leads: bool, timeout_s: float) -> QuicLink | str:
    """Connect to the peer at the other end of the path, who knows the same 32 bytes. Exactly one side leads.

    A text says why it failed; then the path is as it was. A link owns its path."""
    from nattools.traversal.quichandshake import Handshake

    links: list[QuicLink] = []

    def completed(driver: QuicDriver) -> None:
        links.append(QuicLink(driver, path, leads=leads))

    handshake = Handshake(path, secret, leads=leads, completed=completed)
    try:
        problem = await handshake.run(timeout_s)
    except BaseException:
        for link in links:
            link.abort()
        raise
    finally:
        if not links:
            path.detach()
    return links[0] if links else problem or "the handshake failed"


class QuicLink(LinkEnd):
    """`nattools.traversal.link.Link` over QUIC, once the peer is proven."""

    def __init__(self, driver: QuicDriver, path: DatagramPath, *, leads: bool) -> None:
        from nattools.traversal.quicconnection import MAX_DATAGRAM

        super().__init__("quic", MAX_DATAGRAM, path)
        self._driver = driver
        self._quic = driver.quic
        self._path = path
        self._own_stream = _LEADERS_STREAM if leads else _FOLLOWERS_STREAM
        self._changes = Changes()
        driver.on_bytes, driver.on_datagram = self._bytes, self._datagram
        driver.on_end, driver.on_progress = self._over, self._changes.tell
        path.attach(driver.arrived, driver.path_changed)
        driver.keep_alive()

    def write(self, data: bytes) -> None:
        """Queue bytes; after the end they are lost."""
        if data and self._reason is None and not self._said_all:
            self._quic.send_stream_data(self._own_stream, data)
            self._driver.wake()

    async def drain(self) -> None:
        """Wait until what is written next leaves soon, or the link has ended."""
        while self._reason is None and self._quic.unsent(self._own_stream) > self._quic.room:
            await self._changes.next()

    def send_datagram(self, data: bytes) -> bool:
        """Of at most `max_datagram` bytes; False if it was dropped here."""
        if self._reason is not None or len(data) > self.max_datagram:
            return False
        if self._quic.datagrams_waiting >= MAX_WAITING_DATAGRAMS:
            return False
        self._quic.send_datagram_frame(data)
        self._driver.wake()
        return True

    async def close(self) -> None:
        """Deliver what is queued, as long as the peer takes it, then say goodbye. Idempotent."""
        from nattools.traversal.quicdriver import GOODBYE

        if self._reason is None and not self._said_all:
            self._said_all = True
            self._quic.send_stream_data(self._own_stream, b"", end_stream=True)
            self._driver.wake()
        with contextlib.suppress(TimeoutError):
            while not self._delivered():
                async with asyncio.timeout(CLOSE_S):
                    await self._some_delivered()
        self._driver.close(GOODBYE, "closed on this side")

    def abort(self) -> None:
        """End at once; what waits to be read is dropped. Idempotent."""
        from nattools.traversal.quicdriver import BROKEN_OFF

        self._driver.close(BROKEN_OFF, "broken off on this side")
        self._inbox.end(drop=True)

    def move(self, path: DatagramPath) -> bool:
        """Go on over another path."""
        if self._reason is not None:
            return False
        self._path = self._carrier = path
        self._driver.send = lambda data: path.send([data])
        path.attach(self._driver.arrived, self._driver.path_changed)
        return True

    # --- what happens

    def _unconfirmed(self) -> int:
        return 0 if self._reason is not None else self._quic.unacknowledged(self._own_stream)

    def _delivered(self) -> bool:
        return self._reason is not None or self._quic.delivered(self._own_stream)

    async def _some_delivered(self) -> None:
        before = self._unconfirmed()
        while not self._delivered() and self._unconfirmed() == before:
            await self._changes.next()

    def _taken(self, size: int) -> None:
        self._quic.consumed += size
        if self._quic.credit_due:
            self._driver.wake()

    def _bytes(self, data: bytes, last: bool) -> None:
        self._inbox.put(data)
        if last:
            self._finish("the peer closed the connection")

    def _finish(self, reason: str) -> None:
        """Nothing more can be read or written; what has arrived can still be read."""
        if self._reason is None:
            self._reason = reason
        self._inbox.end()
        self._changes.tell()

    def _over(self, reason: str) -> None:
        self._finish(reason)
        self._path.detach()
