"""The measuring machine as a report describes it."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.endpoint import Family

Surroundings = Literal["container", "wsl", "cloud"]
InterfaceKind = Literal["ethernet", "wireless", "vpn", "loopback", "virtual", "unknown"]


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """A network interface. `addresses` are in text form without prefix length."""

    name: str
    kind: InterfaceKind = "unknown"
    up: bool = True
    mtu: int | None = None
    addresses: tuple[str, ...] = ()


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """A default route. `address` is None on point-to-point links."""

    interface: str
    family: Family
    address: str | None = None
    metric: int | None = None


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """The route that packets to the internet take, as the system's rules and tables say: out of an interface
    (None: not known), from the own address `source`, to the router `gateway` (None: none is named)."""

    family: Family
    interface: str | None
    source: str
    gateway: str | None = None


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that measured: `measured_interface` is the one that the kernel chose for the servers,
    `ways` the route of each family that was measured (reports of earlier versions have none). `runs_in`: what
    the system says that it runs in, which may have a NAT or a firewall of its own."""

    os: str
    python: str = ""
    interfaces: tuple[Interface, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    measured_interface: str | None = None
    ways: tuple[Way, ...] = ()
    runs_in: Surroundings | None = None

    def kind(self, interface: str | None) -> InterfaceKind:
        """What the interface of that name is."""
        return next((each.kind for each in self.interfaces if each.name == interface), "unknown")
