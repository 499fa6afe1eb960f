"""PCP on a router: is it spoken, and mappings by it (RFC 6887)."""

from __future__ import annotations

import msgspec

from nattools.model.endpoint import Endpoint, Transport
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.mapper import (
    RESTARTED,
    Granted,
    MappingRequest,
    Offer,
    Refused,
    TableEntry,
)
from nattools.probes.portmap.udpmapper import PATIENCE_S, SILENCE_S, Dialect, RouterRequest, UdpMapper
from nattools.protocols import pcp
from nattools.protocols.pcp import ResultCode
from nattools.protocols.retransmission import EpochClock
from nattools.wording.refusals import pcp_refusal

_NUMBERS: dict[Transport, int] = {"udp": 17, "tcp": 6}
_DIALECT = Dialect("pcp", pcp_refusal, (ResultCode.UNSUPP_VERSION,), "it speaks NAT-PMP")


class PcpRequest(RouterRequest[pcp.ResponseMessage]):
    """One PCP request to a router."""

    def __init__(self, gateway: GatewayContext, request: pcp.RequestMessage, patience_s: float) -> None:
        server = Endpoint(gateway.address, pcp.PORT)
        super().__init__(gateway, _DIALECT, pcp.PcpTransaction(request, server, patience_s=patience_s))


def announcement(gateway: GatewayContext) -> PcpRequest:
    """The question that changes nothing: is a PCP server there (RFC 6887 14.1)?"""
    return PcpRequest(gateway, pcp.RequestMessage(pcp.ANNOUNCE, 0, gateway.local), SILENCE_S)


async def offer(request: PcpRequest) -> Offer:
    """Ask, and say what came of it. Who does not know ANNOUNCE may make mappings all the same."""
    offer = await request.offer()
    response = request.transaction.response
    if response is None:
        return offer
    refusal = None if response.result == ResultCode.UNSUPP_OPCODE else offer.refusal
    return msgspec.structs.replace(offer, version=str(response.version), refusal=refusal)


class PcpMapper(UdpMapper[pcp.ResponseMessage]):
    """`mapper.Mapper` by PCP."""

    def __init__(self, gateway: GatewayContext, offer: Offer) -> None:
        super().__init__(gateway, offer, EpochClock(drift=1 / 16, both_ways=True))

    async def make(self, wanted: MappingRequest) -> Granted | Refused:
        """RFC 6887 11.2. Some servers ignore PREFER_FAILURE, and some do not know it: what was assigned is
        checked in any case, and given back if it is not what was wanted."""
        options = (pcp.prefer_failure(),) if wanted.exact else ()
        question, answer = await self._map(wanted, wanted.lifetime_s, options)
        if isinstance(answer, Refused) and answer.code == ResultCode.UNSUPP_OPTION and options:
            question, answer = await self._map(wanted, wanted.lifetime_s, ())
        if isinstance(answer, Refused):
            return answer
        granted = self._granted(wanted, answer, question.quirks)
        if isinstance(granted, Granted) and wanted.exact and granted.external_port != wanted.external_port:
            await self.delete(wanted, granted)
            return Refused(
                protocol="pcp",
                failure="refused",
                refusal=pcp_refusal(ResultCode.CANNOT_PROVIDE_EXTERNAL),
                detail=f"the router offered port {granted.external_port}",
            )
        return granted

    async def delete(self, wanted: MappingRequest, granted: Granted | None = None) -> Refused | None:
        """RFC 6887 15.1: a lifetime of 0, and no external address suggested."""
        _, answer = await self._map(wanted, 0, ())
        return answer if isinstance(answer, Refused) else None

    async def read_back(self, wanted: MappingRequest, granted: Granted) -> TableEntry | Refused | None:
        """Not over IPv6: miniupnpd 2.3.1 forgets whose pinhole it was when that is renewed, and lets nobody
        remove it by PCP any more."""
        return None if wanted.family == 6 else await super().read_back(wanted, granted)

    def _harmless(self) -> PcpRequest:
        return announcement(self.gateway)

    async def _map(
        self, wanted: MappingRequest, lifetime_s: int, options: tuple[pcp.Option, ...]
    ) -> tuple[PcpRequest, pcp.ResponseMessage | Refused]:
        suggested = wanted.suggested_port if lifetime_s else 0
        body = pcp.MapBody(
            wanted.nonce,
            _NUMBERS[wanted.transport],
            wanted.internal.port,
            Endpoint("::" if wanted.family == 6 else "0.0.0.0", suggested),
        )
        if wanted.internal.host != self.gateway.local:
            options = (pcp.third_party(wanted.internal.host), *options)
        request = pcp.RequestMessage(pcp.MAP, lifetime_s, self.gateway.local, body, options)
        question = PcpRequest(self.gateway, request, PATIENCE_S)
        return question, await question.ask()

    def _granted(
        self, wanted: MappingRequest, response: pcp.ResponseMessage, quirks: tuple[str, ...]
    ) -> Granted | Refused:
        body = response.body
        if not isinstance(body, pcp.MapBody) or not body.external.port:
            return Refused(protocol="pcp", failure="malformed", detail="success without an external port")
        if not self._learn(response.epoch_s):
            quirks = (*quirks, RESTARTED)
        host: str | None = body.external.host
        if host in ("0.0.0.0", "::"):
            host, quirks = None, (*quirks, f"the router gives {host} as its external address")
        port = body.external.port
        if wanted.family == 6 and host == wanted.internal.host and port != wanted.internal.port:
            # miniupnpd 2.3.1 repeats the suggested port; where the address stays, the port does
            quirks = (*quirks, f"the router says port {port} for a pinhole, whose port is the internal one")
            port = wanted.internal.port
        if wanted.external_port not in (None, port):
            quirks = (*quirks, f"asked for port {wanted.external_port}, got {port}")
        return Granted(
            protocol="pcp",
            transport=wanted.transport,
            internal=wanted.internal,
            external_host=host,
            external_port=port,
            lifetime_s=pcp.believable_lifetime_s(response.lifetime_s),
            epoch_s=response.epoch_s,
            quirks=quirks,
        )
