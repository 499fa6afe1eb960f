"""One request to a router by NAT-PMP or PCP: asked, answered, and told as an offer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from nattools.errors import CannotRun
from nattools.model.mappingseen import MapOffer
from nattools.model.portmapping import MappingProtocol, Refusal
from nattools.net.exchange import Exchanges, attach
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.mapper import Refused, new_offer
from nattools.protocols.retransmission import RetransmittedRequest, RouterResponse

R = TypeVar("R", bound=RouterResponse)


class RouterRequest(ABC, Generic[R]):
    """One request to a router, on a socket of its own. `explain` tells what a result code means, `unspoken`
    are those of a router that does not speak the protocol, and `instead` says what it speaks then."""

    protocol: ClassVar[MappingProtocol]
    explain: ClassVar[Callable[[int], Refusal]]
    unspoken: ClassVar[tuple[int, ...]]
    instead: ClassVar[str]

    def __init__(self, gateway: GatewayContext, transaction: RetransmittedRequest[R]) -> None:
        self.gateway = gateway
        self.transaction = transaction
        self._exchanges = Exchanges()

    @property
    def quirks(self) -> tuple[str, ...]:
        """What was odd."""
        ignored, source = self.transaction.ignored, self.transaction.source
        quirks = (f"ignored {ignored}",) if ignored else ()
        if source is None or source.port == self.transaction.server.port:
            return quirks
        return (*quirks, f"the answer came from port {source.port}")

    def hurry(self, until: float) -> None:
        """The router has answered something else: do not wait for it beyond `until`."""
        self.transaction.shorten(until)
        self._exchanges.wake()

    async def response(self) -> R | None:
        """Ask until there is a response or patience ends; never raises for a network failure."""
        try:
            socket = await self.gateway.open_udp()
        except CannotRun as error:
            self.transaction.abandon(str(error))
            return None
        try:
            attach(self._exchanges, socket)
            self._exchanges.start(self.transaction, socket)
            await self._exchanges.run()
        finally:
            socket.close()
        return self.transaction.response

    async def ask(self) -> R | Refused:
        """The response if it is a success."""
        response = await self.response()
        state = self.transaction.state
        if response is not None:
            return response if state == "succeeded" else self._refused(response.result)
        if state in ("upgrade", "downgrade"):
            return self._refused(self.unspoken[0], self.instead)
        if state == "abandoned":
            return Refused(
                protocol=self.protocol,
                failure="unreachable",
                detail=self.transaction.problem,
                unsettled=self.transaction.sent > 1,
            )
        return Refused(protocol=self.protocol, failure="timeout", detail=self.transaction.ignored)

    async def offer(self) -> MapOffer:
        """Ask, and say whether the protocol is spoken."""
        answer = await self.ask()
        response = self.transaction.response
        refused = answer if isinstance(answer, Refused) else None
        spoken = response is not None and response.result not in self.unspoken
        offer = new_offer(
            self.gateway,
            self.protocol,
            str(self.transaction.server),
            "answered" if spoken or refused is None else refused.failure,
            epoch_s=None if response is None else response.epoch_s,
            rtt_s=self.transaction.rtt_s,
            sent=self.transaction.sent,
            refusal=None if refused is None else refused.refusal,
            quirks=self.quirks,
            detail="" if refused is None else refused.detail,
        )
        return offer if response is None else self._detailed(offer, response)

    @abstractmethod
    def _detailed(self, offer: MapOffer, response: R) -> MapOffer:
        """The offer with what else the response says."""

    def _refused(self, result: int, detail: str = "") -> Refused:
        """With several requests out nobody knows which one was refused: another may have been granted."""
        return Refused(
            protocol=self.protocol,
            failure="refused",
            refusal=type(self).explain(result),
            detail=detail,
            unsettled=self.transaction.sent > 1,
        )
