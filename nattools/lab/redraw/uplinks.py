"""The ways out of a machine, as its report shows them."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.endpoint import Family
from nattools.model.host import Interface
from nattools.model.report import Report
from nattools.net.addresses import carries_ipv4_over_ipv6, is_public

Overriding = Literal["by-rule", "by-halves", "by-metric"]


class Uplink(msgspec.Struct, frozen=True, kw_only=True):
    """An interface with a way out. `measured`: the families that were measured through it; `routed`: those
    that have a default route there; `six`: it has a public IPv6 address. `tunnel`: no cable. `overrides`:
    it is preferred to others by that. `position`: its place among the host's interfaces."""

    interface: Interface
    measured: tuple[Family, ...]
    routed: tuple[Family, ...]
    six: bool
    tunnel: bool
    position: int
    overrides: Overriding | None = None

    @property
    def translates_to_ipv6(self) -> bool:
        """Is it 464XLAT's (RFC 7335)?"""
        return any(carries_ipv4_over_ipv6(address) for address in self.interface.addresses)

    @property
    def has_ipv4(self) -> bool:
        """Has it an IPv4 address?"""
        return any(":" not in address for address in self.interface.addresses)


def uplinks_of(report: Report) -> list[Uplink]:
    """Those with a default route, or through which something was measured, in the order of the machine."""
    host = report.host
    ways = {way.interface: way for way in host.ways}
    through = {way.family: way.interface for way in host.ways}
    measured = host.measured_interface
    found = []
    carriers = [each for each in host.interfaces if each.kind != "loopback"]
    for position, interface in enumerate(carriers):
        routed = tuple(sorted({each.family for each in host.gateways if each.interface == interface.name}))
        families = tuple(family for family, name in sorted(through.items()) if name == interface.name)
        if not routed and not families and interface.name != measured:
            continue
        found.append(
            Uplink(
                interface=interface,
                measured=families,
                routed=routed or families,
                six=any(":" in address and is_public(address) for address in interface.addresses),
                tunnel=interface.kind == "vpn" or (interface.kind == "virtual" and interface.name in ways),
                position=position,
                overrides=_overrides(report, interface),
            )
        )
    return found


def _overrides(report: Report, interface: Interface) -> Overriding | None:
    """A tunnel that carries what others have a route for, and names no router: wg-quick's rule."""
    gateways = [each for each in report.host.gateways if each.interface == interface.name]
    if interface.kind == "vpn" and gateways and all(each.address is None for each in gateways):
        return "by-rule"
    return None
