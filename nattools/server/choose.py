"""Which of a machine's own addresses to serve on when nobody says: those of the default route's interface."""

from __future__ import annotations

from nattools.errors import CannotRun
from nattools.model.endpoint import Family, family_of, parse_address
from nattools.net.base import Network

# Where the default route is asked for; nothing is sent there.
_FAR_AWAY: dict[Family, str] = {4: "198.41.0.4", 6: "2001:503:ba3e::2:30"}


def default_addresses(network: Network) -> tuple[str, ...]:
    """Up to two addresses of each family: the one that the default route uses, and if that interface has
    another of the same kind (public or not), that one too. CannotRun: there is no default route at all."""
    families: tuple[Family, ...] = (4, 6)
    found = tuple(address for family in families for address in _of_family(network, family))
    if not found:
        raise CannotRun(
            "this machine has no default route, so there is no telling which address to serve on",
            "Name one or two of its addresses: --listen ADDRESS.",
        )
    return found


def _of_family(network: Network, family: Family) -> tuple[str, ...]:
    route = network.route(_FAR_AWAY[family])
    if route is None or parse_address(route[1]).is_loopback:
        return ()
    name, first = route
    others = (
        address
        for interface in network.interfaces()
        if interface.name == name
        for address in interface.addresses
        if address != first and family_of(address) == family and not parse_address(address).is_link_local
    )
    second = next((each for each in others if network.is_public(each) == network.is_public(first)), None)
    return (first,) if second is None else (first, second)
