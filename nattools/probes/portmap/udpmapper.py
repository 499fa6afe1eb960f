"""What mapping by NAT-PMP and by PCP has in common: an epoch, no list, and no way to read but to renew."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.model.portmapping import MappingProtocol, Refusal
from nattools.net.base import IcmpError, UdpSocket
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.mapper import (
    Granted,
    MappingRequest,
    Offer,
    Refused,
    TableEntry,
    as_entry,
    suggesting,
)
from nattools.protocols.retransmission import RetransmittedRequest, WithResult


class EpochClock(Protocol):
    """Tells from a router's epochs whether it has lost its mappings."""

    def update(self, epoch_s: int, now: float) -> bool:
        """Take an epoch; False: the router has restarted."""


class UdpMapper(ABC):
    """The shared part of a `terms.Mapper`. `now` of its epoch clock is the loop's."""

    def __init__(self, gateway: GatewayContext, offer: Offer, clock: EpochClock) -> None:
        self.offer = offer
        self.gateway = gateway
        self._clock = clock
        if offer.epoch_s is not None:
            self._learn(offer.epoch_s)

    @abstractmethod
    async def make(self, wanted: MappingRequest) -> Granted | Refused:
        """As `terms.Mapper.make`."""

    async def entries(self) -> list[TableEntry] | Refused | None:
        """These protocols have no list."""
        return None

    async def read_back(self, wanted: MappingRequest, granted: Granted) -> TableEntry | Refused | None:
        """Renew it, and see what it is now."""
        again = await self.make(suggesting(wanted, granted))
        return again if isinstance(again, Refused) else as_entry(again)

    def _learn(self, epoch_s: int) -> bool:
        return self._clock.update(epoch_s, asyncio.get_running_loop().time())


R = TypeVar("R", bound=WithResult)


class Dialect(NamedTuple):
    """What sets the two protocols apart here. `refusal` tells what a result code means; `other_version` is
    that of a router which `speaks` another version alone."""

    protocol: MappingProtocol
    refusal: Callable[[int], Refusal]
    other_version: int
    speaks: str


class RouterRequest(Generic[R]):
    """One request to a router."""

    def __init__(
        self, gateway: GatewayContext, dialect: Dialect, transaction: RetransmittedRequest[R]
    ) -> None:
        self.gateway = gateway
        self.transaction = transaction
        self.exchange = Exchange(transaction, transaction.server)
        self._dialect = dialect

    @property
    def server(self) -> Endpoint:
        """Who is asked."""
        return self.transaction.server

    @property
    def quirks(self) -> tuple[str, ...]:
        """What was odd."""
        ignored = self.transaction.ignored
        return (f"ignored {ignored}",) if ignored else ()

    async def ask(self) -> R | Refused:
        """The response if it is a success."""
        await self.exchange.run(self.gateway)
        done, dialect = self.transaction, self._dialect
        if done.state == "succeeded" and done.response is not None:
            return done.response
        if done.state == "failed" and done.response is not None:
            return self._refused(done.response.result)
        if done.state in ("upgrade", "downgrade"):
            return self._refused(dialect.other_version, dialect.speaks)
        if done.state == "abandoned":
            return Refused(protocol=dialect.protocol, failure="unreachable", detail=self.exchange.problem)
        return Refused(protocol=dialect.protocol, failure="timeout", detail=done.ignored)

    def _refused(self, result: int, detail: str = "") -> Refused:
        told = self._dialect.refusal(result)
        return Refused(protocol=self._dialect.protocol, failure="refused", refusal=told, detail=detail)


SILENCE_S = 1.9
"""How long to ask a router that says nothing at all: requests at 0, 0.25, 0.75 and 1.75 s."""
_HARMLESS = ("time-exceeded", "too-big")


class Exchange:
    """One transaction on one socket of its own. `problem` says why it was abandoned."""

    def __init__(self, transaction: RetransmittedRequest[Any], server: Endpoint) -> None:
        self.transaction = transaction
        self.problem = ""
        self._server = server
        self._changed = asyncio.Event()

    async def run(self, gateway: GatewayContext) -> None:
        """Ask until there is an answer or patience ends; never raises for a network failure."""
        try:
            socket = await gateway.open_udp()
        except CannotRun as error:
            self._abandon(str(error))
            return
        try:
            socket.on_datagram, socket.on_icmp = self._datagram, self._icmp
            await self._drive(socket)
        finally:
            socket.close()

    def hurry(self, until: float) -> None:
        """Something else has answered: count silence from `until` on."""
        self.transaction.shorten(until)
        self._changed.set()

    async def _drive(self, socket: UdpSocket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            for data, destination in self.transaction.datagrams_to_send(loop.time()):
                failure = socket.send(data, destination)
                if failure is not None:
                    self._abandon(f"sending failed: {failure}")
            deadline = self.transaction.next_timeout()
            if deadline is None:
                return
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                self.transaction.handle_timeout(loop.time())

    def _datagram(self, data: bytes, source: Endpoint) -> None:
        if self.transaction.receive_datagram(data, source, asyncio.get_running_loop().time()):
            self._changed.set()

    def _icmp(self, error: IcmpError) -> None:
        if error.destination == self._server and error.kind not in _HARMLESS:
            self._abandon(f"ICMP {error.kind} from {error.offender or 'somewhere'}")

    def _abandon(self, problem: str) -> None:
        self.problem = self.problem or problem
        self.transaction.abandon()
        self._changed.set()
