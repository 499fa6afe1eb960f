"""What mapping by NAT-PMP and by PCP has in common: one datagram each way, an epoch, no list, and no way to
read a mapping back but to renew it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from nattools.errors import CannotRun
from nattools.model.portmapping import MappingProtocol, Refusal
from nattools.net.exchange import Exchanges, attach
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.mapper import (
    Granted,
    MappingRequest,
    Offer,
    Refused,
    RouterState,
    TableEntry,
    as_entry,
    new_offer,
    suggesting,
)
from nattools.protocols.retransmission import EpochClock, RetransmittedRequest, RouterResponse

R = TypeVar("R", bound=RouterResponse)

SILENCE_S = 1.9
"""How long to ask a router that says nothing at all: requests at 0, 0.25, 0.75 and 1.75 s."""
PATIENCE_S = 4.0
"""How long to ask for a mapping where the protocol is spoken."""


class Dialect(NamedTuple):
    """What sets the two protocols apart here. `refusal` tells what a result code means, `unspoken` are those
    of a router that does not speak the protocol, and `speaks` what it speaks instead."""

    protocol: MappingProtocol
    refusal: Callable[[int], Refusal]
    unspoken: tuple[int, ...]
    speaks: str


class RouterRequest(Generic[R]):
    """One request to a router, on a socket of its own."""

    def __init__(
        self, gateway: GatewayContext, dialect: Dialect, transaction: RetransmittedRequest[R]
    ) -> None:
        self.gateway = gateway
        self.transaction = transaction
        self._dialect = dialect
        self._exchanges = Exchanges()

    @property
    def quirks(self) -> tuple[str, ...]:
        """What was odd."""
        ignored = self.transaction.ignored
        return (f"ignored {ignored}",) if ignored else ()

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
        state, protocol = self.transaction.state, self._dialect.protocol
        if response is not None:
            return response if state == "succeeded" else self._refused(response.result)
        if state in ("upgrade", "downgrade"):
            return self._refused(self._dialect.unspoken[0], self._dialect.speaks)
        if state == "abandoned":
            return Refused(protocol=protocol, failure="unreachable", detail=self.transaction.problem)
        return Refused(protocol=protocol, failure="timeout", detail=self.transaction.ignored)

    async def offer(self) -> Offer:
        """Ask, and say whether the protocol is spoken."""
        answer = await self.ask()
        response = self.transaction.response
        refused = answer if isinstance(answer, Refused) else None
        spoken = response is not None and response.result not in self._dialect.unspoken
        return new_offer(
            self.gateway,
            self._dialect.protocol,
            str(self.transaction.server),
            "answered" if spoken or refused is None else refused.failure,
            epoch_s=None if response is None else response.epoch_s,
            rtt_s=self.transaction.rtt_s,
            sent=self.transaction.sent,
            refusal=None if refused is None else refused.refusal,
            quirks=self.quirks,
            detail="" if refused is None else refused.detail,
        )

    def _refused(self, result: int, detail: str = "") -> Refused:
        refusal = self._dialect.refusal(result)
        return Refused(protocol=self._dialect.protocol, failure="refused", refusal=refusal, detail=detail)


class UdpMapper(ABC, Generic[R]):
    """The shared part of a `mapper.Mapper`. `now` of its epoch clock is the loop's."""

    def __init__(self, gateway: GatewayContext, offer: Offer, clock: EpochClock) -> None:
        self.offer = offer
        self.gateway = gateway
        self._clock = clock
        if offer.epoch_s is not None:
            self._learn(offer.epoch_s)

    @abstractmethod
    async def make(self, wanted: MappingRequest) -> Granted | Refused:
        """As `mapper.Mapper.make`."""

    @abstractmethod
    def _harmless(self) -> RouterRequest[R]:
        """A request that changes nothing."""

    async def entries(self) -> list[TableEntry] | Refused | None:
        """These protocols have no list."""
        return None

    async def read_back(self, wanted: MappingRequest, granted: Granted) -> TableEntry | Refused | None:
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

    def _take(self, response: R) -> None:
        """Note what else the response to a harmless request says."""

    def _learn(self, epoch_s: int) -> bool:
        return self._clock.update(epoch_s, asyncio.get_running_loop().time())
