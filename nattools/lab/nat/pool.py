"""The outside addresses of a NAT that has several, and which of them a new mapping gets (RFC 4787 4.1)."""

from __future__ import annotations

import random
from ipaddress import ip_address

from nattools.lab.scenario import FirewallSpec, NatSpec


def outside_addresses(spec: NatSpec | FirewallSpec, first: str) -> tuple[str, ...]:
    """All of them, one after the other from the `first`."""
    count = spec.pool if isinstance(spec, NatSpec) else 1
    return (first,) if count == 1 else tuple(str(ip_address(first) + number) for number in range(count))


class AddressPool:
    """Chooses among `addresses` as the spec's `pooling` says. `rng` makes every choice."""

    def __init__(self, spec: NatSpec, addresses: tuple[str, ...], rng: random.Random) -> None:
        self._addresses = addresses
        self._pooling = spec.pooling
        self._rng = rng
        self._paired: dict[str, str] = {}
        self.turn = 0

    @property
    def by_destination(self) -> bool:
        """Is there one for each destination, as where two uplinks share the load?"""
        return self._pooling == "per-destination"

    def next(self) -> None:
        """Go on to the next address, where they are given out in turn."""
        self.turn = (self.turn + 1) % len(self._addresses)

    def choose(self, inside: str, destination: str) -> str:
        """The outside address of a new mapping."""
        if self._pooling == "arbitrary":
            return self._rng.choice(self._addresses)
        if self._pooling == "in-turn":
            return self._addresses[self.turn]
        if self.by_destination:
            return self._addresses[sum(ip_address(destination).packed) % len(self._addresses)]
        return self._paired.setdefault(inside, self._rng.choice(self._addresses))
