"""NAT-PMP on a router: is it spoken, and mappings by it (RFC 6886)."""

from __future__ import annotations

import msgspec

from nattools.model.endpoint import Endpoint
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.mapper import RESTARTED, Granted, MappingRequest, Offer, Refused
from nattools.probes.portmap.udpmapper import PATIENCE_S, SILENCE_S, Dialect, RouterRequest, UdpMapper
from nattools.protocols import natpmp
from nattools.protocols.retransmission import EpochClock
from nattools.wording.refusals import natpmp_refusal

_NO_ADDRESS = ("0.0.0.0", "127.0.0.1")
_DIALECT = Dialect(
    "nat-pmp",
    natpmp_refusal,
    (natpmp.UNSUPPORTED_VERSION, natpmp.UNSUPPORTED_OPCODE),
    "it speaks only PCP",
)


class NatPmpRequest(RouterRequest[natpmp.NatPmpResponse]):
    """One NAT-PMP request to a router."""

    def __init__(self, gateway: GatewayContext, request: natpmp.Request, patience_s: float) -> None:
        server = Endpoint(gateway.address, natpmp.PORT)
        super().__init__(gateway, _DIALECT, natpmp.NatPmpTransaction(request, server, patience_s=patience_s))

    @property
    def quirks(self) -> tuple[str, ...]:
        """What was odd."""
        source = self.transaction.source
        if source is None or source.port == natpmp.PORT:
            return super().quirks
        return (*super().quirks, f"the answer came from port {source.port}")


def address_request(gateway: GatewayContext) -> NatPmpRequest:
    """The question that changes nothing: what is the external address (RFC 6886 3.2)?"""
    return NatPmpRequest(gateway, natpmp.AddressRequest(), SILENCE_S)


async def offer(request: NatPmpRequest) -> Offer:
    """Ask, and say what came of it."""
    offer = await request.offer()
    response = request.transaction.response
    if response is None:
        return offer
    external = _address(response) if response.result == natpmp.SUCCESS else None
    quirks = offer.quirks
    if response.result == natpmp.SUCCESS and external is None:
        quirks = (*quirks, f"the router gives {response.external_address} as its external address")
    return msgspec.structs.replace(offer, version="0", external=external, quirks=quirks)


def _address(response: natpmp.NatPmpResponse | None) -> str | None:
    address = None if response is None else response.external_address
    return None if address in _NO_ADDRESS else address


class NatPmpMapper(UdpMapper[natpmp.NatPmpResponse]):
    """`mapper.Mapper` by NAT-PMP."""

    def __init__(self, gateway: GatewayContext, offer: Offer) -> None:
        super().__init__(gateway, offer, EpochClock())
        self._external = offer.external

    async def make(self, wanted: MappingRequest) -> Granted | Refused:
        """RFC 6886 3.3. The router may assign another port than the one suggested."""
        question, answer = await self._map(wanted, wanted.suggested_port, wanted.lifetime_s)
        if isinstance(answer, Refused):
            return answer
        if not answer.external_port:
            return Refused(protocol="nat-pmp", failure="malformed", detail="success without an external port")
        quirks = question.quirks
        if not self._learn(answer.epoch_s):
            quirks = (*quirks, RESTARTED)
        if wanted.external_port not in (None, answer.external_port):
            if wanted.exact:
                await self.delete(wanted)
                detail = f"the router offered port {answer.external_port}"
                return Refused(protocol="nat-pmp", failure="refused", detail=detail)
            quirks = (*quirks, f"asked for port {wanted.external_port}, got {answer.external_port}")
        return Granted(
            protocol="nat-pmp",
            transport=wanted.transport,
            internal=wanted.internal,
            external_host=await self._address(),
            external_port=answer.external_port,
            lifetime_s=answer.lifetime_s,
            epoch_s=answer.epoch_s,
            quirks=quirks,
        )

    async def delete(self, wanted: MappingRequest, granted: Granted | None = None) -> Refused | None:
        """RFC 6886 3.4: a lifetime and an external port of 0."""
        _, answer = await self._map(wanted, 0, 0)
        return answer if isinstance(answer, Refused) else None

    def _harmless(self) -> NatPmpRequest:
        return address_request(self.gateway)

    def _take(self, response: natpmp.NatPmpResponse) -> None:
        self._external = _address(response) or self._external

    async def _map(
        self, wanted: MappingRequest, external_port: int, lifetime_s: int
    ) -> tuple[NatPmpRequest, natpmp.NatPmpResponse | Refused]:
        request = natpmp.MapRequest(wanted.transport, wanted.internal.port, external_port, lifetime_s)
        question = NatPmpRequest(self.gateway, request, PATIENCE_S)
        return question, await question.ask()

    async def _address(self) -> str | None:
        if self._external is None:
            answer = await address_request(self.gateway).ask()
            self._external = None if isinstance(answer, Refused) else _address(answer)
        return self._external
