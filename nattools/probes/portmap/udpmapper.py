"""Mappings by NAT-PMP (RFC 6886) and by PCP (RFC 6887): one datagram each way, an epoch, no list, and no way
to read a mapping back but to renew it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, NamedTuple

import msgspec

from nattools.model.endpoint import Endpoint, family_of
from nattools.model.mappingseen import MapOffer
from nattools.model.portmapping import Refusal
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.mapper import (
    RESTARTED,
    Granted,
    Listing,
    MappingRequest,
    Refused,
    RouterState,
    TableEntry,
    as_entry,
    suggesting,
)
from nattools.probes.portmap.routerrequest import R, RouterRequest
from nattools.protocols import natpmp, pcp
from nattools.protocols.pcp import ResultCode
from nattools.protocols.retransmission import EpochClock
from nattools.wording.refusals import natpmp_refusal, pcp_refusal

SILENCE_S = 1.9
"""How long to ask a router that says nothing at all: requests at 0, 0.25, 0.75 and 1.75 s."""
PATIENCE_S = 4.0
"""How long to ask for a mapping where the protocol is spoken."""
PAUSE_S = 0.25
"""After what time to send a request again, at first."""
PINHOLE_PAUSE_S = 3.0
"""After what time to ask for a pinhole again (RFC 6887 8.1.1): see `PcpMapper.read_back`. Busy routers have
taken 1.5 s."""
NO_LIFETIME = "the router gives it a lifetime of 0 s"


class _Assigned(NamedTuple):
    """What a response assigns; `port` 0 or None: nothing."""

    host: str | None
    port: int | None
    lifetime_s: int | None
    quirks: tuple[str, ...] = ()


class UdpMapper(ABC, Generic[R]):
    """The shared part of a `mapper.Mapper`. `now` of its epoch clock is the loop's."""

    not_exact: ClassVar[Refusal | None] = None
    """What it counts as if the router assigns another port than the only one wanted."""

    def __init__(self, gateway: GatewayContext, offer: MapOffer, clock: EpochClock) -> None:
        self.offer = offer
        self.gateway = gateway
        self._clock = clock
        if offer.epoch_s is not None:
            self._learn(offer.epoch_s)

    async def make(
        self, wanted: MappingRequest, asking: Callable[[int], None] = lambda port: None
    ) -> Granted | Refused:
        """The router may assign another port than the one suggested. Where that is of no use it is left to
        the caller to delete it: this inside may have had it before."""
        request, answer = await self._ask(wanted, wanted.lifetime_s)
        if isinstance(answer, Refused):
            return answer
        assigned = await self._assigned(wanted, answer)
        if not assigned.port:
            detail = "success without an external port"
            return Refused(protocol=self.offer.protocol, failure="malformed", detail=detail)
        quirks = request.quirks
        if not self._learn(answer.epoch_s):
            quirks = (*quirks, RESTARTED)
        quirks += assigned.quirks
        if assigned.lifetime_s == 0:
            quirks = (*quirks, NO_LIFETIME)
        if wanted.external_port not in (None, assigned.port):
            if wanted.exact:
                return Refused(
                    protocol=self.offer.protocol,
                    failure="refused",
                    refusal=self.not_exact,
                    detail=f"the router offered port {assigned.port}",
                    unsettled=True,
                )
            quirks = (*quirks, f"asked for port {wanted.external_port}, got {assigned.port}")
        return Granted(
            protocol=self.offer.protocol,
            transport=wanted.transport,
            internal=wanted.internal,
            external_host=assigned.host,
            external_port=assigned.port,
            lifetime_s=assigned.lifetime_s,
            epoch_s=answer.epoch_s,
            quirks=quirks,
        )

    async def delete(self, wanted: MappingRequest, granted: Granted | None = None) -> Refused | None:
        """A lifetime of 0, and no external port suggested (RFC 6886 3.4, RFC 6887 15.1), which an answer
        has too unless the mapping lives on."""
        _, answer = await self._ask(wanted, 0)
        if isinstance(answer, Refused):
            return answer
        left_s = answer.lifetime_s
        if not left_s:
            return None
        detail = f"the router says that it lives on for {left_s} s"
        return Refused(protocol=self.offer.protocol, failure="refused", detail=detail, left_s=left_s)

    async def listing(self) -> Listing | None:
        """These protocols have no list."""
        return None

    async def read_back(
        self, wanted: MappingRequest, granted: Granted, *, unlisted: bool = False
    ) -> TableEntry | Refused | None:
        """Renew it, and see what it is now."""
        again = await self.make(suggesting(wanted, granted))
        return again if isinstance(again, Refused) else as_entry(again)

    async def check(self) -> RouterState:
        """The epoch tells (RFC 6886 3.6, RFC 6887 8.5)."""
        response = await self._harmless().response()
        if response is None:
            return "silent"
        self._take(response)
        return "same" if self._learn(response.epoch_s) else "restarted"

    @property
    def tells_restarts(self) -> bool:
        """Does its epoch go on as time does?"""
        return self._clock.tells

    @abstractmethod
    async def _ask(self, wanted: MappingRequest, lifetime_s: int) -> tuple[RouterRequest[R], R | Refused]:
        """Ask for a mapping, or with a lifetime of 0 for its end."""

    @abstractmethod
    async def _assigned(self, wanted: MappingRequest, response: R) -> _Assigned:
        """What a response assigns."""

    @abstractmethod
    def _harmless(self) -> RouterRequest[R]:
        """A request that changes nothing."""

    def _take(self, response: R) -> None:
        """Note what else the response to a harmless request says."""

    def _learn(self, epoch_s: int) -> bool:
        return self._clock.update(epoch_s, asyncio.get_running_loop().time())


# --- NAT-PMP


class NatPmpRequest(RouterRequest[natpmp.NatPmpResponse]):
    """One NAT-PMP request; without `request` the one that changes nothing: what is the external address
    (RFC 6886 3.2)?"""

    protocol = "nat-pmp"
    explain = natpmp_refusal
    unspoken = (natpmp.UNSUPPORTED_VERSION, natpmp.UNSUPPORTED_OPCODE)
    instead = "it speaks only PCP"

    def __init__(self, gateway: GatewayContext, request: natpmp.MapRequest | None = None) -> None:
        patience_s = SILENCE_S if request is None else PATIENCE_S
        server = Endpoint(gateway.address, natpmp.PORT)
        asked = request or natpmp.AddressRequest()
        super().__init__(gateway, natpmp.NatPmpTransaction(asked, server, patience_s=patience_s))

    def _detailed(self, offer: MapOffer, response: natpmp.NatPmpResponse) -> MapOffer:
        external, quirks = None, offer.quirks
        if response.result == natpmp.SUCCESS:
            external = self.gateway.outside(response.external_address)
            if external is None:
                quirks = (*quirks, _claims(response.external_address))
        return msgspec.structs.replace(offer, version="0", external=external, quirks=quirks)


def _claims(address: str | None) -> str:
    return f"the router gives {address} as its external address"


class NatPmpMapper(UdpMapper[natpmp.NatPmpResponse]):
    """`mapper.Mapper` by NAT-PMP."""

    def __init__(self, gateway: GatewayContext, offer: MapOffer) -> None:
        super().__init__(gateway, offer, EpochClock())
        self._external = offer.external

    def _harmless(self) -> NatPmpRequest:
        return NatPmpRequest(self.gateway)

    def _take(self, response: natpmp.NatPmpResponse) -> None:
        self._external = self.gateway.outside(response.external_address) or self._external

    async def _ask(
        self, wanted: MappingRequest, lifetime_s: int
    ) -> tuple[NatPmpRequest, natpmp.NatPmpResponse | Refused]:
        suggested = wanted.suggested_port if lifetime_s else 0
        asked = natpmp.MapRequest(wanted.transport, wanted.internal.port, suggested, lifetime_s)
        request = NatPmpRequest(self.gateway, asked)
        return request, await request.ask()

    async def _assigned(self, wanted: MappingRequest, response: natpmp.NatPmpResponse) -> _Assigned:
        if self._external is None:
            answer = await self._harmless().ask()
            if not isinstance(answer, Refused):
                self._external = self.gateway.outside(answer.external_address)
        return _Assigned(self._external, response.external_port, response.lifetime_s)


# --- PCP


class PcpRequest(RouterRequest[pcp.ResponseMessage]):
    """One PCP request; without `request` the one that changes nothing: is a PCP server there
    (RFC 6887 14.1)?"""

    protocol = "pcp"
    explain = pcp_refusal
    unspoken = (ResultCode.UNSUPP_VERSION,)
    instead = "it speaks NAT-PMP"

    def __init__(
        self,
        gateway: GatewayContext,
        request: pcp.RequestMessage | None = None,
        *,
        pause_s: float = PAUSE_S,
    ) -> None:
        """`pause_s`: before the request is sent again."""
        server = Endpoint(gateway.address, pcp.PORT)
        if request is None:
            super().__init__(gateway, pcp.PcpSearch(gateway.local, server, patience_s=SILENCE_S))
        else:
            super().__init__(
                gateway, pcp.PcpTransaction(request, server, initial_s=pause_s, patience_s=PATIENCE_S)
            )

    def _detailed(self, offer: MapOffer, response: pcp.ResponseMessage) -> MapOffer:
        """Who does not know ANNOUNCE may make mappings all the same, and so may who has none to end."""
        mute = response.opcode == pcp.MAP or response.result == ResultCode.UNSUPP_OPCODE
        refusal = None if mute else offer.refusal
        return msgspec.structs.replace(offer, version=str(response.version), refusal=refusal)


class PcpMapper(UdpMapper[pcp.ResponseMessage]):
    """`mapper.Mapper` by PCP."""

    not_exact = pcp_refusal(ResultCode.CANNOT_PROVIDE_EXTERNAL)

    def __init__(self, gateway: GatewayContext, offer: MapOffer) -> None:
        super().__init__(gateway, offer, EpochClock(drift=1 / 16, both_ways=True))

    async def read_back(
        self, wanted: MappingRequest, granted: Granted, *, unlisted: bool = False
    ) -> TableEntry | Refused | None:
        """Not over IPv6: once a pinhole is renewed, miniupnpd 2.3.1 lets nobody remove it by PCP."""
        return None if wanted.family == 6 else await super().read_back(wanted, granted)

    def _harmless(self) -> PcpRequest:
        return PcpRequest(self.gateway)

    async def _ask(
        self, wanted: MappingRequest, lifetime_s: int
    ) -> tuple[PcpRequest, pcp.ResponseMessage | Refused]:
        """RFC 6887 11.2. Some servers ignore PREFER_FAILURE, and some do not know it: the port that is
        assigned is looked at in any case."""
        options = (pcp.prefer_failure(),) if wanted.exact and lifetime_s else ()
        request, answer = await self._map(wanted, lifetime_s, options)
        if options and isinstance(answer, Refused) and answer.code == ResultCode.UNSUPP_OPTION:
            return await self._map(wanted, lifetime_s, ())
        return request, answer

    async def _map(
        self, wanted: MappingRequest, lifetime_s: int, options: tuple[pcp.Option, ...]
    ) -> tuple[PcpRequest, pcp.ResponseMessage | Refused]:
        suggested = Endpoint(
            "::" if wanted.family == 6 else "0.0.0.0", wanted.suggested_port if lifetime_s else 0
        )
        body = pcp.MapBody(wanted.nonce, pcp.NUMBERS[wanted.transport], wanted.internal.port, suggested)
        if wanted.internal.host != self.gateway.local:
            options = (pcp.third_party(wanted.internal.host), *options)
        asked = pcp.RequestMessage(pcp.MAP, lifetime_s, self.gateway.local, body, options)
        pause_s = PINHOLE_PAUSE_S if wanted.family == 6 and lifetime_s else PAUSE_S
        request = PcpRequest(self.gateway, asked, pause_s=pause_s)
        return request, await request.ask()

    async def _assigned(self, wanted: MappingRequest, response: pcp.ResponseMessage) -> _Assigned:
        if response.body is None:
            return _Assigned(None, None, None)
        host, port = response.body.external.host, response.body.external.port
        lifetime_s = response.lifetime_s
        repeats_ours = wanted.family == 6 and host == wanted.internal.host
        fits = family_of(host) == wanted.family and self.gateway.outside(host) is not None
        if not fits and not repeats_ours:
            return _Assigned(None, port, lifetime_s, (_claims(host),))
        if port and repeats_ours and port != wanted.internal.port:
            # miniupnpd 2.3.1 repeats the suggested port; where the address stays, the port does
            quirk = f"the router says port {port} for a pinhole, whose port is the internal one"
            return _Assigned(host, wanted.internal.port, lifetime_s, (quirk,))
        return _Assigned(host, port, lifetime_s)
