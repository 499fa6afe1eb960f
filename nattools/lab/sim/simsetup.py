"""What a simulated host's system has been told of IPv6."""

from __future__ import annotations

from nattools.lab.sim.topology import NodePlan
from nattools.model.host import ConfiguredAddress, ConfiguredRouter, Ipv6Setup


def ipv6_setup_of(plan: NodePlan) -> Ipv6Setup:
    """As somebody has set it up: nobody sends router advertisements here."""
    addresses = (
        ConfiguredAddress(
            address=each.ip,
            interface=port.layout.interface,
            prefix_length=each.prefix,
            temporary=False,
            stable=True,
        )
        for port in plan.ports
        for each in port.layout.addresses
        if ":" in each.ip
    )
    routers = (
        ConfiguredRouter(address=each.address, interface=each.interface, source="static")
        for each in plan.gateways
        if each.family == 6
    )
    return Ipv6Setup(addresses=tuple(addresses), routers=tuple(routers), disabled=False)
