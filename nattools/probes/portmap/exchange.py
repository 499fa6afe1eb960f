"""Running a pure UDP transaction over a socket."""

from __future__ import annotations

import asyncio
from typing import Any

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.net.base import IcmpError, UdpSocket
from nattools.probes.portmap.place import Place
from nattools.protocols.repeated import RepeatedRequest

SILENCE_S = 1.9
"""How long to ask a router that says nothing at all: requests at 0, 0.25, 0.75 and 1.75 s."""
_HARMLESS = ("time-exceeded", "too-big")


class Exchange:
    """One transaction on one socket of its own. `problem` says why it was abandoned."""

    def __init__(self, transaction: RepeatedRequest[Any], server: Endpoint) -> None:
        self.transaction = transaction
        self.problem = ""
        self._server = server
        self._changed = asyncio.Event()

    async def run(self, place: Place) -> None:
        """Ask until there is an answer or patience ends; never raises for a network failure."""
        try:
            socket = await place.open_udp()
        except CannotRun as error:
            self._abandon(str(error))
            return
        try:
            socket.on_datagram, socket.on_icmp = self._datagram, self._icmp
            await self._drive(socket)
        finally:
            socket.close()

    def hurry(self, until: float) -> None:
        """Something else has answered: count silence from `until` on."""
        self.transaction.shorten(until)
        self._changed.set()

    async def _drive(self, socket: UdpSocket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            for data, destination in self.transaction.datagrams_to_send(loop.time()):
                failure = socket.send(data, destination)
                if failure is not None:
                    self._abandon(f"sending failed: {failure}")
            deadline = self.transaction.next_timeout()
            if deadline is None:
                return
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                self.transaction.handle_timeout(loop.time())

    def _datagram(self, data: bytes, source: Endpoint) -> None:
        if self.transaction.receive_datagram(data, source, asyncio.get_running_loop().time()):
            self._changed.set()

    def _icmp(self, error: IcmpError) -> None:
        if error.destination == self._server and error.kind not in _HARMLESS:
            self._abandon(f"ICMP {error.kind} from {error.offender or 'somewhere'}")

    def _abandon(self, problem: str) -> None:
        self.problem = self.problem or problem
        self.transaction.abandon()
        self._changed.set()
