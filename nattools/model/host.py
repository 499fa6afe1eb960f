"""The measuring machine as a report describes it."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.endpoint import Family

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


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that measured: `measured_interface` is the one that the kernel chose for the servers."""

    os: str
    python: str = ""
    interfaces: tuple[Interface, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    measured_interface: str | None = None
