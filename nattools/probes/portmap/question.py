"""One NAT-PMP or PCP request to a router, and what it means if there is no success."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from nattools.model.endpoint import Endpoint
from nattools.model.portmapping import MappingProtocol, Refusal
from nattools.probes.portmap.exchange import Exchange
from nattools.probes.portmap.place import Place
from nattools.probes.portmap.terms import Refused
from nattools.protocols.repeated import RepeatedRequest, WithResult

R = TypeVar("R", bound=WithResult)


class Dialect(NamedTuple):
    """What sets the two protocols apart here. `refusal` tells what a result code means; `other_version` is
    that of a router which `speaks` another version alone."""

    protocol: MappingProtocol
    refusal: Callable[[int], Refusal]
    other_version: int
    speaks: str


class Question(Generic[R]):
    """One request to a place's router."""

    def __init__(self, place: Place, dialect: Dialect, transaction: RepeatedRequest[R]) -> None:
        self.place = place
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
        await self.exchange.run(self.place)
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
