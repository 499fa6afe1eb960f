"""Port mappings on the router: which protocols it offers, and mappings by them.

`places` tells where to ask, `discover` asks there by PCP, NAT-PMP and UPnP side by side and gives `Mapper`s,
and each of those makes, renews, deletes, lists and reads back mappings. Nothing here raises for a network
failure: what a router says, or does not say, is data.
"""

from nattools.probes.portmap.announcements import listen
from nattools.probes.portmap.discover import Discovery, discover, new_nonce
from nattools.probes.portmap.mapping import Made, make_mapping, remove_mapping
from nattools.probes.portmap.place import Place, places
from nattools.probes.portmap.terms import (
    Entry,
    Epoch,
    Failure,
    Granted,
    Mapper,
    Offer,
    Refused,
    Wanted,
    asking_from,
)

__all__ = [
    "Discovery",
    "Entry",
    "Epoch",
    "Failure",
    "Granted",
    "Made",
    "Mapper",
    "Offer",
    "Place",
    "Refused",
    "Wanted",
    "asking_from",
    "discover",
    "listen",
    "make_mapping",
    "new_nonce",
    "places",
    "remove_mapping",
]
