"""What carries a conversation between two machines once there is a path: secured, and the peer proven."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from nattools.model.endpoint import Endpoint


class DatagramPath(Protocol):
    """Datagrams to the one peer and from it, over whatever socket is the best at the moment: the path may
    change while it is in use, without anybody above noticing but by what `on_change` tells."""

    on_datagram: Callable[[bytes], None] | None
    on_change: Callable[[], None] | None

    @property
    def local(self) -> Endpoint | None:
        """Its own end at the moment, if there is a path."""

    @property
    def remote(self) -> Endpoint | None:
        """The peer's end at the moment, if there is a path."""

    def send(self, data: bytes) -> None:
        """Send now, or drop it if there is no path at the moment."""

    def close(self) -> None:
        """Idempotent."""


class Link(Protocol):
    """One secure connection: bytes both ways, in order; and datagrams, which may be lost.

    It ends when the peer closes it or when its path is dead for too long. It owns its path or stream, and
    closes it when it ends.
    """

    kind: Literal["quic", "tls"]
    max_datagram: int
    on_datagram: Callable[[bytes], None] | None

    @property
    def local(self) -> Endpoint | None:
        """Its own end at the moment."""

    @property
    def remote(self) -> Endpoint | None:
        """The peer's end at the moment."""

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
