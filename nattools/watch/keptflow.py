"""A flow that is kept busy, and watched: some NATs end mappings that are in use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.model.statement import Statement, statement
from nattools.net.base import Network, UdpSocket
from nattools.net.exchange import run
from nattools.protocols import stun
from nattools.watch.sleepmeter import Clock, SleepMeter

EVERY_S = 10.0
"""Well below the shortest lifetime that a NAT may have (RFC 4787 4.3)."""
_LATE_S = 10.0
"""Two such waits are still shorter than any lifetime (RFC 4787 REQ-5)."""
_RTO_S, _COPIES, _PATIENCE = 0.5, 4, 2
Said = Callable[[Statement, str, str | float | None, str | float | None], None]
"""Hears of an event: what happened, to what, what was before and what is now."""


class KeptFlow:
    """One socket that asks a server for its outside endpoint again and again. If that changes, or nothing is
    answered any more while a new socket is, `said` hears of it and a new flow begins. Silence on both says
    nothing about the NAT, and is left to the measurements; nor does what a flow meets after the machine
    slept by `clock`, since it was not kept busy."""

    def __init__(self, network: Network, said: Said, *, clock: Clock, interface: str | None) -> None:
        self._network = network
        self._said = said
        self._clock = clock
        self._interface = interface
        self._server: Endpoint | None = None
        self._found = asyncio.Event()

    def use(self, server: Endpoint) -> None:
        """Ask this one from the next flow on."""
        self._server = server
        self._found.set()

    async def run(self) -> None:
        """Keep a flow going until cancelled."""
        while True:
            await self._found.wait()
            if not await self._flow():
                await asyncio.sleep(EVERY_S)

    async def _flow(self) -> bool:
        """One flow to its end. False: there was none to begin with."""
        loop = asyncio.get_running_loop()
        assert self._server is not None
        server = self._server
        try:
            socket = await self._open(server)
        except CannotRun:
            return False
        try:
            first = await self._ask(socket, server)
            began = last = loop.time()
            meter = SleepMeter(self._clock)
            while first is not None:
                asked = loop.time()
                await asyncio.sleep(EVERY_S)
                if loop.time() - asked > EVERY_S + _LATE_S:
                    return True
                seen = await self._ask(socket, server)
                renewed = seen is None and await self._answers_another(server)
                if meter.slept_s():
                    return True
                if seen == first:
                    last = loop.time()
                elif seen is not None:
                    self._moved(first, seen, loop.time() - began)
                    return True
                elif renewed:
                    says = statement("watch-flow-died", seconds=round(last - began), server=str(server))
                    self._said(says, "flow", str(first), None)
                    return True
                elif self._server != server:
                    return True
            return False
        finally:
            socket.close()

    def _moved(self, before: Endpoint, now: Endpoint, age_s: float) -> None:
        says = statement("watch-flow-moved", seconds=round(age_s), before=str(before), after=str(now))
        self._said(says, "flow", str(before), str(now))

    async def _open(self, server: Endpoint) -> UdpSocket:
        return await self._network.open_udp(family=server.family, interface=self._interface)

    async def _answers_another(self, server: Endpoint) -> bool:
        try:
            socket = await self._open(server)
        except CannotRun:
            return False
        try:
            return await self._ask(socket, server) is not None
        finally:
            socket.close()

    async def _ask(self, socket: UdpSocket, server: Endpoint) -> Endpoint | None:
        """The outside endpoint, or None."""
        question = stun.binding_request(stun.new_transaction_id())
        asked = stun.Transaction(question, server, rto_s=_RTO_S, rc=_COPIES, rm=_PATIENCE, check_source=True)
        await run(asked, socket)
        answer = asked.response if asked.state == "succeeded" else None
        return None if answer is None else answer.mapped
