"""An interface of a simulated node, as the scenario has it and as a report describes it."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

from nattools.lab.layout import STANDBY_METRIC, Port, Segment
from nattools.model.endpoint import Family, family_of
from nattools.model.host import Gateway, Interface, InterfaceKind
from nattools.net.addresses import carries_ipv4_over_ipv6

ETHERNET_MTU = 1500
Network = IPv4Network | IPv6Network


class PortPlan:
    """An interface of a node: the layout's port with its segment and networks."""

    def __init__(self, port: Port, segment: Segment) -> None:
        self.layout = port
        self.segment = segment
        self.networks: tuple[Network, ...] = tuple(ip_network(a.network) for a in port.addresses)
        self.addresses: tuple[str, ...] = tuple(address.ip for address in port.addresses)
        self.prefixes: dict[Family, str] = {family_of(a.ip): a.network for a in port.addresses}
        impairment = segment.impairments.get(port.node)
        self.mtu: int = (impairment.mtu if impairment else None) or ETHERNET_MTU

    @property
    def described(self) -> Interface:
        """As a report describes it."""
        return Interface(
            name=self.layout.interface,
            kind=self._kind,
            up=self.layout.link,
            mtu=self.mtu,
            addresses=self.addresses if self.layout.link else (),
        )

    @property
    def _kind(self) -> InterfaceKind:
        if not self.layout.vpn:
            return "ethernet"
        return "virtual" if any(map(carries_ipv4_over_ipv6, self.addresses)) else "vpn"

    def address(self, family: Family) -> str | None:
        """The first own address of a family."""
        return next((a for a in self.addresses if family_of(a) == family), None)

    def gateway(self, family: Family) -> str | None:
        """The default router of a family."""
        return next((g for g in self.layout.gateways if family_of(g) == family), None)

    def default_routes(self, family: Family, metric: int) -> list[Gateway]:
        """The default routes that leave here, and the one that is not taken."""
        found = [(self.described_gateway(family), metric)] if self.gateway(family) is not None else []
        if self.layout.standby is not None and family == 4:
            found.append((self.layout.standby, STANDBY_METRIC))
        return [
            Gateway(interface=self.layout.interface, family=family, address=address, metric=number)
            for address, number in found
            if self.layout.uplink
        ]

    def described_gateway(self, family: Family) -> str | None:
        """As the system's tables have it."""
        return None if self.layout.unnamed_gateway else self.gateway(family)
