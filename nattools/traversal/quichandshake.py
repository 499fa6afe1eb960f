"""How a QUIC connection between two peers that share a secret comes about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aioquic._buffer import Buffer
from aioquic.quic.packet import QuicPacketType, pull_quic_header

from nattools.traversal.link import DatagramPath
from nattools.traversal.quicconnection import DATAGRAM_SIZE, connection
from nattools.traversal.quicdriver import BROKEN_OFF, UNPROVEN, QuicDriver

ATTEMPTS = 4
"""So many clients are heard at once; whoever does not know the secret is dropped with his first packet."""


class Handshake:
    """`completed` is called with the driver as soon as the peer is proven, before its first data is told of.

    The leader gives up when its connection fails. The follower goes on waiting for somebody who knows the
    secret: anybody can send a first packet (RFC 9001 5.2).
    """

    def __init__(
        self,
        path: DatagramPath,
        secret: bytes,
        *,
        leads: bool,
        completed: Callable[[QuicDriver], None],
    ) -> None:
        self.problem: str | None = None
        self._path = path
        self._secret = secret
        self._leads = leads
        self._completed = completed
        self._over = asyncio.Event()
        self._attempts: dict[bytes, QuicDriver] = {}

    async def run(self, timeout_s: float) -> str | None:
        """None when it is done, else why it failed."""
        self._path.attach(self._arrived, self._changed)
        if self._leads:
            self._begin(b"").connect()
        try:
            async with asyncio.timeout(timeout_s):
                await self._over.wait()
                return self.problem
        except TimeoutError:
            return self.problem or f"no answer over QUIC in {timeout_s:g} s"
        finally:
            self._drop_all()

    def _begin(self, original: bytes) -> QuicDriver:
        quic = connection(self._secret, leads=self._leads, original=None if self._leads else original)
        driver = self._attempts[original] = QuicDriver(quic, lambda data: self._path.send([data]))

        def completed() -> None:
            self._complete(original, driver)

        def ended(reason: str) -> None:
            self._failed(original, reason)

        driver.on_completed, driver.on_end = completed, ended
        return driver

    def _arrived(self, data: bytes, size: int) -> None:
        if not self._leads:
            self._look_for_client(data)
        for driver in list(self._attempts.values()):
            driver.arrived(data)
            if not self._leads and not driver.quic.proven and not driver.ended:
                driver.close(BROKEN_OFF, UNPROVEN)

    def _look_for_client(self, data: bytes) -> None:
        """A first packet from somebody new begins an attempt."""
        original = original_of(data)
        known = {*self._attempts, *(driver.quic.host_cid for driver in self._attempts.values())}
        if original is not None and original not in known and len(self._attempts) < ATTEMPTS:
            self._begin(original)

    def _complete(self, original: bytes, driver: QuicDriver) -> None:
        if not driver.quic.proven:
            driver.close(BROKEN_OFF, UNPROVEN)
            return
        del self._attempts[original]
        self._drop_all()
        driver.on_end = None
        self.problem = None
        self._completed(driver)
        self._over.set()

    def _failed(self, original: bytes, reason: str) -> None:
        self._attempts.pop(original, None)
        self.problem = reason
        if self._leads:
            self._over.set()

    def _changed(self) -> None:
        for driver in self._attempts.values():
            driver.wake()

    def _drop_all(self) -> None:
        attempts, self._attempts = self._attempts, {}
        for driver in attempts.values():
            driver.on_end = None
            driver.close(BROKEN_OFF, "")


def original_of(data: bytes) -> bytes | None:
    """Where a client's first packet goes to; None for any other datagram (RFC 9000 14.1: it is padded)."""
    if len(data) < DATAGRAM_SIZE:
        return None
    try:
        header = pull_quic_header(Buffer(data=data), host_cid_length=8)
    except ValueError:
        return None
    return header.destination_cid if header.packet_type is QuicPacketType.INITIAL else None
