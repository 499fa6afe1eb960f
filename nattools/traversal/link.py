"""What carries a conversation between two machines once there is a path: secured, and the peer proven."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from nattools.model.endpoint import Endpoint
from nattools.traversal.inbox import Inbox

LinkKind = Literal["quic", "tls"]


class Ends(Protocol):
    """Whatever leads from one place to another."""

    @property
    def local(self) -> Endpoint | None:
        """Its own end at the moment, if it has one."""

    @property
    def remote(self) -> Endpoint | None:
        """The peer's end at the moment, if there is one."""


class DatagramPath(Ends, Protocol):
    """Datagrams to the one peer and from it, over whatever socket is the best at the moment: the path may
    change while it is in use, without anybody above noticing but by what `on_change` tells."""

    on_datagram: Callable[[bytes], None] | None
    on_change: Callable[[], None] | None

    def send(self, data: bytes) -> None:
        """Send now, or drop it if there is no path at the moment."""

    def close(self) -> None:
        """Idempotent."""


class Link(Ends, Protocol):
    """One secure connection: bytes both ways, in order; and datagrams, which may be lost.

    It ends when the peer closes it or when its path is dead for too long. It owns its path or stream, and
    closes it when it ends.
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
        """Of at most `max_datagram` bytes; False if it was dropped here."""

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

    def _taken(self, size: int) -> None:
        """So many bytes were read."""
        raise NotImplementedError

    def _datagram(self, data: bytes) -> None:
        """One has come."""
        if self.on_datagram is not None and self._reason is None:
            self.on_datagram(data)
