"""What the machines of a lab see of the internet at a moment: a glance, not a measurement."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from nattools.errors import CannotRun, ProtocolError
from nattools.lab.layout import Layout
from nattools.lab.scenario import Scenario
from nattools.model.endpoint import Endpoint
from nattools.net.base import Network, UdpSocket
from nattools.net.eventloop import TimedEvent
from nattools.protocols import stun

_WAITS_S = (0.25, 0.25, 0.75)
"""After each time that a server is asked; the last one for those that share a busy machine with it."""
Seen = dict[Endpoint, Endpoint]
"""By each server's address that answers, from where it sees a flow come."""


class ServerFlow:
    """A flow of a machine's to STUN servers, over one UDP socket. Use it with `async with`."""

    def __init__(self, network: Network, asked: tuple[Endpoint, ...]) -> None:
        self._network = network
        self._asked = asked
        self._socket: UdpSocket | None = None
        self._waiting: dict[bytes, Endpoint] = {}
        self._seen: Seen = {}
        self._answered = TimedEvent()

    async def __aenter__(self) -> Self:
        try:
            self._socket = await self._network.open_udp(family=4)
        except CannotRun:
            return self
        self._socket.on_datagram = self._heard
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            self._socket.close()

    def _heard(self, data: bytes, source: Endpoint) -> None:
        try:
            answer = stun.decode(data)
        except ProtocolError:
            return
        server = self._waiting.get(answer.transaction_id)
        if server == source and answer.mapped is not None:
            self._seen[server] = answer.mapped
            if len(self._seen) == len(self._asked):
                self._answered.set()

    async def ask(self) -> Seen:
        """Ask all servers now."""
        self._waiting = {stun.new_transaction_id(): each for each in self._asked}
        self._seen = {}
        self._answered.clear()
        for wait_s in _WAITS_S if self._socket is not None and linked(self._network) else ():
            for transaction, server in self._waiting.items():
                if server not in self._seen and self._socket is not None:
                    self._socket.send(stun.binding_request(transaction), server)
            if await self._answered.wait(wait_s):
                break
        return self._seen


def linked(network: Network) -> bool:
    """Has the machine an address at all?"""
    return any(each.kind != "loopback" and each.up and each.addresses for each in network.interfaces())


async def view_from_outside(network: Network, asked: tuple[Endpoint, ...]) -> str:
    """What a new flow looks like from outside, in a few words."""
    if not linked(network):
        return "no link"
    async with ServerFlow(network, asked) as flow:
        seen = await flow.ask()
    if not seen:
        return "no answer"
    hosts = " and ".join(dict.fromkeys(each.host for each in seen.values()))
    ports = ", the same port for each" if len(set(seen.values())) == 1 else ", another port for each"
    silent = len(asked) - len(seen)
    return f"{hosts}{ports if len(seen) > 1 else ''}{f', {silent} of {len(asked)} silent' if silent else ''}"


def change(before: Seen, after: Seen) -> str | None:
    """What became of a flow, in a few words; None: nothing, or what a new flow shows as well."""
    both = before.keys() & after.keys()
    if all(before[each] == after[each] for each in both):
        return None
    return (
        "comes from another port"
        if all(before[e].host == after[e].host for e in both)
        else "comes from another address"
    )


def stun_addresses(scenario: Scenario, layout: Layout) -> tuple[Endpoint, ...]:
    """The IPv4 addresses of a scenario's servers, each with its port, in the order of the file."""
    return tuple(
        Endpoint(address.ip, spec.port)
        for name, spec in scenario.server.items()
        for port in layout.ports_of(name)
        for address in port.addresses
        if ":" not in address.ip
    )
