"""A network around another one, which does it all: who changes something of it overrides that alone."""

from __future__ import annotations

from typing import Unpack

from nattools.model.endpoint import Endpoint, Family
from nattools.model.host import Environment, Gateway, Interface, Ipv6Setup, LinkNeighbour, Way
from nattools.model.report import Substrate
from nattools.net.base import (
    ArrivalWatch,
    Capability,
    ConnectOptions,
    IcmpOptions,
    IcmpSocket,
    ListenOptions,
    MachineSocket,
    Network,
    SendFailure,
    TcpFailure,
    TcpListener,
    TcpStream,
    UdpOptions,
)
from nattools.protocols.nat64 import Nat64Prefix


class WrappedNetwork:
    """A `Network` that passes every call on to `inner`."""

    def __init__(self, inner: Network) -> None:
        self.substrate: Substrate = inner.substrate
        self.inner = inner

    def interfaces(self) -> tuple[Interface, ...]:
        return self.inner.interfaces()

    def gateways(self) -> tuple[Gateway, ...]:
        return self.inner.gateways()

    def route(self, destination: str) -> tuple[str | None, str] | None:
        return self.inner.route(destination)

    def way(self, destination: str, *, source: str | None = None, interface: str | None = None) -> Way | None:
        return self.inner.way(destination, source=source, interface=interface)

    async def resolve(self, name: str, family: Family | None = None) -> tuple[str, ...] | str:
        return await self.inner.resolve(name, family)

    async def resolve_texts(self, name: str) -> tuple[str, ...] | str:
        return await self.inner.resolve_texts(name)

    async def advertised_nat64(self) -> tuple[Nat64Prefix, ...] | None:
        return await self.inner.advertised_nat64()

    async def open_udp(self, **options: Unpack[UdpOptions]) -> MachineSocket:
        return await self.inner.open_udp(**options)

    async def connect_tcp(
        self, remote: Endpoint, **options: Unpack[ConnectOptions]
    ) -> TcpStream | TcpFailure:
        return await self.inner.connect_tcp(remote, **options)

    async def listen_tcp(self, **options: Unpack[ListenOptions]) -> TcpListener:
        return await self.inner.listen_tcp(**options)

    async def open_icmp(self, **options: Unpack[IcmpOptions]) -> IcmpSocket:
        return await self.inner.open_icmp(**options)

    def send_packet(self, packet: bytes) -> SendFailure | None:
        return self.inner.send_packet(packet)

    def watch_arrivals(self, family: Family) -> ArrivalWatch:
        return self.inner.watch_arrivals(family)

    def ipv6_setup(self) -> Ipv6Setup:
        return self.inner.ipv6_setup()

    def link_neighbours(self) -> tuple[LinkNeighbour, ...]:
        return self.inner.link_neighbours()

    def runs_in(self) -> Environment | None:
        return self.inner.runs_in()

    def is_public(self, address: str) -> bool:
        return self.inner.is_public(address)

    def missing(self, capability: Capability) -> str | None:
        return self.inner.missing(capability)
