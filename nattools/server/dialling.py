"""Carries out dial-backs: datagrams, connections and echo requests to the client's own address, and what
comes back instead of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.net.base import EchoReply, IcmpError, MachineSocket, Network, SendFailure, TcpFailure
from nattools.net.eventloop import TimedEvent
from nattools.protocols.dialback import Outcome
from nattools.protocols.icmp import ErrorKind
from nattools.server.dialbackserver import Order
from nattools.server.endpoints import Role, ServerEndpoints
from nattools.server.socketerrors import SocketErrors

_DIAL_TIMEOUT_S: Final = 3.0
_NOT_SENT: Final[dict[SendFailure, Outcome]] = {
    "unreachable": "unreachable",
    "prohibited": "prohibited",
    "too-big": "error",
    "refused": "refused",
    "error": "error",
}
_NOT_CONNECTED: Final[dict[str, Outcome]] = {
    "refused": "refused",
    "reset": "refused",
    "timeout": "timeout",
    "unreachable": "unreachable",
    "prohibited": "prohibited",
    "error": "error",
}
_ERRORS: Final[dict[ErrorKind, Outcome]] = {
    "port-unreachable": "refused",
    "prohibited": "prohibited",
    "unreachable": "unreachable",
}
"""What an ICMP error means that came back; the others say nothing of the target."""
_TELLING: Final[tuple[Outcome, ...]] = (
    "connected",
    "refused",
    "prohibited",
    "unreachable",
    "timeout",
    "error",
)


class Dialled(NamedTuple):
    """What came of an order: from which own endpoint, and who sent the ICMP error, if one came."""

    outcome: Outcome
    origin: Endpoint
    offender: str | None = None


class _Connected(Exception):  # noqa: N818 -- it is no error
    """One connection attempt succeeded, which ends the others."""


class _Complaints:
    """The ICMP errors about what a socket sent to one address; the first that means something counts."""

    def __init__(self) -> None:
        self.outcome: Outcome | None = None
        self.offender: str | None = None
        self.came = TimedEvent()

    def take(self, error: IcmpError) -> None:
        """An error came."""
        outcome = _ERRORS.get(error.kind)
        if outcome is not None and self.outcome is None:
            self.outcome, self.offender = outcome, error.offender
            self.came.set()


class Dialler:
    """The dial-backs of one address family, from the server's own sockets."""

    def __init__(
        self,
        network: Network,
        site: ServerEndpoints,
        sockets: Mapping[Role, MachineSocket],
        errors: SocketErrors,
    ) -> None:
        self._network = network
        self._site = site
        self._sockets = sockets
        self._errors = errors
        self._listening: dict[Endpoint, _Complaints] = {}

    async def dial(self, order: Order) -> Dialled:
        """Carry out an order. To those who ask for no more than they knew of old, what is prohibited is
        unreachable."""
        match order.ask.transport:
            case "udp":
                found = await self._send_copies(order)
            case "tcp":
                found = await self._connect(order)
            case "icmp":
                found = await self._ping(order)
        if found.outcome == "prohibited" and not order.ask.listen_ms:
            return found._replace(outcome="unreachable")
        return found

    def _on_icmp(self, error: IcmpError) -> None:
        complaints = self._listening.get(error.destination)
        if complaints is not None:
            complaints.take(error)

    async def _send_copies(self, order: Order) -> Dialled:
        """ "sent" if any of them was, and nothing came back in the time that is listened for."""
        origin, failures = self._site.at(order.role), list[SendFailure | None]()
        complaints = _Complaints()
        if order.ask.listen_ms:
            self._listening[order.target] = complaints
            self._errors.hear(order.role, self._on_icmp)
        try:
            for number, datagram in enumerate(order.datagrams):
                if failures:
                    await asyncio.sleep(order.ask.spacing_ms / 1000)
                failures.append(self._send(order, datagram, order.target_of(number)))
            if order.ask.listen_ms:
                await complaints.came.wait(order.ask.listen_ms / 1000)
        finally:
            if self._listening.get(order.target) is complaints:
                del self._listening[order.target]
        if complaints.outcome is not None:
            return Dialled(complaints.outcome, origin, complaints.offender)
        failure = failures[-1]
        return Dialled("sent" if failure is None or None in failures else _NOT_SENT[failure], origin)

    def _send(self, order: Order, datagram: bytes, to: Endpoint) -> SendFailure | None:
        socket, form = self._sockets[order.role], order.ask.form
        return socket.send(datagram, to) if form == "whole" else socket.send_formed(datagram, to, form)

    async def _ping(self, order: Order) -> Dialled:
        """ "connected" if an echo request was answered."""
        own = Endpoint(self._site.at(order.role).host, 0)
        try:
            socket = await self._network.open_icmp(family=own.family, host=own.host)
        except CannotRun:
            return Dialled("error", own)
        complaints, target = _Complaints(), order.target.host

        def replied(reply: EchoReply) -> None:
            if reply.source == target and reply.payload == order.ask.nonce:
                complaints.outcome, complaints.offender = "connected", None
                complaints.came.set()

        socket.on_reply, socket.on_icmp = replied, complaints.take
        try:
            failures: list[SendFailure | None] = []
            for number in range(order.ask.copies):
                if number and await complaints.came.wait(order.ask.spacing_ms / 1000):
                    break
                failures.append(socket.send_echo(target, number, order.ask.nonce))
            await complaints.came.wait(order.ask.listen_ms / 1000)
        finally:
            socket.close()
        if complaints.outcome is not None:
            return Dialled(complaints.outcome, own, complaints.offender)
        failure = failures[-1]
        return Dialled("timeout" if failure is None or None in failures else _NOT_SENT[failure], own)

    async def _connect(self, order: Order) -> Dialled:
        """Attempt to connect until one attempt succeeds; else the most telling outcome."""
        found: list[Dialled] = []
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(len(order.datagrams)):
                    if number:
                        await asyncio.sleep(order.ask.spacing_ms / 1000)
                    group.create_task(self._attempt(order, number, found))
        except* _Connected:
            pass
        return min(found, key=lambda each: _TELLING.index(each.outcome))

    async def _attempt(self, order: Order, number: int, found: list[Dialled]) -> None:
        """Add the outcome and the own endpoint; its port is 0 where the system chose one that is not known.
        _Connected: no other attempt is needed."""
        found.append(await self._dial_once(order, number))
        if found[-1].outcome == "connected":
            raise _Connected

    async def _dial_once(self, order: Order, number: int) -> Dialled:
        own = self._site.at(order.role)
        origin = Endpoint(own.host, 0 if order.ask.change_port else own.port)
        timeout_s = order.ask.listen_ms / 1000 or _DIAL_TIMEOUT_S
        try:
            stream = await self._network.connect_tcp(
                order.target, host=origin.host, port=origin.port, timeout_s=timeout_s
            )
        except CannotRun:
            return Dialled("error", origin)
        if isinstance(stream, TcpFailure):
            return Dialled(_NOT_CONNECTED[stream.outcome], origin)
        stream.write(order.datagrams[number])
        stream.close()
        return Dialled("connected", stream.local)
