"""What the probes of the local network are given."""

from __future__ import annotations

from functools import cached_property

import msgspec

from nattools.model.endpoint import Family
from nattools.model.host import Interface
from nattools.net.base import Network
from nattools.probes.probe import Recorder


class LanContext(msgspec.Struct, frozen=True, dict=True):
    """`interface`: the one that is looked at, with `own` addresses by family; `listen_s`: for how long.
    `glance`: somebody waits for other answers, so that less is asked, and of machines that are found nothing
    is kept but their addresses."""

    network: Network
    recorder: Recorder
    interface: Interface
    own: dict[Family, str]
    listen_s: float = 2.0
    glance: bool = False

    @property
    def families(self) -> tuple[Family, ...]:
        """The families of which the interface has an address."""
        return tuple(self.own)

    def group(self, group: str) -> str:
        """As `open_udp` takes it: of IPv6 with the interface that it is on."""
        return f"{group}%{self.interface.name}" if ":" in group else group

    def is_router(self, address: str) -> bool:
        """Has it the hardware address of a router? Then it is one of that router's own addresses, or the
        router answers for it."""
        known = {
            each.address.partition("%")[0]: each.hardware
            for each in self.network.link_neighbours()
            if each.interface == self.interface.name
        }
        routers = {
            known.get(each.address.partition("%")[0], "")
            for each in self.network.gateways()
            if each.interface == self.interface.name and each.address
        }
        own = known.get(address.partition("%")[0], "")
        return bool(own) and own in routers

    @cached_property
    def _addresses(self) -> frozenset[str]:
        """All of this machine's."""
        interfaces = self.network.interfaces()
        return frozenset(each.partition("%")[0] for one in interfaces for each in one.addresses)

    def is_own(self, host: str) -> bool:
        """Is it this machine's?"""
        return host.partition("%")[0] in self._addresses

    def is_near(self, host: str) -> bool:
        """May it be on this network? Not if packets for it go to a router: then what came from there was
        forged."""
        way = self.network.way(host)
        return way is None or way.gateway is None
