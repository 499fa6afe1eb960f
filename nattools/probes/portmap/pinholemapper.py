"""IPv6 pinholes by UPnP, on one internet gateway."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from nattools.model.mappingseen import MapOffer
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.igdcall import call
from nattools.probes.portmap.mapper import (
    Granted,
    Listing,
    MappingRequest,
    Refused,
    RouterState,
    TableEntry,
    as_entry,
)
from nattools.protocols import igd
from nattools.protocols.igd import ErrorCode


class PinholeMapper:
    """`mapper.Mapper` by UPnP: IPv6 pinholes by WANIPv6FirewallControl. It must be asked over IPv6, or the
    router refuses (606)."""

    def __init__(self, gateway: GatewayContext, offer: MapOffer, service: igd.Service) -> None:
        self.offer = offer
        self.service = service
        self.gateway = gateway

    async def make(
        self, wanted: MappingRequest, asking: Callable[[int], None] = lambda port: None
    ) -> Granted | Refused:
        """AddPinhole, which renews one that is there. A pinhole has the inside port outside, too."""
        if wanted.exact and wanted.external_port != wanted.internal.port:
            detail = f"a pinhole has the same port on both sides, {wanted.internal.port}"
            return Refused(protocol="upnp-igd", failure="not asked", detail=detail)
        action = igd.add_pinhole(
            transport=wanted.transport,
            internal_host=wanted.internal.host,
            internal_port=wanted.internal.port,
            lease_s=wanted.lifetime_s or igd.actions.MAX_PINHOLE_LEASE_S,
        )
        number = await call(self.gateway, self.service, action)
        if isinstance(number, Refused):
            return number
        return Granted(
            protocol="upnp-igd",
            transport=wanted.transport,
            internal=wanted.internal,
            external_host=wanted.internal.host,
            external_port=wanted.internal.port,
            lifetime_s=int(action.arguments[-1][1]),
            unique_id=number,
        )

    async def delete(self, wanted: MappingRequest, granted: Granted | None = None) -> Refused | None:
        """DeletePinhole. If its number was never seen, asking for the same pinhole again tells it."""
        if granted is None or granted.unique_id is None:
            again = await self.make(msgspec.structs.replace(wanted, lifetime_s=1))
            if isinstance(again, Refused):
                return again
            granted = again
        action = igd.delete_pinhole(granted.unique_id or 0)
        answer = await call(self.gateway, self.service, action)
        if answer is None or answer.code == ErrorCode.NO_SUCH_PINHOLE:
            return None
        # miniupnpd 2.3.1 says 402 of a number that it does not know any more
        there = await self.read_back(wanted, granted)
        gone = isinstance(there, Refused) and there.code in (
            ErrorCode.NO_SUCH_PINHOLE,
            ErrorCode.INVALID_ARGS,
        )
        return None if gone and answer.code == ErrorCode.INVALID_ARGS else answer

    async def listing(self) -> Listing | None:
        """Pinholes have no list."""
        return None

    async def read_back(
        self, wanted: MappingRequest, granted: Granted, *, unlisted: bool = False
    ) -> TableEntry | Refused:
        """CheckPinholeWorking: it exists if the router knows it, whether or not a packet has passed (709)."""
        action = igd.check_pinhole_working(granted.unique_id or 0)
        working = await call(self.gateway, self.service, action)
        if isinstance(working, Refused) and working.code != ErrorCode.NO_TRAFFIC:
            return working
        return as_entry(granted)

    async def check(self) -> RouterState:
        """The service has no epoch: it answers or it does not."""
        status = await call(self.gateway, self.service, igd.GET_FIREWALL_STATUS)
        return "silent" if isinstance(status, Refused) else "same"

    tells_restarts = False
