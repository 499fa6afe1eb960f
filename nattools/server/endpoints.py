"""A server's own endpoints in one address family, and which of them an answer can come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family, family_of, parse_address
from nattools.net.addresses import FAR_AWAY, kind_of
from nattools.net.base import Network

Role = tuple[int, int]
"""Which address (0 or 1) and which port (0 or 1)."""


class ServerEndpoints(msgspec.Struct, frozen=True):
    """One or two addresses, each with the same one or two ports: `endpoints[address][port]`."""

    endpoints: tuple[tuple[Endpoint, ...], ...]

    def __iter__(self) -> Iterator[tuple[Role, Endpoint]]:
        """All roles with their endpoints."""
        for address, row in enumerate(self.endpoints):
            for port, endpoint in enumerate(row):
                yield (address, port), endpoint

    def at(self, role: Role) -> Endpoint:
        """The endpoint in this role."""
        return self.endpoints[role[0]][role[1]]

    def changed(self, role: Role, change_address: bool, change_port: bool) -> Role | None:
        """The role with the address or port exchanged (RFC 5780 6.1, table 1); None: there is none."""
        address, port = role[0] ^ change_address, role[1] ^ change_port
        if address < len(self.endpoints) and port < len(self.endpoints[address]):
            return address, port
        return None

    def other(self, role: Role) -> Endpoint | None:
        """What OTHER-ADDRESS says to a request that came to this role: both exchanged, or None.

        RFC 5780 6: without the same ports on two addresses there is no OTHER-ADDRESS in any answer.
        """
        changed = self.changed(role, True, True)
        return None if changed is None else self.at(changed)


def dialled_from(network: Network, site: ServerEndpoints) -> Callable[[str], bool]:
    """Which addresses a server may dial back to. Never one of this machine: a client that comes through a
    proxy here seems to have it. And none that is not public where the server is: what it can reach on its own
    network is not for its clients."""
    public = any(network.is_public(endpoint.host) for _, endpoint in site)

    def dials(address: str) -> bool:
        route = network.route(address)
        own = route is not None and route[1] == address.partition("%")[0]
        if own or kind_of(address) in ("loopback", "unspecified", "multicast"):
            return False
        return network.is_public(address) or not public

    return dials


# Where the default route is asked for; nothing is sent there.


def default_addresses(network: Network) -> tuple[str, ...]:
    """Up to two addresses of each family: the one that the default route uses, and if that interface has
    another of the same kind (public or not), that one too. CannotRun: there is no default route at all."""
    families: tuple[Family, ...] = (4, 6)
    found = tuple(address for family in families for address in _of_family(network, family))
    if not found:
        raise CannotRun(
            "this machine has no default route, so nattools cannot choose an address to serve on",
            "Name one or two of its addresses: --listen ADDRESS.",
        )
    return found


def _of_family(network: Network, family: Family) -> tuple[str, ...]:
    route = network.route(FAR_AWAY[family])
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
