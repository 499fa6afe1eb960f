"""A fake router's table of mappings, one for all three protocols. Pure."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import msgspec

from nattools.lab.nat.bindings import Forwards
from nattools.lab.routers.routerbehaviour import RouterBehaviour
from nattools.model.endpoint import Endpoint, Transport

OTHER_MACHINE = "10.0.1.77"


class TableMapping(msgspec.Struct, frozen=True, kw_only=True):
    """`expires` is in seconds on the router's clock; `nonce` is PCP's, "nat-pmp" for that, b"" for UPnP;
    `service` is the number of the UPnP service that made it."""

    transport: Transport
    outside: Endpoint
    inside: Endpoint
    expires: float
    description: str = ""
    nonce: bytes = b""
    number: int = 0
    service: int = 0


class MappingTable:
    """Mappings by transport and outside endpoint. `forwards` is what makes them true; None: nothing does."""

    def __init__(self, behaviour: RouterBehaviour, external: str, forwards: Forwards | None) -> None:
        self.external = external
        self._behaviour = behaviour
        self._forwards = forwards
        self._rows: dict[tuple[Transport, Endpoint], TableMapping] = {}
        self._numbers = 0
        self._later: list[tuple[float, Callable[[], object]]] = []

    def apply(self, change: Callable[[], object], now: float) -> None:
        """Make a change: at once, or by `settle`, where the router takes its time."""
        delay_s = self._behaviour.applies_after_s
        if delay_s:
            self._later.append((now + delay_s, change))
        else:
            change()

    def settle(self, now: float) -> None:
        """Make the changes that are due."""
        due = [change for at, change in self._later if at <= now]
        self._later = [each for each in self._later if each[0] > now]
        for change in due:
            change()

    def rows(self, now: float) -> list[TableMapping]:
        """The mappings that are alive, the oldest first."""
        return [row for row in self._rows.values() if row.expires > now]

    def find(self, transport: Transport, port: int, now: float) -> TableMapping | None:
        """The port mapping of that external port."""
        row = self._rows.get((transport, Endpoint(self.external, port)))
        if row is not None and row.expires > now:
            return row
        if port in self._behaviour.taken:
            outside, inside = Endpoint(self.external, port), Endpoint(OTHER_MACHINE, port)
            return TableMapping(
                transport=transport, outside=outside, inside=inside, expires=inf, description="other"
            )
        return None

    def of(self, transport: Transport, inside: Endpoint, nonce: bytes, now: float) -> TableMapping | None:
        """The mapping that a client made before for that inside, by its nonce."""
        rows = self.rows(now)
        return next((r for r in rows if (r.transport, r.inside, r.nonce) == (transport, inside, nonce)), None)

    def numbered(self, number: int, now: float) -> TableMapping | None:
        """The pinhole of that number."""
        return next((row for row in self.rows(now) if row.number == number), None)

    def is_full(self, now: float) -> bool:
        """Does it refuse one more?"""
        return self._behaviour.room is not None and len(self.rows(now)) >= self._behaviour.room

    def free_port(self, transport: Transport, wanted: int, now: float) -> int:
        """The wanted port, or the next one that is free."""
        port = max(wanted, 1024)
        while self.find(transport, port, now) is not None:
            port = port + 1 if port < 65535 else 1024
        return port

    def add(
        self,
        transport: Transport,
        port: int,
        inside: Endpoint,
        lifetime_s: float,
        now: float,
        *,
        description: str = "",
        nonce: bytes = b"",
        service: int = 0,
    ) -> TableMapping:
        """Make or replace a mapping; over IPv6 it is a pinhole. A lifetime of 0 means for ever."""
        outside = inside if ":" in inside.host else Endpoint(self.external, port)
        self._numbers += 1
        expires = now + lifetime_s if lifetime_s else inf
        row = TableMapping(
            transport=transport,
            outside=outside,
            inside=inside,
            expires=expires,
            description=description,
            nonce=nonce,
            number=self._numbers,
            service=service,
        )
        if self._behaviour.full:
            return row
        other = self._rows.get(("tcp" if transport == "udp" else "udp", outside))
        if other is not None and self._behaviour.one_per_port:
            self.remove(other)
        self._rows[transport, outside] = row
        if self._forwards is not None and not self._behaviour.lies:
            own_number = self._behaviour.to_own_number and nonce
            to = Endpoint(inside.host, outside.port) if own_number else inside
            self._forwards.open(transport, outside, to, expires)
        return row

    def remove(self, row: TableMapping) -> None:
        """Forget a mapping."""
        self._rows.pop((row.transport, row.outside), None)
        if self._forwards is not None:
            self._forwards.close(row.transport, row.outside)

    def clear(self) -> None:
        """The router restarts."""
        self._later.clear()
        for row in list(self._rows.values()):
            self.remove(row)
