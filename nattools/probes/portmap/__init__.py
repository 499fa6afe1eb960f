"""Port mappings on the router: which protocols it offers, and mappings by them.

`gateway_contexts` says whom to ask, `discover.discover` asks them by PCP, NAT-PMP and UPnP side by side and
gives `Mapper`s; each of those makes, renews, deletes, lists and reads back mappings. Nothing here raises for
a network failure: what a router says, or does not say, is data.

Many probes want a word of this alone: what speaks the protocols is imported from its own module.
"""

from nattools.probes.portmap.gateway import (
    GatewayContext,
    gateway_contexts,
    gateways_of_host,
    named_gateway,
    owns_address,
)
from nattools.probes.portmap.mapper import (
    Granted,
    Listing,
    Mapper,
    MappingRequest,
    Refused,
    TableEntry,
    asking_from,
    remove_mapping,
)

__all__ = [
    "GatewayContext",
    "Granted",
    "Listing",
    "Mapper",
    "MappingRequest",
    "Refused",
    "TableEntry",
    "asking_from",
    "gateway_contexts",
    "gateways_of_host",
    "named_gateway",
    "owns_address",
    "remove_mapping",
]
