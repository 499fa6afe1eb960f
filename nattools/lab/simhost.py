"""A simulated node's view of its network: `nattools.net.base.Network` in memory."""

from __future__ import annotations

import asyncio

from nattools.lab.simnet import Node
from nattools.lab.simtcp import SimListener, SimStream
from nattools.lab.simudp import SimUdpSocket
from nattools.model.endpoint import Endpoint, Family
from nattools.model.host import Gateway, Interface
from nattools.model.report import Substrate
from nattools.net import addresses, resolve
from nattools.net.base import Capability, Opener, StreamHandler, TcpFailure, TcpStream


class SimNetwork:
    """The network as one node sees it. Names are those of the scenario's nodes. It lacks nothing."""

    substrate: Substrate = "sim"

    def __init__(self, node: Node) -> None:
        self._node = node
        self._stack = node.stack

    def interfaces(self) -> tuple[Interface, ...]:
        """All interfaces with their addresses, loopback first."""
        return self._node.plan.interfaces

    def gateways(self) -> tuple[Gateway, ...]:
        """Default routes, IPv4 before IPv6, the preferred one of each first."""
        return self._node.plan.gateways

    def route(self, destination: str) -> tuple[str | None, str] | None:
        """(interface name, source address) for a destination; None: no route."""
        hop = self._node.hop(destination)
        if hop.fate == "no-route" or not hop.source:
            return None
        name = "lo" if hop.fate == "local" else self._node.plan.ports[hop.port].layout.interface
        return name, hop.source

    async def resolve(self, name: str, family: Family | None = None) -> tuple[str, ...] | str:
        """Addresses of a node of the scenario, IPv4 first, or why there are none."""
        address = resolve.numeric(name)
        if address is not None:
            return resolve.of_family(name, (address,), family)
        answer = resolve.from_table(name, self._node.net.topology.names, family)
        return f"{name} does not resolve" if answer is None else answer

    async def open_udp(
        self,
        *,
        family: Family,
        host: str | None = None,
        port: int = 0,
        interface: str | None = None,
        dont_fragment: bool = False,
        group: str | None = None,
    ) -> SimUdpSocket:
        """A bound UDP socket; see `Network.open_udp`."""
        # every socket without an address of its own hears all groups
        host = host if group is None else None
        return self._stack.open_udp(family, host, port, interface, dont_fragment)

    async def connect_tcp(
        self,
        remote: Endpoint,
        *,
        host: str | None = None,
        port: int = 0,
        interface: str | None = None,
        timeout_s: float,
        opener: Opener | None = None,
    ) -> TcpStream | TcpFailure:
        """Connect; never takes longer than `timeout_s` seconds. CannotRun: the local end cannot be had."""
        loop = self._stack.loop
        done: asyncio.Future[TcpFailure | None] = loop.create_future()

        def settled(_: SimStream, failure: TcpFailure | None) -> None:
            if not done.done():
                done.set_result(failure)

        place = self._stack.place(remote.family, host, interface)
        stream = self._stack.connect(remote, place, port, settled, opener)
        if isinstance(stream, TcpFailure):
            return stream
        timeout = TcpFailure("timeout", f"no answer in {timeout_s:g} s")
        timer = loop.call_later(timeout_s, settled, stream, timeout)
        try:
            failure = await done
        except asyncio.CancelledError:
            stream.abort()
            raise
        finally:
            timer.cancel()
        if failure is None:
            return stream
        stream.give_up()
        return failure

    async def listen_tcp(
        self,
        *,
        family: Family,
        host: str | None = None,
        port: int = 0,
        interface: str | None = None,
        on_stream: StreamHandler,
    ) -> SimListener:
        """Listen; `on_stream` is called from the event loop for each accepted connection."""
        return self._stack.listen(family, host, port, interface, on_stream)

    def is_public(self, address: str) -> bool:
        """Can everybody on the internet route to this address?"""
        return addresses.is_public(address)

    def missing(self, capability: Capability) -> str | None:
        """None: the simulator can do everything."""
        return None
