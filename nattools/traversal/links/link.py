"""What carries a conversation between two machines once there is a path: secured, and the peer proven."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol

from nattools.model.endpoint import Endpoint

LinkKind = Literal["quic", "tls"]
Receive = Callable[[bytes, int], bool]
"""(data, size): datagrams one behind the other, each of `size` bytes, the last one perhaps shorter. Was there
news in them that only the peer can have sent?"""


class Ends(Protocol):
    """Whatever leads from one place to another."""

    @property
    def local(self) -> Endpoint | None:
        """Its own end at the moment, if it has one."""

    @property
    def remote(self) -> Endpoint | None:
        """The peer's end at the moment, if there is one."""


class DatagramPath(Ends, Protocol):
    """Datagrams to the one peer and from it, over whatever is the best at the moment, which may change while
    it is in use. It serves one link at a time."""

    def attach(self, receive: Receive, changed: Callable[[], None]) -> None:
        """From now on `receive` gets what arrives, and `changed` is called when the ends are others."""

    def detach(self) -> None:
        """Nobody is told any more. Idempotent."""

    def send(self, datagrams: list[bytes]) -> None:
        """Send now, or drop them if there is no way to send at the moment."""


class Link(Ends, Protocol):
    """One secure connection: bytes both ways, in order; and datagrams, which may be lost.

    It ends when the peer closes it or when its path is dead for too long. Over QUIC it lets go of its path
    then, which is closed by whoever made it; over TLS it closes its stream.
    """

    kind: LinkKind
    max_datagram: int
    on_datagram: Callable[[bytes], None] | None

    @property
    def ended(self) -> str | None:
        """Why it has ended, in words; None as long as there is something to read."""

    async def read(self, limit: int = 65536) -> bytes:
        """Some bytes; b"" when it has ended, whatever the reason."""

    def write(self, data: bytes) -> None:
        """Queue bytes; never raises for a network failure."""

    async def drain(self) -> None:
        """Wait until the queue is short again; never raises for a network failure."""

    def send_datagram(self, data: bytes) -> bool:
        """Send a datagram of at most `max_datagram` bytes; False if it was dropped here."""

    def move(self, path: DatagramPath) -> bool:
        """Go on over another path; False: this link has ended, or ends with the path that it has."""

    async def close(self) -> None:
        """Deliver what is queued, bounded in time, then say goodbye. Idempotent."""

    def abort(self) -> None:
        """End at once. Idempotent."""


class LinkEnd:
    """What links have in common, over whatever carries them: the bytes that have come, and why it ended.

    `_reason`: None until nothing more can come; `_said_all`: nothing more is to be written.
    """

    def __init__(self, kind: LinkKind, max_datagram: int, carrier: Ends) -> None:
        self.kind: LinkKind = kind
        self.max_datagram = max_datagram
        self.on_datagram: Callable[[bytes], None] | None = None
        self._carrier = carrier
        self._inbox = Inbox(self._taken)
        self._reason: str | None = None
        self._said_all = False

    @property
    def local(self) -> Endpoint | None:
        """Its own end at the moment."""
        return self._carrier.local

    @property
    def remote(self) -> Endpoint | None:
        """The peer's end at the moment."""
        return self._carrier.remote

    @property
    def ended(self) -> str | None:
        """Why it has ended, in words; None as long as there is something to read."""
        return None if self._inbox.waiting else self._reason

    async def read(self, limit: int = 65536) -> bytes:
        """Some bytes; b"" when it has ended, whatever the reason."""
        return await self._inbox.read(limit)

    def move(self, path: DatagramPath) -> bool:
        """A stream ends with its connection."""
        return False

    def _taken(self, size: int) -> None:
        """So many bytes were read."""
        raise NotImplementedError

    def _datagram(self, data: bytes) -> None:
        """One has come."""
        if self.on_datagram is not None and self._reason is None:
            self.on_datagram(data)


class Inbox:
    """For one reader. It has no bound of its own: whoever puts bytes in looks at `waiting`, and learns by
    `on_taken` how many were read."""

    def __init__(self, on_taken: Callable[[int], None]) -> None:
        self.waiting = 0
        self._on_taken = on_taken
        self._pieces: deque[bytes] = deque()
        self._ended = False
        self._reader: asyncio.Future[None] | None = None

    def put(self, data: bytes) -> None:
        """What arrives after the end is dropped."""
        if data and not self._ended:
            self._pieces.append(data)
            self.waiting += len(data)
            self._wake()

    def end(self, *, drop: bool = False) -> None:
        """No more will come; with `drop` what waits is lost, too."""
        self._ended = True
        if drop:
            self._pieces.clear()
            self.waiting = 0
        self._wake()

    async def read(self, limit: int) -> bytes:
        """Some bytes, at most `limit`; b"" at the end."""
        while not self._pieces and not self._ended:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        data = joined(self._pieces, limit)
        if data:
            self.waiting -= len(data)
            self._on_taken(len(data))
        return data

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


def joined(pieces: deque[bytes], limit: int) -> bytes:
    """Take bytes from the front, at most `limit`."""
    taken, size = [], 0
    while pieces and size < limit:
        piece = pieces.popleft()
        if len(piece) > limit - size:
            pieces.appendleft(piece[limit - size :])
            piece = piece[: limit - size]
        taken.append(piece)
        size += len(piece)
    return taken[0] if len(taken) == 1 else b"".join(taken)


class Changes:
    """Lets any number of coroutines wait for the next change of something."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def next(self) -> None:
        """Until `tell` is called."""
        change = asyncio.get_running_loop().create_future()
        self._waiting.append(change)
        await change

    def tell(self) -> None:
        """Something has changed."""
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            if not change.done():
                change.set_result(None)
