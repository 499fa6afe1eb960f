"""A server's own endpoints in one address family, and which of them an answer can come from."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from nattools.model.endpoint import Endpoint

Role = tuple[int, int]
"""Which address (0 or 1) and which port (0 or 1)."""


class Site(msgspec.Struct, frozen=True):
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
